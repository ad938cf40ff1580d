"""`GET /proof?nonce=N` on one connection, which systemd hands over as standard input.

Runs as a user of its own that may do nothing: it asks the part that gathers proof, root's, over a unix socket and
passes the answer on.
"""

from __future__ import annotations

import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from invar.core.errors import ExitCode

SOCKET = "/run/invar/proof.sock"

_CLIENT_SECONDS = 10.0
_GATHER_SECONDS = 60.0
_MAX_ANSWER = 1 << 20
_MAX_NONCE = 128


def main(arguments: list[str]) -> int:
    """Answer the one request on standard input."""
    with socket.socket(fileno=0) as connection:
        connection.settimeout(_CLIENT_SECONDS)
        try:
            answer(connection, SOCKET)
        except OSError as error:
            print(f"the client went away: {error}", file=sys.stderr)
    return ExitCode.DONE


def answer(connection: socket.socket, gatherer: str) -> None:
    """Read one request from `connection` and answer it, with what is to be had at the unix socket `gatherer`.

    Raises OSError when the client goes away or is too slow.
    """

    class Request(_Request):
        path_of_gatherer = gatherer

    Request(connection, ("client", 0), None)  # type: ignore[arg-type]  # there is no server: one connection


class _Request(BaseHTTPRequestHandler):
    server_version = "invar"
    sys_version = ""
    path_of_gatherer = SOCKET

    def do_GET(self) -> None:
        """The one thing that can be asked."""
        target = urlsplit(self.path)
        nonces = parse_qs(target.query).get("nonce", [""])
        if target.path != "/proof":
            self.send_error(HTTPStatus.NOT_FOUND)
        elif len(nonces) != 1 or len(nonces[0]) > _MAX_NONCE or not nonces[0].isprintable():
            self.send_error(HTTPStatus.BAD_REQUEST, "one nonce of 1 to 128 letters, digits and ._~+/=-")
        else:
            self._pass_on(nonces[0])

    def _pass_on(self, nonce: str) -> None:
        try:
            proof = ask(self.path_of_gatherer, nonce)
        except OSError:
            proof = b""
        if not proof.startswith(b"{"):
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "no proof can be gathered, or this is no nonce")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(proof)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(proof)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: anyone may make any number."""


def ask(gatherer: str, nonce: str) -> bytes:
    """The proof as JSON, from the part of Invar that may gather it. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_GATHER_SECONDS)
        connection.connect(gatherer)
        connection.sendall(nonce.encode() + b"\n")
        connection.shutdown(socket.SHUT_WR)
        chunks = b""
        while len(chunks) <= _MAX_ANSWER and (chunk := connection.recv(65536)):
            chunks += chunk
        return chunks
