"""Processes named so that a recycled process id is never taken for the one that was meant."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_START_TIME_FIELD = 22


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process id with the start time (clock ticks after boot, /proc/PID/stat field 22) and the boot it belongs to."""

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of a process that runs now; None when there is none (a zombie counts as none)."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()
        if fields[0] in ("Z", "X"):
            return None
        return cls(pid, int(fields[_START_TIME_FIELD - 3]), boot_id())

    @classmethod
    def own(cls) -> ProcessIdentity:
        """The identity of the calling process."""
        identity = cls.of(os.getpid())
        if identity is None:
            raise ProcessLookupError("/proc does not show the calling process")
        return identity

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self


def send(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal exactly this process. False when it no longer runs; PermissionError when it is somebody else's."""
    descriptor = open_process(identity)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def wait_for_exit(identity: ProcessIdentity, seconds: float) -> bool:
    """Wait until this process has ended, at most `seconds`; whether it has. It need not be a child."""
    descriptor = open_process(identity)
    if descriptor is None:
        return True
    try:
        return bool(select.select([descriptor], [], [], max(0.0, seconds))[0])
    finally:
        os.close(descriptor)


def open_process(identity: ProcessIdentity) -> int | None:
    """A pidfd of this process for the caller to close (readable once it ended), or None when it no longer runs.

    The descriptor is taken before the identity is compared: what it names can't be recycled afterwards.
    """
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    if identity.alive:
        return descriptor
    os.close(descriptor)
    return None


def start_with_descriptors(
    argv: Sequence[str], descriptors: Mapping[int, int], directory: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Start a program in `directory`, with descriptors of ours at the numbers it expects them at; it writes to `log`.

    It is killed when the calling thread ends (prctl(2), PR_SET_PDEATHSIG). Everything else that is open here stays
    here, as Python opens files close-on-exec.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        for number, descriptor in descriptors.items():
            os.dup2(descriptor, number)

    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            close_fds=False,
            preexec_fn=before_exec,
        )


def boot_id() -> str:
    """The kernel's name for the time since the host booted."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
