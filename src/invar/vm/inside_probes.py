"""One look at a machine from inside: units, commands, the system digest; and what it tells about what went wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence

from invar.vm.inside import SSH_FAILED, Inside
from invar.vm.probes import Look

_EVIDENCE_SECONDS = 20.0
_SHOWN_LINES = 15
_SHOWN_UNITS = 3
_DIGEST = re.compile(r"(?:^|\s)invar\.digest=(\S+)")


def unit(inside: Inside, name: str, seconds: float) -> Look:
    """Whether a systemd unit is active. Final when there is no such unit, or systemd has given it up."""
    ran = inside.run(("systemctl", "show", "--property=LoadState,ActiveState,SubState,Result", name), seconds)
    if ran.status != 0:
        return Look(False, _last_lines(ran.output) or f"systemctl show ended with {ran.status}")
    state = dict(line.split("=", 1) for line in ran.output.splitlines() if "=" in line)
    active = state.get("ActiveState", "unknown")
    if active == "active":
        return Look(True, "active")
    if state.get("LoadState") == "not-found":
        return Look(False, f"there is no unit {name}", final=True)
    seen = f"{name} is {active} ({state.get('SubState', '?')}, result {state.get('Result', '?')})"
    return Look(False, seen, final=active == "failed")


def command(inside: Inside, argv: Sequence[str], user: str, seconds: float) -> Look:
    """Whether a command exits with 0, run as `user`."""
    full = tuple(argv) if user == "root" else ("runuser", "-u", user, "--", *argv)
    ran = inside.run(full, seconds)
    if ran.status == 0:
        return Look(True, "exit status 0")
    said = _last_lines(ran.output)
    return Look(False, f"exit status {ran.status}" + (f": {said}" if said else ""))


def system_digest(inside: Inside, digest: str, seconds: float) -> Look:
    """Whether the kernel was started with `invar.digest=` the digest that was built."""
    ran = inside.run(("cat", "/proc/cmdline"), seconds)
    if ran.status != 0:
        return Look(False, _last_lines(ran.output))
    found = _DIGEST.search(ran.output)
    if found is None:
        return Look(False, "the kernel's command line has no invar.digest", final=True)
    if found[1] != digest:
        return Look(False, f"the machine runs {found[1]}, not {digest}", final=True)
    return Look(True, "the digest is the built one")


def no_failed_unit(inside: Inside, seconds: float) -> Look:
    """Whether, once systemd has finished booting, no unit has failed."""
    waited = inside.run(("systemctl", "is-system-running", "--wait"), seconds)
    if waited.status in (124, SSH_FAILED):
        return Look(False, f"systemd has not finished booting: {_last_lines(waited.output)}")
    listed = inside.run(("systemctl", "list-units", "--state=failed", "--no-legend", "--plain"), seconds)
    if listed.status != 0:
        return Look(False, _last_lines(listed.output))
    failed = failed_units(listed.output)
    if failed:
        return Look(False, f"failed: {', '.join(failed)}", final=True)
    return Look(True, "no unit has failed")


def failed_units(listing: str) -> list[str]:
    """The names in the output of `systemctl list-units --state=failed --no-legend --plain`."""
    return [line.split()[0].lstrip("●*") or line.split()[1] for line in listing.splitlines() if line.strip()]


def unit_evidence(inside: Inside, names: Sequence[str]) -> str:
    """What systemd and the journal say about units: state, exit status, last lines."""
    parts = [
        inside.run(("systemctl", "status", "--no-pager", "--full", "--lines=10", name), _EVIDENCE_SECONDS).output
        for name in names[:_SHOWN_UNITS]
    ]
    return "\n".join(part.strip() for part in parts if part.strip())


def failed_units_evidence(inside: Inside) -> str:
    """As `unit_evidence`, for the units that have failed."""
    listed = inside.run(("systemctl", "list-units", "--state=failed", "--no-legend", "--plain"), _EVIDENCE_SECONDS)
    return unit_evidence(inside, failed_units(listed.output))


def port_evidence(inside: Inside, port: int) -> str:
    """What listens on a TCP port, or that nothing does."""
    ran = inside.run(("ss", "-Htln", f"sport = :{port}"), _EVIDENCE_SECONDS)
    if ran.status != 0:
        return ""
    listeners = ran.output.strip()
    return (
        f"inside, port {port} has the listener {listeners}" if listeners else f"inside, nothing listens on port {port}"
    )


def _last_lines(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-_SHOWN_LINES:])
