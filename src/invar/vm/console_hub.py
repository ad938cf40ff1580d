"""The serial console inside the supervisor: recorded, shown to everyone who attaches, typed into by any of them."""

from __future__ import annotations

import os
import selectors
import socket
from contextlib import suppress
from pathlib import Path

_CHUNK = 65_536
_BACKLOG = 4 << 20
"""A client that lets so many bytes pile up beyond what it was first sent is dropped; the log has everything."""


class ConsoleHub:
    """Joins QEMU's serial socket, a log file and clients of a listening unix socket in a selector's loop.

    Each client first gets the whole record so far, then what follows; what it sends is typed into the machine. The
    selector's keys carry a callable that takes the ready mask.
    """

    def __init__(
        self, selector: selectors.BaseSelector, serial: socket.socket, listener: socket.socket, log: Path
    ) -> None:
        self._selector = selector
        self._serial = serial
        self._listener = listener
        self._log_path = log
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._pending: dict[socket.socket, bytearray] = {}
        self._limits: dict[socket.socket, int] = {}
        self._typed = bytearray()
        serial.setblocking(False)
        listener.setblocking(False)
        selector.register(serial, selectors.EVENT_READ, self._serial_ready)
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Record what QEMU wrote last, give it to the clients as far as they take it, and let go of everything."""
        if self._serial.fileno() >= 0:
            self._drain()
        for client in list(self._pending):
            self._flush(client)
            self._drop(client)
        if self._listener.fileno() >= 0:
            self._selector.unregister(self._listener)
            self._listener.close()
        os.close(self._log)

    def _drain(self) -> None:
        while self._serial.fileno() >= 0 and self._read_serial():
            pass
        self._end_serial()

    def _serial_ready(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._type()
        if mask & selectors.EVENT_READ:
            self._read_serial()

    def _read_serial(self) -> bool:
        """Pass on one chunk; False when there is none now."""
        try:
            data = self._serial.recv(_CHUNK)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if not data:
            self._end_serial()
            return False
        os.write(self._log, data)
        for client in list(self._pending):
            self._send(client, data)
        return True

    def _end_serial(self) -> None:
        if self._serial.fileno() >= 0:
            self._selector.unregister(self._serial)
            self._serial.close()

    def _accept(self, mask: int) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        client.setblocking(False)
        self._pending[client] = bytearray()
        self._selector.register(client, selectors.EVENT_READ, lambda ready: self._client_ready(client, ready))
        self._pending[client] += self._log_path.read_bytes()
        self._limits[client] = len(self._pending[client]) + _BACKLOG
        self._flush(client)

    def _client_ready(self, client: socket.socket, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush(client)
        if mask & selectors.EVENT_READ and client in self._pending:
            try:
                typed = client.recv(_CHUNK)
            except BlockingIOError:
                return
            except ConnectionError:
                typed = b""
            if typed:
                self._typed += typed
                self._type()
            else:
                self._drop(client)

    def _type(self) -> None:
        if self._serial.fileno() < 0:
            return
        with suppress(BlockingIOError, ConnectionError):
            sent = self._serial.send(self._typed)
            del self._typed[:sent]
        self._selector.modify(self._serial, _interest(bool(self._typed)), self._serial_ready)

    def _send(self, client: socket.socket, data: bytes) -> None:
        self._pending[client] += data
        self._flush(client)
        if client in self._pending and len(self._pending[client]) > self._limits[client]:
            self._drop(client)

    def _flush(self, client: socket.socket) -> None:
        pending = self._pending[client]
        try:
            sent = client.send(pending) if pending else 0
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            self._drop(client)
            return
        del pending[:sent]
        self._selector.modify(client, _interest(bool(pending)), self._selector.get_key(client).data)

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._pending[client], self._limits[client]
        client.close()


def _interest(also_write: bool) -> int:
    return selectors.EVENT_READ | (selectors.EVENT_WRITE if also_write else 0)
