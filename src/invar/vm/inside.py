"""Commands inside a machine over one shared ssh connection (OpenSSH's ControlMaster)."""

from __future__ import annotations

import select
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from invar.vm.record import Machine
from invar.vm.ssh import SshAccess, ssh_argv

SSH_FAILED = 255
_READY = b"invar-ready\n"
_LOGIN_SECONDS = 60.0
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command inside ended. `status` is its exit status (255 may be ssh's own), `output` both of its streams."""

    status: int
    output: str


class Inside(Protocol):
    """Where commands of checks run, as root."""

    def run(self, argv: Sequence[str], seconds: float) -> Ran:
        """Run a command to its end, at most `seconds` (then status 124, as timeout(1) has it)."""
        ...


class LoginRefused(Exception):
    """The machine let nobody in yet; the text is ssh's last words."""


class SshInside:
    """An open connection as root. A context manager. Sessions over it may run in parallel, from several threads."""

    def __init__(self, machine: Machine, access: SshAccess) -> None:
        """Log in. Raises LoginRefused when that fails now, InvarError when it can't work."""
        self._machine = machine
        self._access = access
        self._directory = tempfile.TemporaryDirectory(prefix="invar-")
        self._socket = Path(self._directory.name) / "ssh"
        try:
            self._master = self._log_in()
        except BaseException:
            self._directory.cleanup()
            raise

    def __enter__(self) -> SshInside:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` over this connection; a single word is a line for the shell."""
        return ssh_argv(
            self._machine,
            self._access,
            command,
            terminal=False,
            options=("-S", str(self._socket), "-o", "ControlMaster=no"),
        )

    def run(self, argv: Sequence[str], seconds: float) -> Ran:
        """See `Inside.run`."""
        try:
            ran = subprocess.run(
                self.argv(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as fault:
            return Ran(124, (fault.output or b"").decode(errors="replace") + f"\n(not done within {seconds:.0f} s)")
        return Ran(ran.returncode, ran.stdout.decode(errors="replace"))

    def close(self) -> None:
        """Hang up; sessions that still run over it end."""
        self._master.terminate()
        try:
            self._master.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._master.kill()
            self._master.wait()
        if self._master.stdin:
            self._master.stdin.close()
        if self._master.stdout:
            self._master.stdout.close()
        self._directory.cleanup()

    def _log_in(self) -> subprocess.Popen[bytes]:
        """The first session, which owns the connection: it says that it is there and then waits for its input's end."""
        argv = ssh_argv(
            self._machine,
            self._access,
            ("sh", "-c", f"echo {_READY.decode().strip()}; exec cat"),
            terminal=False,
            options=(
                "-M",
                "-S",
                str(self._socket),
                "-o",
                "BatchMode=yes",
                "-o",
                f"ConnectTimeout={_LOGIN_SECONDS:.0f}",
            ),
        )
        with tempfile.TemporaryFile(dir=self._directory.name) as errors:
            master = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
            assert master.stdout is not None
            if select.select([master.stdout], [], [], _LOGIN_SECONDS)[0] and master.stdout.readline() == _READY:
                return master
            self._master = master
            master.kill()
            master.wait()
            errors.seek(0)
            raise LoginRefused(errors.read().decode(errors="replace").strip() or "ssh said nothing")
