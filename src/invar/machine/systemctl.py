"""Programs that a switch runs, systemctl above all: their time limits, their words when they fail."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Sequence

from invar.core.errors import InvarError

UNIT_SECONDS = 180.0
"""How long systemd may take to stop or to start what a switch asks for."""

_STOPPED_WITH = ("RequiredBy", "BoundBy", "ConsistsOf", "PropagatesStopTo")
"""The properties of a unit that name those which systemd stops along with it (systemd.unit(5))."""


def running_units() -> frozenset[str]:
    """The units that are active, or on the way to it. Raises InvarError when systemd does not answer."""
    listed = run(("systemctl", "list-units", "--state=active,activating,reloading", "--no-legend", "--plain", "--full"))
    return frozenset(line.split()[0] for line in listed.splitlines() if line.strip())


def dependents(names: Collection[str]) -> frozenset[str]:
    """The units that systemd stops when it stops these, directly or by way of one another; without these themselves.

    Raises InvarError when systemd does not answer.
    """
    found: set[str] = set()
    new = set(names)
    properties = [f"--property={key}" for key in _STOPPED_WITH]
    while new:
        found |= new
        said = run(("systemctl", "show", "--value", *properties, "--", *sorted(new)))
        new = set(said.split()) - found
    return frozenset(found - set(names))


def systemctl(*arguments: str) -> None:
    """Ask systemd for something and wait for it. Raises InvarError with the units' own words."""
    done = _completed(("systemctl", *arguments), UNIT_SECONDS)
    if done.returncode != 0:
        raise InvarError(
            f"systemctl {arguments[0]} failed", where=" ".join(arguments[1:]) or None, why=done.stdout.strip() or None
        )


def run(command: Sequence[str], accepted: Sequence[int] = (0,)) -> str:
    """Run a program; its output. Raises InvarError unless its status is one of the accepted ones."""
    done = _completed(command, UNIT_SECONDS)
    if done.returncode not in accepted:
        raise InvarError(f"{command[0]} failed with status {done.returncode}", why=done.stdout.strip() or None)
    return done.stdout


def _completed(command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    started = time.monotonic()
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise InvarError(f"{' '.join(command)} did not end within {time.monotonic() - started:.0f} seconds") from error
    except OSError as error:
        raise InvarError(f"{command[0]} cannot be run", why=error.strerror) from error
