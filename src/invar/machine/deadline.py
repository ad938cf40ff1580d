"""A process that outlives a soft-reboot and resets the machine when the next system does not begin its checks in time.

systemd leaves it alone while it ends everything else (SurviveFinalKillSignal= of invar-deadline.service, machine.nix).
All that it needs later it has open before: nothing of either system's files is looked for again, and a PID 1 that hangs
or is not there is no obstacle. A watchdog device would not do: systemd disarms it for the time of a soft-reboot.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

from invar.core.errors import ExitCode, InvarError
from invar.machine.state import RUN, write_whole

UNIT = "invar-deadline.service"
ARMED = RUN / "deadline"
"""Exists while there is a deadline; who deletes it, calls the deadline off."""
SECONDS = RUN / "deadline-seconds"

SYSRQ = Path("/proc/sysrq-trigger")
KERNEL_LOG = Path("/dev/kmsg")
_SYNC_SECONDS = 5.0
"""For what has been written to reach the disk: the reset waits for nobody."""
_STEP_SECONDS = 0.5


def main(arguments: list[str]) -> int:
    """`invar deadline`: run by invar-deadline.service from a soft-reboot until the checks of the next system begin."""
    del arguments
    wait(float(SECONDS.read_text()), ARMED, SYSRQ, KERNEL_LOG)
    return ExitCode.DONE


def arm(seconds: float) -> None:
    """Start the process, and return once it waits. Raises InvarError."""
    write_whole(SECONDS, str(seconds).encode())
    started = subprocess.run(["systemctl", "restart", UNIT], capture_output=True, text=True, check=False)
    if started.returncode != 0:
        raise InvarError(f"{UNIT} does not start", why=started.stderr.strip() or None)


def call_off() -> None:
    """The checks begin, or nothing is to be waited for."""
    ARMED.unlink(missing_ok=True)


def wait(seconds: float, armed: Path, sysrq: Path, log: Path, *, sync_seconds: float = _SYNC_SECONDS) -> None:
    """Create `armed`; reset the machine unless somebody deletes it, or arms another deadline, within `seconds`."""
    with sysrq.open("wb", buffering=0) as trigger, log.open("wb", buffering=0) as kernel:
        temporary = armed.with_name(f".{armed.name}.{os.getpid()}")
        with temporary.open("wb") as mark:
            temporary.replace(armed)
            _tell_systemd()
            end = time.monotonic() + seconds
            while os.fstat(mark.fileno()).st_nlink:
                if time.monotonic() < end:
                    time.sleep(_STEP_SECONDS)
                    continue
                kernel.write(
                    f"<2>invar: no checks began within {seconds:.0f} seconds of a soft-reboot: restarting\n".encode()
                )
                trigger.write(b"s")
                time.sleep(sync_seconds)
                trigger.write(b"b")
                return


def _tell_systemd() -> None:
    """READY=1 of sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)
