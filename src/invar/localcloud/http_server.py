"""A threaded WSGI server on one address that keeps connections alive: an upload makes thousands of calls."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

IDLE_SECONDS = 75.0


class Handler(MotoRequestHandler):
    """Answers the requests of one connection. The application must read every request's whole body."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        """One request. Werkzeug's own way closes the connection after each and waits 10 ms before that."""
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
            started.append((status, headers))
            return self.wfile.write

        try:
            body = b"".join(self.server.app(self.make_environ(), start_response))
        except (ConnectionError, TimeoutError):
            self.close_connection = True
            return
        except Exception:
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
            started, body = [("500 Internal Server Error", [("Content-Type", "text/plain")])], b"see cloud.log"
        status, headers = started[-1]
        self._answer(status, headers, body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: a line for every block would fill the log."""

    def _answer(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        code = int(status.split()[0])
        lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in headers if name.lower() not in ("content-length", "connection")]
        if code not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            lines.append(f"Content-Length: {len(body)}")
        if self.close_connection:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        try:
            self.wfile.write(head + (b"" if self.command == "HEAD" else body))
        except (ConnectionError, TimeoutError):
            self.close_connection = True


class Server(ThreadedWSGIServer):
    """One thread a connection; they end with the process."""

    request_queue_size = 256

    def __init__(self, address: str, port: int, application: Application) -> None:
        super().__init__(address, port, application, handler=Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)
