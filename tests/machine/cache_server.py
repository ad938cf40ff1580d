"""A web server of a directory on loopback, with ranges, that notes what it was asked and can break transfers off."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its path, its headers, and the status of the answer."""

    path: str
    headers: dict[str, str]
    status: int


@dataclass(slots=True)
class Behaviour:
    """The next `breaks` answers end after `break_after` bytes. `status`: that of every answer, where it is not 0."""

    break_after: int = 0
    breaks: int = 0
    ranges: bool = True
    status: int = 0
    asked: list[Asked] = field(default_factory=list)


class CacheServer:
    """Serves `directory` at `address` for the time of a `with`."""

    def __init__(self, directory: Path) -> None:
        self.behaviour = Behaviour()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(_Handler, behaviour=self.behaviour, directory=str(directory))
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object, behaviour: Behaviour, directory: str) -> None:
        self.behaviour = behaviour
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]  # what the server passes on

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        wanted = self.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.behaviour.ranges else 0
        size = path.stat().st_size if path.is_file() else 0
        status = self.behaviour.status or (404 if not path.is_file() else 416 if start and start >= size else 0)
        status = status or (206 if start else 200)
        self.behaviour.asked.append(Asked(self.path, dict(self.headers), status))
        self.send_response(status)
        self.send_header("Content-Length", str(size - start if status < 300 else 0))
        self.end_headers()
        if status >= 300:
            return
        with path.open("rb") as file:
            file.seek(start)
            left = size - start
            if self.behaviour.breaks and left > self.behaviour.break_after:
                self.behaviour.breaks -= 1
                left = self.behaviour.break_after
                self.close_connection = True
            while left:
                chunk = file.read(min(left, 1 << 16))
                self.wfile.write(chunk)
                left -= len(chunk)

    def log_message(self, format: str, *arguments: object) -> None:  # the base class's name
        del format, arguments
