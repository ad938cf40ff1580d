"""Load balancers that balance: a listener on loopback forwards each HTTP request to a healthy target."""

from __future__ import annotations

import http.client
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

TIMEOUT = 60.0
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length")
)
LARGEST_BODY = 64 << 20

Pick = Callable[[], list[tuple[str, int]]]


class Listener:
    """One listening port. `pick` gives the (address, port) of the targets that may be asked now."""

    def __init__(self, address: str, port: int, pick: Pick) -> None:
        """Raises OSError when the port cannot be opened."""
        self._server = _Server((address, port), _Request)
        self._server.pick = pick
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="balancer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests under way are answered."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    pick: Pick

    def __init__(self, *arguments: Any) -> None:
        self.turn = count()
        super().__init__(*arguments)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no event."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "awselb/2.0"
    sys_version = ""
    timeout = TIMEOUT
    server: _Server

    def do_GET(self) -> None:
        targets = self.server.pick()
        body = self._body()
        if body is None:
            return
        if not targets:
            self._refuse(503)
            return
        address, port = targets[next(self.server.turn) % len(targets)]
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        headers |= {"X-Forwarded-For": str(self.client_address[0]), "X-Forwarded-Proto": "http", "Connection": "close"}
        connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
        except TimeoutError:
            self._refuse(504)
            return
        except (OSError, http.client.HTTPException):
            self._refuse(502)
            return
        finally:
            connection.close()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            self._refuse(413)
            self.close_connection = True
            return None
        return self.rfile.read(int(length))

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return
