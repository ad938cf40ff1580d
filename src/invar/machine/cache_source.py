"""Where published systems are fetched from: a build cache in a directory or behind a web server, from an offset."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

CHUNK = 1 << 18
SILENCE_SECONDS = 30.0
"""How long a cache may say nothing."""

_ABSENT = {
    403: "it has none, or does not let this machine read it",
    404: "it has none",
    410: "it has none any more",
}


class Absent(Exception):
    """The cache has no such file; the text says what it answered."""


class Broken(Exception):
    """The cache cannot be reached, or a transfer did not end well: worth another try."""


class Source(Protocol):
    """A build cache. `address` is for people. `authentic`: nobody on the way can answer in its place."""

    address: str
    authentic: bool

    def open(self, name: str, offset: int) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """The offset at which the answer begins, and its bytes. Raises Absent, Broken, also while they are read."""
        ...


class Directory:
    """A build cache in a directory of this machine, a volume's for example."""

    def __init__(self, address: str, path: Path) -> None:
        self.address = address
        self.authentic = True
        self._path = path

    @contextmanager
    def open(self, name: str, offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """As `Source.open`."""
        try:
            with (self._path / name).open("rb") as file:
                file.seek(offset)
                yield offset, _chunks(file)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Absent(_ABSENT[404]) from error
        except OSError as error:
            raise Broken(error.strerror or str(error)) from error


class Web:
    """A build cache that a web server serves."""

    silence_seconds = SILENCE_SECONDS

    def __init__(self, address: str, place: str | None = None) -> None:
        self.address = address
        self.place = (place or address).rstrip("/")
        self.authentic = self.place.startswith("https:")

    @contextmanager
    def open(self, name: str, offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """As `Source.open`."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "invar"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            with self._ask(name, headers) as answer:
                yield (offset if answer.status == 206 else 0), _whole(answer)
        except urllib.error.HTTPError as error:
            if error.code in _ABSENT:
                raise Absent(_ABSENT[error.code]) from error
            if error.code == 416:
                raise Broken("it is shorter than what is here already") from error
            raise Broken(f"HTTP {error.code} {error.reason}") from error
        except urllib.error.URLError as error:
            raise Broken(_told(error.reason)) from error
        except (OSError, http.client.HTTPException) as error:
            raise Broken(_told(error)) from error

    def url(self, name: str) -> str:
        """Where a file of the cache is asked for."""
        return f"{self.place}/{name}"

    def _ask(self, name: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        """Raises OSError, of which HTTPError is the answer that is no file; HTTPException; Absent or Broken."""
        request = urllib.request.Request(self.url(name), headers=headers)
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=self.silence_seconds)
        return answer


def _whole(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    yield from _chunks(answer)
    if answer.length:
        raise Broken(f"the connection ended {answer.length} bytes before the end")


def _chunks(file: IO[bytes] | http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _told(reason: object) -> str:
    text = str(reason) or type(reason).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"{text}; pkgs.cacert in environment.systemPackages brings the public certificate authorities"
    return text
