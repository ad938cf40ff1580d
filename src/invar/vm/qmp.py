"""A client of the QEMU Machine Protocol (QEMU's docs/interop/qmp-spec) over a connected stream socket."""

from __future__ import annotations

import json
import re
import select
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from invar.core.errors import InvarError

_REPLY_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class QmpEvent:
    """An asynchronous event of QEMU: SHUTDOWN, RESET, STOP, GUEST_PANICKED ..."""

    name: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UserConnection:
    """One line of QEMU's `info usernet`. `state` is HOST_FORWARD for a listener, else a TCP state (ESTABLISHED)."""

    state: str
    source_port: int
    destination_port: int


class QmpClosed(InvarError):
    """QEMU closed the connection: it has ended, or never began."""


class QmpRefused(InvarError):
    """QEMU answered a command with an error."""


class QmpClient:
    """One connection, used by one thread. Events that arrive while an answer is awaited are kept for `events`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()
        self._messages: deque[dict[str, Any]] = deque()
        self._events: deque[QmpEvent] = deque()

    def negotiate(self, seconds: float = _REPLY_SECONDS) -> str:
        """Read the greeting and leave negotiation mode; QEMU's version, such as "10.0.2"."""
        greeting = self._next_message(time.monotonic() + seconds)
        version = greeting["QMP"]["version"]["qemu"]
        self.execute("qmp_capabilities")
        return f"{version['major']}.{version['minor']}.{version['micro']}"

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Run a command and return its answer. QmpRefused or QmpClosed (both InvarError) when it can't be had."""
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as fault:
            raise QmpClosed(f"QEMU took no command {command}", why=str(fault)) from fault
        deadline = time.monotonic() + _REPLY_SECONDS
        while True:
            message = self._next_message(deadline)
            if "event" in message:
                self._events.append(_event(message))
            elif "error" in message:
                raise QmpRefused(f"QEMU refused the command {command}", why=str(message["error"].get("desc")))
            elif "return" in message:
                return message["return"]

    def events(self) -> list[QmpEvent]:
        """The events that have arrived, without waiting. QmpClosed when the connection ended and none is left."""
        try:
            self._receive(0.0)
        except QmpClosed:
            if not self._messages and not self._events:
                raise
        while self._messages:
            message = self._messages.popleft()
            if "event" in message:
                self._events.append(_event(message))
        arrived = list(self._events)
        self._events.clear()
        return arrived

    def user_connections(self) -> tuple[UserConnection, ...]:
        """The TCP listeners and connections of the user-mode network."""
        text = self.execute("human-monitor-command", {"command-line": "info usernet"})
        return parse_user_connections(str(text))

    def fileno(self) -> int:
        """The descriptor to select on."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close the connection; QEMU goes on."""
        self._connection.close()

    def _next_message(self, deadline: float) -> dict[str, Any]:
        while not self._messages:
            left = deadline - time.monotonic()
            if left <= 0:
                raise InvarError(
                    "QEMU's monitor gives no answer", where="QMP", hint="the machine may be starved of CPU"
                )
            self._receive(left)
        return self._messages.popleft()

    def _receive(self, seconds: float) -> None:
        if not select.select([self._connection], [], [], seconds)[0]:
            return
        try:
            data = self._connection.recv(65536)
        except ConnectionError as fault:
            raise QmpClosed("QEMU has closed its monitor", where="QMP", why=str(fault)) from fault
        if not data:
            raise QmpClosed("QEMU has closed its monitor", where="QMP")
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        self._messages.extend(json.loads(line) for line in lines if line.strip())


_USERNET_LINE = re.compile(r"^\s*TCP\[(?P<state>\w+)\]\s+\S+\s+\S+\s+(?P<source>\d+)\s+\S+\s+(?P<destination>\d+)\s")


def parse_user_connections(text: str) -> tuple[UserConnection, ...]:
    """Read the table of `info usernet`; lines that are no TCP lines are passed over."""
    matches = (_USERNET_LINE.match(line) for line in text.splitlines())
    return tuple(UserConnection(m["state"], int(m["source"]), int(m["destination"])) for m in matches if m)


def _event(message: dict[str, Any]) -> QmpEvent:
    return QmpEvent(str(message["event"]), dict(message.get("data") or {}))
