"""One look at a machine's port from outside: does it accept, what does it answer."""

from __future__ import annotations

import http.client
import select
import socket
import struct
import threading
import time
from collections import defaultdict
from dataclasses import dataclass

from invar.vm.control import connections
from invar.vm.record import Machine

_CONNECT_SECONDS = 1.5
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: what the guest did not answer in time ends with a reset."""
_GREETING_SECONDS = 15.0
_HTTP_SECONDS = 15.0
_LOOK_AGAIN_SECONDS = 0.1
_MAX_BODY = 1 << 20
_SHOWN_BODY = 300
_UNANSWERED = ("SYN_SENT", "CLOSED", "NONE")
_LISTENER = "HOST_FORWARD"


@dataclass(frozen=True, slots=True)
class Look:
    """What one attempt found: whether it is as wanted, and what was seen instead. `final`: trying again is no use."""

    passed: bool
    seen: str
    final: bool = False


class Outside:
    """Looks at one machine's forwarded ports; safe to use from several threads."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._connecting: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    def tcp(self, port: int) -> Look:
        """Whether the guest's `port` accepts a connection."""
        try:
            self._connected(port).close()
        except (_Unanswered, OSError) as fault:
            return Look(False, _told(fault))
        return Look(True, "accepts")

    def http_get(self, port: int, path: str, status: int, body: str | None) -> Look:
        """Whether GET `path` on `port` gives `status` and a body that holds `body`. Follows no redirection."""
        connection = http.client.HTTPConnection(self._machine.address, self._machine.port(port))
        try:
            connection.sock = self._connected(port)
            connection.sock.settimeout(_HTTP_SECONDS)
            connection.request("GET", path, headers={"User-Agent": "invar-check", "Connection": "close"})
            answer = connection.getresponse()
            text = answer.read(_MAX_BODY).decode(errors="replace")
        except (_Unanswered, OSError, http.client.HTTPException) as fault:
            return Look(False, _told(fault))
        finally:
            connection.close()
        if answer.status != status:
            return Look(False, f"status {answer.status}, not {status}: {_shortened(text)}")
        if body is not None and body not in text:
            return Look(False, f"the body lacks {body!r}: {_shortened(text)}")
        return Look(True, f"status {status}")

    def ssh_greets(self, port: int) -> Look:
        """Whether an ssh server greets on the guest's `port` (RFC 4253, 4.2)."""
        try:
            with self._connected(port) as connection:
                connection.settimeout(_GREETING_SECONDS)
                greeting = connection.recv(256)
        except (_Unanswered, OSError) as fault:
            return Look(False, _told(fault))
        if greeting.startswith(b"SSH-"):
            return Look(True, greeting.decode(errors="replace").strip())
        return Look(False, "no ssh server greets")

    def _connected(self, port: int) -> socket.socket:
        """A connection that the guest has accepted. Raises _Unanswered or OSError.

        A connection to a forwarded port always succeeds: QEMU takes it before it asks the guest. So it counts once the
        guest has sent something, or QEMU shows it as established; when the guest refuses, QEMU closes it.
        """
        with self._connecting[port]:
            deadline = time.monotonic() + _CONNECT_SECONDS
            connection = socket.create_connection(
                (self._machine.address, self._machine.port(port)), timeout=_CONNECT_SECONDS
            )
            try:
                while (left := deadline - time.monotonic()) > 0:
                    if select.select([connection], [], [], min(left, _LOOK_AGAIN_SECONDS))[0]:
                        if connection.recv(1, socket.MSG_PEEK):
                            return connection
                        raise _Unanswered("the connection was refused")
                    if self._newest_is_established(port):
                        return connection
                raise _Unanswered("nobody answers there, or a firewall drops it")
            except BaseException:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                connection.close()
                raise

    def _newest_is_established(self, port: int) -> bool:
        """Whether the guest has answered the newest connection to its `port`. QEMU lists the newest first.

        Older ones may be there that were given up before the guest was up: QEMU goes on trying them for a minute.
        """
        host_port = self._machine.port(port)
        ours = (seen.state for seen in connections(self._machine) if seen.source_port == host_port)
        return next((state not in _UNANSWERED for state in ours if state != _LISTENER), False)


class _Unanswered(Exception):
    """The guest did not accept the connection; the text says how."""


def _told(fault: Exception) -> str:
    if isinstance(fault, _Unanswered):
        return str(fault)
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    if isinstance(fault, http.client.RemoteDisconnected | ConnectionResetError):
        return "the connection was refused"
    return f"{type(fault).__name__}: {fault}"


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_BODY else text[:_SHOWN_BODY] + "..."
