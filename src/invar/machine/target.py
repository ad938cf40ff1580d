"""What a switch leads to: a generation that is to be, prepared whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from invar.machine.boot_target import BootFiles
from invar.machine.generations import Generation
from invar.machine.way import Way
from invar.system.record import Check


@dataclass(frozen=True, slots=True)
class Target:
    """A generation, the checks that judge it, and how the machine gets there.

    `content` is its config layer where that is not on the disk yet.
    """

    generation: Generation
    checks: tuple[Check, ...]
    way: Way
    content: bytes | None = None
    boot_files: BootFiles = field(default_factory=BootFiles)
