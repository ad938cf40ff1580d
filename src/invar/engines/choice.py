"""Which engine builds: what the command line says, else what the flake says (`invar.engine`), else the native one."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.engines.native import NativeEngine
from invar.flakes.attributes import find
from invar.flakes.flake import open_flake
from invar.flakes.place import flake_at
from invar.nix import Value, force

EngineName = Literal["native", "nix"]
WAY = ("invar", "engine")


def chosen_engine(place: str, option: str | None, native: NativeEngine) -> EngineName:
    """The engine for a place. Raises InvarError when a flake names one that there is not."""
    if option is not None:
        return "nix" if option == "nix" else "native"
    reference = place.partition("#")[0]
    known = flake_at(reference)
    if known is None:
        return "native"
    flake = open_flake(known, replace(native.flakes, write=False), Report())

    def declared() -> Value:
        outputs = force(flake.value)
        there = "invar" in outputs and "engine" in force(outputs["invar"])
        return str(find(outputs, [WAY], what=flake.name).value) if there else "native"

    name = flake.explained(declared)
    if name not in ("native", "nix"):
        raise InvarError(
            f"the flake's invar.engine is {name!r}",
            where=str(flake.place.real / "flake.nix"),
            hint='it is "native" or "nix"',
        )
    return "nix" if name == "nix" else "native"
