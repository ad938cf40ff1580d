"""The serial console seen from other processes: its text, waiting for a line of it, attaching a terminal to it."""

from __future__ import annotations

import os
import re
import select
import socket
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from invar.core.errors import InvarError
from invar.vm import unix_socket
from invar.vm.record import Machine
from invar.vm.supervisor import CONSOLE_SOCKET

ESCAPE = b"\x1d"
"""What leaves an attached console: Ctrl-], as in telnet and virsh."""

_TAIL_LINES = 25
_CHUNK = 65_536
_LONGEST_LINE = 4096
_CONTROL_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI (ECMA-48, 5.4)
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC
    r"|\x1b[PX^_].*?\x1b\\"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f]",
    re.DOTALL,
)
_FATAL_MARKS = (
    "Kernel panic - not syncing",
    "You are in emergency mode",
    "Unable to mount root fs",
    "BdsDxe: No bootable option or device was found",
    "UEFI Interactive Shell",
)
_FATAL = re.compile(rf"^.*(?:{'|'.join(map(re.escape, _FATAL_MARKS))}).*$", re.MULTILINE)


def plain_text(data: bytes) -> str:
    """Console output as text: without terminal control sequences and carriage returns, invalid UTF-8 replaced."""
    return _CONTROL_SEQUENCE.sub("", data.decode(errors="replace"))


def log_text(machine: Machine) -> str:
    """Everything that the console has shown, as plain text; empty when there is no record of it."""
    try:
        return plain_text(machine.console_log.read_bytes())
    except FileNotFoundError:
        return ""


def tail(machine: Machine, lines: int = _TAIL_LINES) -> str:
    """The console's last lines that are not blank, for an error's `why`."""
    shown = [line.rstrip() for line in log_text(machine).splitlines() if line.strip()]
    return "\n".join(["the console's last lines:", *shown[-lines:]]) if shown else "the console has shown nothing"


def fatal_line(text: str) -> str | None:
    """The first line that tells that the machine will not come up: a panic, emergency mode, nothing bootable."""
    found = _FATAL.search(text)
    return found[0].strip() if found else None


class Console:
    """A connection to a running machine's console: all it has shown so far, then what follows.


    A context manager. Raises InvarError when the machine does not run.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.fatal: str | None = None
        """The line that told that the machine will not come up, once there was one; see `fatal_line`."""
        self._raw = bytearray()
        self._unfinished_line = b""
        try:
            self._socket = unix_socket.connect(machine.directory / CONSOLE_SOCKET)
        except OSError as fault:
            raise ended(machine) from fault

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor to select on."""
        return self._socket.fileno()

    def receive(self) -> bytes:
        """The next piece of output, as it is; b"" when the machine has ended."""
        try:
            data = self._socket.recv(_CHUNK)
        except ConnectionError:
            data = b""
        self._raw += data
        whole, _, rest = (self._unfinished_line + data).rpartition(b"\n")
        self._unfinished_line = rest[-_LONGEST_LINE:]
        if any(mark.encode() in whole for mark in _FATAL_MARKS):
            self.fatal = self.fatal or fatal_line(plain_text(whole))
        return data

    def hang_up(self) -> None:
        """End the connection, so that a `receive` in another thread returns b""."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def type(self, keys: bytes) -> None:
        """Type into the machine."""
        self._socket.sendall(keys)

    @property
    def text(self) -> str:
        """All that was received so far, as plain text."""
        return plain_text(bytes(self._raw))

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait until the console's text matches a regular expression (multi-line).

        Raises InvarError with the console's tail when the machine ends, panics, or `seconds` have passed.
        """
        wanted = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + seconds
        while True:
            text = self.text
            if found := wanted.search(text):
                return found
            if self.fatal:
                raise did_not_come_up(self.machine, self.fatal)
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fileno()], [], [], left)[0]:
                raise InvarError(
                    f"the console of {self.machine.name} did not show {pattern!r} within {seconds:.0f} s",
                    why=tail(self.machine),
                )
            if not self.receive():
                raise ended(self.machine)


def ended(machine: Machine) -> InvarError:
    """The error for a machine that does not run any more, with what its console showed last."""
    try:
        reason = machine.refreshed().reason
    except InvarError:
        reason = None
    return InvarError(f"the machine {machine.name} does not run" + (f": {reason}" if reason else ""), why=tail(machine))


def did_not_come_up(machine: Machine, line: str) -> InvarError:
    """The error for a machine whose console has shown a fatal line."""
    return InvarError(f"the machine {machine.name} did not come up: {line}", why=tail(machine))


def attach(machine: Machine, *, output: int = 1, keyboard: int | None = 0) -> bool:
    """Show the console on a descriptor until the machine ends (False) or the user leaves with ESCAPE (True).

    What comes from `keyboard` is typed into the machine; a terminal is put into raw mode meanwhile. With None, or at
    the keyboard's end, the console is only shown. Of a machine that has ended its record is shown.
    """
    try:
        console = Console(machine)
    except InvarError:
        _write_all(output, machine.console_log.read_bytes() if machine.console_log.exists() else b"")
        return False
    with console, _raw_mode(keyboard):
        while True:
            watched = [console.fileno()] if keyboard is None else [console.fileno(), keyboard]
            readable, _, _ = select.select(watched, [], [])
            if console.fileno() in readable:
                shown = console.receive()
                if not shown:
                    return False
                _write_all(output, shown)
            if keyboard is not None and keyboard in readable:
                typed = os.read(keyboard, 1024)
                if ESCAPE in typed:
                    return True
                if not typed:
                    keyboard = None
                else:
                    console.type(typed)


@contextmanager
def _raw_mode(keyboard: int | None) -> Iterator[None]:
    if keyboard is None or not os.isatty(keyboard):
        yield
        return
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
