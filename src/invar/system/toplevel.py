"""What a NixOS instance says that it runs: the store path behind /run/current-system, judged by the image's record.

NixOS has no digest on its kernel command line and no verity: this is the instance's own word, not a measurement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from invar.core.errors import ExitCode, InvarError

QUESTION = ("readlink", "-f", "/run/current-system", "/run/booted-system")
"""What an instance is asked; it answers with a line for each, and `parse_answer` reads that."""

_BASE = r"[0-9abcdfghijklmnpqrsvwxyz]{32}-nixos-system-[A-Za-z0-9+._?=-]+"
_PATH = re.compile(rf"/[^\s:]*/{_BASE}")
_CONSOLE = re.compile(rf"(?:booting system configuration |\binit=)(/\S*?/{_BASE})(?:/init)?(?=\s|$)", re.MULTILINE)
"""What NixOS's stage 2 writes to the kernel's log, and how its boot loader starts it."""


@dataclass(frozen=True, slots=True)
class Running:
    """Store paths of NixOS systems: the one that is active, and the one that was booted (None: it does not say)."""

    active: str
    booted: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """An instance's word against an image's `toplevel`."""

    expected: str
    running: Running

    @property
    def holds(self) -> bool:
        """Whether the expected system is the active one."""
        return self.running.active == self.expected

    @property
    def why(self) -> str:
        """The verdict in words."""
        if not self.holds:
            return f"it runs {self.running.active}, not {self.expected}"
        if self.running.booted not in (None, self.expected):
            return f"it runs {self.expected}, switched to after booting {self.running.booted}"
        return f"it runs {self.expected}"

    def to_data(self) -> dict[str, Any]:
        """As `--json` tells it."""
        return {
            "active": self.running.active,
            "booted": self.running.booted,
            "expected": self.expected,
            "holds": self.holds,
            "why": self.why,
        }


def parse_answer(text: str, *, where: str) -> Running:
    """What `QUESTION` printed. Raises InvarError, with `where`: it comes from the machine in question."""
    lines = text.split()
    found = [line for line in lines if _PATH.fullmatch(line)]
    if not lines or len(lines) > 2 or len(found) != len(lines):
        raise InvarError(
            "this is no NixOS system",
            where=where,
            why=f"/run/current-system is {lines[0][:200] if lines else 'nothing'}",
            hint="what the native engine built answers `invar proof NAME`, without --nixos",
        )
    return Running(found[0], found[1] if len(found) > 1 else None)


def parse_console(text: str, *, where: str) -> Running:
    """The system that was booted last, by what a serial console shows. Raises InvarError when it shows none."""
    found = _CONSOLE.findall(text)
    if not found:
        raise InvarError(
            "the console names no NixOS system",
            where=where,
            hint="NixOS shows it with boot.consoleLogLevel = 7; or ask by ssh, without --console",
        )
    return Running(found[-1], found[-1])


def judge_toplevel(running: Running, toplevel: str) -> Verdict:
    """Judge by the `toplevel` of an image's record. Raises InvarError when that is no NixOS system's path."""
    if not _PATH.fullmatch(toplevel):
        raise InvarError(
            f"{toplevel!r} is no NixOS system",
            hint="expect the toplevel: `invar build .#NAME --engine nix --json | jq -r .toplevel`",
            exit_code=ExitCode.USAGE,
        )
    return Verdict(toplevel, running)
