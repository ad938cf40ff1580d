"""What a later command needs of a machine beside its record: the tools that reach it, the system it should run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.image.tools import Tools
from invar.system.decode import system_from_data
from invar.system.record import System
from invar.vm.record import Machine

FILE = "companion.json"


@dataclass(frozen=True, slots=True)
class Companion:
    """`system` is None for an image of which only the file is known: it has no checks of its own."""

    tools: Tools
    system: System | None


def save_companion(machine: Machine, companion: Companion) -> None:
    """Put it beside the machine's record."""
    data = {
        "tools": str(companion.tools.root),
        "system": companion.system.to_data() if companion.system else None,
    }
    (machine.directory / FILE).write_text(json.dumps(data), encoding="utf-8")


def load_companion(machine: Machine) -> Companion:
    """Raises InvarError when the machine was started by another version, or its tools were deleted."""
    try:
        data = json.loads((machine.directory / FILE).read_bytes())
        tools = Tools(Path(data["tools"]))
        system = system_from_data(data["system"]) if data["system"] is not None else None
    except (OSError, ValueError, KeyError) as error:
        raise InvarError(
            f"the machine {machine.name} can't be reached from here",
            where=str(machine.directory / FILE),
            why=str(error),
            hint=f"stop it with `invar stop {machine.name}` and run it again",
        ) from error
    if not tools.root.is_dir():
        raise InvarError(
            f"the tools that the machine {machine.name} was started with are gone",
            where=str(tools.root),
            hint=f"stop it with `invar stop {machine.name}` and run it again",
        )
    return Companion(tools, system)
