"""Serves a machine's metadata over HTTP/1.1 on a unix socket, a thread per connection."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

from invar.vm.metadata import Instance, MetadataService

_IDLE_SECONDS = 60.0
_MAX_BODY = 65_536


class MetadataServer:
    """A metadata service behind a listening stream socket, which it takes over. Use as a context manager."""

    def __init__(self, listener: socket.socket, instance: Instance) -> None:
        self._instance = instance
        self._server = _Server(listener, MetadataService(instance, time.monotonic))
        self._thread = threading.Thread(target=self._server.serve_forever, name="metadata", daemon=True)

    def set_user_data(self, user_data: bytes | None) -> None:
        """Answer with other user data from now on, as EC2 does once it was changed. Tokens given before are void."""
        self._instance = replace(self._instance, user_data=user_data)
        self._server.service = MetadataService(self._instance, time.monotonic)

    def __enter__(self) -> MetadataServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingMixIn, socketserver.BaseServer):
    """`socketserver.TCPServer` over a socket that is bound already."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, service: MetadataService) -> None:
        super().__init__(("", 0), _Request)
        self.socket = listener
        self.service = service

    def fileno(self) -> int:
        return self.socket.fileno()

    def get_request(self) -> tuple[socket.socket, Any]:
        return self.socket.accept()

    def shutdown_request(self, request: Any) -> None:
        request.close()

    def server_close(self) -> None:
        self.socket.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A guest that hangs up in the middle is no event; anything else goes to the supervisor's log."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"
    sys_version = ""
    timeout = _IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_PATCH = do_GET

    def _answer(self) -> None:
        if not self._body_read():
            return
        headers = {name.lower(): value.strip() for name, value in self.headers.items()}
        answer = self.server.service.answer(self.command, self.path, headers)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _body_read(self) -> bool:
        """Take a request's body off the connection; a length that is none ends it."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _MAX_BODY:
            self.send_error(400)
            self.close_connection = True
            return False
        self.rfile.read(int(length))
        return True

    def address_string(self) -> str:
        return "guest"

    def log_message(self, format: str, *args: Any) -> None:
        return
