"""Questions to a running machine's supervisor over its control socket: one JSON line asks, one answers."""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from invar.core.errors import InvarError
from invar.vm import unix_socket
from invar.vm.qmp import QmpClient, UserConnection
from invar.vm.record import Machine

NEW_USER_DATA = "user-data.new"
"""In the machine's directory, until the supervisor has read it: it may hold secrets."""

_ANSWER_SECONDS = 30.0
_MAX_LINE = 4096


def connections(machine: Machine) -> tuple[UserConnection, ...]:
    """The TCP connections through the machine's user network, as QEMU sees them. Raises InvarError."""
    return tuple(UserConnection(**line) for line in _ask(machine, "connections"))


def reset(machine: Machine) -> None:
    """Press the reset button."""
    _ask(machine, "reset")


def set_user_data(machine: Machine, user_data: bytes) -> None:
    """Let the metadata service answer with other user data from now on. Raises InvarError."""
    path = machine.directory / NEW_USER_DATA
    path.touch(mode=0o600)
    path.write_bytes(user_data)
    _ask(machine, "user-data")


def _ask(machine: Machine, verb: str) -> Any:
    try:
        with unix_socket.connect(machine.directory / "control.sock", _ANSWER_SECONDS) as connection:
            connection.sendall(json.dumps({"verb": verb}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline() or b"{}")
    except OSError as fault:
        raise InvarError(
            f"the machine {machine.name} does not answer", why=str(fault), hint="see `invar ps`"
        ) from fault
    if "answer" not in answer:
        raise InvarError(f"the machine {machine.name} refused {verb}", why=answer.get("error"))
    return answer["answer"]


class ControlServer:
    """Answers in the supervisor's selector loop. A connection asks one question."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        listener: socket.socket,
        qmp: QmpClient,
        take_user_data: Callable[[], None],
    ) -> None:
        self._selector = selector
        self._listener = listener
        self._qmp = qmp
        self._take_user_data = take_user_data
        self._clients: dict[socket.socket, bytearray] = {}
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Hang up on everyone."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.unregister(self._listener)
        self._listener.close()

    def _accept(self, mask: int) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        client.setblocking(False)
        self._clients[client] = bytearray()
        self._selector.register(client, selectors.EVENT_READ, lambda ready: self._read(client))

    def _read(self, client: socket.socket) -> None:
        question = self._clients[client]
        try:
            data = client.recv(_MAX_LINE)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        question += data
        if b"\n" in question:
            client.setblocking(True)
            client.settimeout(_ANSWER_SECONDS)
            with suppress(OSError):
                client.sendall(json.dumps(self._answer(question)).encode() + b"\n")
            self._drop(client)
        elif not data or len(question) > _MAX_LINE:
            self._drop(client)

    def _answer(self, question: bytearray) -> dict[str, Any]:
        try:
            match json.loads(question):
                case {"verb": "connections"}:
                    lines = self._qmp.user_connections()
                    return {
                        "answer": [{name: getattr(line, name) for name in line.__dataclass_fields__} for line in lines]
                    }
                case {"verb": "reset"}:
                    return {"answer": self._qmp.execute("system_reset")}
                case {"verb": "user-data"}:
                    self._take_user_data()
                    return {"answer": None}
                case _:
                    return {"error": "no such verb"}
        except ValueError as fault:
            return {"error": str(fault)}
        except InvarError as fault:
            return {"error": fault.what}
        except OSError as fault:
            return {"error": str(fault)}

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._clients[client]
        client.close()
