"""A sandbox that stays for a sequence of commands: composed once, and what commands change in it remains."""

from __future__ import annotations

import marshal
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO

from invar.core.children import interrupts_held
from invar.core.errors import InvarError
from invar.sandbox.launch import command_failed, sandbox_argv, setup_failed, timed_out, wait_until
from invar.sandbox.spec import Bind, Command, Completed, Root

_START_SECONDS = 60.0


class Session:
    """A context manager; inside it `run` runs commands one after another in the same namespaces.

    Leaving it, or dying in any way, kills everything inside and with the last process every mount goes. One thread at a
    time may use it; what a command leaves running is killed when it ends. Entering raises InvarError when the sandbox
    can't be made.
    """

    def __init__(self, root: Root | None, *, binds: Sequence[Bind] = (), network: bool = False) -> None:
        self._arguments = (root, binds, network)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Session:
        root, binds, network = self._arguments
        self._channel, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fault, fault_inside = os.pipe()
        try:
            try:
                with interrupts_held():
                    self._process = subprocess.Popen(
                        sandbox_argv(None, root, binds, network, lifeline=inside.fileno(), fault=fault_inside),
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        pass_fds=(inside.fileno(), fault_inside),
                        start_new_session=True,
                    )
            finally:
                inside.close()
                os.close(fault_inside)
            started = wait_until(self._channel.fileno(), time.monotonic() + _START_SECONDS)
            if not started or self._channel.recv(64) != b"ready":
                self._process.kill()
                raise setup_failed(os.read(fault, 1 << 16) or b"0 the sandbox could not be made: it ended at once")
        except BaseException:
            self.close()
            raise
        finally:
            os.close(fault)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill everything inside; the mounts go with it. A second call does nothing."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(
        self,
        command: Command,
        *,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[bytes] | int | None = None,
        check: bool = True,
    ) -> Completed:
        """Run a command to its end. With `stdout` its standard output goes there, and only stderr is in the result.

        Raises InvarError as `invar.sandbox.launch.run` does; after a timeout the session is closed.
        """
        with self._lock, tempfile.TemporaryFile() as output:
            deadline = time.monotonic() + command.timeout
            try:
                status = self._exchange(command, output, stdin, stdout, deadline)
            except BaseException:
                self.close()
                raise
            output.seek(0)
            completed = Completed(-1 if status is None else status, output.read())
        if status is None:
            raise timed_out(command, completed.output)
        if check and status != 0:
            raise command_failed(command, completed)
        return completed

    def _exchange(
        self,
        command: Command,
        output: IO[bytes],
        stdin: IO[bytes] | int | None,
        stdout: IO[bytes] | int | None,
        deadline: float,
    ) -> int | None:
        if self._channel is None:
            raise InvarError("the sandbox is closed", where=" ".join(command.argv))
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (the null device is no file of ours)
            descriptors = [
                _number(nothing if stdin is None else stdin),
                _number(output if stdout is None else stdout),
                output.fileno(),
            ]
            try:
                socket.send_fds(self._channel, [marshal.dumps(command.to_data())], descriptors)
            except ConnectionError as error:
                raise _ended(command) from error
        if not wait_until(self._channel.fileno(), deadline):
            self.close()
            return None
        try:
            answer = self._channel.recv(64)
        except ConnectionError as error:  # it died with our request unread
            raise _ended(command) from error
        if not answer:
            raise _ended(command)
        return int(answer)


def _ended(command: Command) -> InvarError:
    return InvarError("the sandbox ended before its command did", where=" ".join(command.argv))


def _number(file: IO[bytes] | int) -> int:
    return file if isinstance(file, int) else file.fileno()
