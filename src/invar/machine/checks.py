"""The declared checks (`invar.checks.NAME`) run on the machine itself: health of a switch, of a boot, and proof."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.system.decode import decode
from invar.system.proof import CheckProof
from invar.system.record import Check

DECLARED = Path("/etc/invar/checks.json")
"""The running system's checks, in its own config layer."""

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0
_PAUSE_GROWTH = 1.5
_ONE_LOOK_SECONDS = 10.0
"""What one look may take where no deadline gives more."""
_MAX_BODY = 1 << 20
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Look:
    """What one attempt saw: whether it is as wanted, and what is there instead. `final`: looking again is no use."""

    passed: bool
    seen: str = ""
    final: bool = False


Way = Callable[[Check, float], Look]
"""One look at a check, which may take the seconds given."""


def declared(path: Path = DECLARED) -> tuple[Check, ...]:
    """The checks of the system whose /etc is mounted now; none where it declares none.

    Raises InvarError for a file that no configuration of Invar makes.
    """
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return ()
    except ValueError as error:
        raise InvarError("the list of checks can't be read", where=str(path), why=str(error)) from error
    checks: tuple[Check, ...] = decode(tuple[Check, ...], data, "checks")
    return checks


def run_checks(checks: Sequence[Check], deadline: float, report: Report) -> tuple[CheckProof, ...]:
    """Look at every check, all at once, until it passes or its time is up; results in the order of the checks.

    A check's time is its own `timeout` or what is left until `deadline` (of `time.monotonic`), whichever is shorter.
    With a deadline that has passed each gets one look. Who interrupts this waits for no check.
    """
    if not checks:
        return ()
    start = time.monotonic()
    over = Event()
    pool = ThreadPoolExecutor(max_workers=len(checks))
    try:
        with report.stage("checks") as stage:
            running = [
                pool.submit(_until_passed, check, min(deadline, start + check.timeout), over) for check in checks
            ]
            results = []
            for number, outcome in enumerate(running, start=1):
                results.append(outcome.result())
                stage.progress(number, len(checks), "checks")
        return tuple(results)
    finally:
        over.set()
        pool.shutdown(wait=False, cancel_futures=True)


def failed_units() -> tuple[str, ...]:
    """The units that systemd calls failed. Raises InvarError when it does not answer."""
    listing = _run(("systemctl", "list-units", "--state=failed", "--no-legend", "--plain"), _ONE_LOOK_SECONDS)
    if listing.returncode != 0:
        raise InvarError("systemd does not list its units", why=listing.stdout.strip())
    return units_of_listing(listing.stdout)


def units_of_listing(listing: str) -> tuple[str, ...]:
    """The names in the output of `systemctl list-units --no-legend --plain`."""
    return tuple(line.split()[0] for line in listing.splitlines() if line.strip())


def _until_passed(check: Check, deadline: float, over: Event) -> CheckProof:
    pause = _FIRST_PAUSE
    while True:
        left = deadline - time.monotonic()
        look = _look(check, min(left, check.timeout) if left > 0 else min(_ONE_LOOK_SECONDS, check.timeout))
        left = deadline - time.monotonic()
        if look.passed or look.final or left <= 0 or over.wait(min(pause, left)):
            return CheckProof(check.name, "passed" if look.passed else "failed", "" if look.passed else look.seen)
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)


def _look(check: Check, seconds: float) -> Look:
    try:
        return _WAYS[check.kind](check, seconds)
    except (OSError, http.client.HTTPException) as fault:
        return Look(False, _told(fault))


def _unit(check: Check, seconds: float) -> Look:
    shown = _run(
        ("systemctl", "show", "--property=LoadState,ActiveState,SubState,Result", "--", check.unit or ""), seconds
    )
    return look_at_unit(check.unit or "", shown.stdout, shown.returncode)


def look_at_unit(unit: str, output: str, status: int) -> Look:
    """What `systemctl show` says of a unit. Only its absence is final: systemd may yet restart one that failed."""
    if status != 0:
        return Look(False, output.strip() or f"systemctl show ended with {status}")
    state = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    if state.get("ActiveState") == "active":
        return Look(True)
    if state.get("LoadState") == "not-found":
        return Look(False, f"there is no unit {unit}", final=True)
    said = (
        f"{unit} is {state.get('ActiveState', '?')} ({state.get('SubState', '?')}, result {state.get('Result', '?')})"
    )
    return Look(False, said)


def _tcp(check: Check, seconds: float) -> Look:
    with _connect(check.port or 0, seconds):
        return Look(True)


def _http(check: Check, seconds: float) -> Look:
    connection = http.client.HTTPConnection("localhost", check.port or 0, timeout=seconds)
    try:
        connection.sock = _connect(check.port or 0, seconds)
        connection.request("GET", check.path or "/", headers={"User-Agent": "invar-check", "Connection": "close"})
        answer = connection.getresponse()
        text = answer.read(_MAX_BODY).decode(errors="replace")
    finally:
        connection.close()
    wanted = check.status or 200
    if answer.status != wanted:
        return Look(False, f"status {answer.status}, not {wanted}: {_shortened(text)}")
    if check.body is not None and check.body not in text:
        return Look(False, f"the body lacks {check.body!r}: {_shortened(text)}")
    return Look(True)


def _connect(port: int, seconds: float) -> socket.socket:
    """To a port of this machine, by IPv4 or else IPv6. Raises OSError."""
    try:
        return socket.create_connection(("127.0.0.1", port), seconds)
    except ConnectionRefusedError:
        return socket.create_connection(("::1", port), seconds)


def _command(check: Check, seconds: float) -> Look:
    argv = check.command if check.user == "root" else ("runuser", "-u", check.user, "--", *check.command)
    done = _run(argv, seconds)
    if done.returncode == 0:
        return Look(True)
    return Look(False, f"exit status {done.returncode}: {_shortened(done.stdout)}")


_WAYS: dict[str, Way] = {"unit": _unit, "tcp": _tcp, "http": _http, "command": _command}


def _run(argv: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run to the end, both streams as one text; status 124 when the time is up, as timeout(1) has it."""
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, f"not done within {seconds:.0f} s")


def _told(fault: Exception) -> str:
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return f"{type(fault).__name__}: {fault}"


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
