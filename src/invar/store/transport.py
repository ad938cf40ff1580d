"""Getting bytes from an address: http, https and file addresses, from an offset, with every stall bounded."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError

CHUNK = 256 * 1024
CONNECT_SECONDS = 10.0
STALL_SECONDS = 30.0

Fault = Literal["missing", "unreachable", "broken"]


class TransferError(Exception):
    """A transfer that failed. "missing": the mirror answered that it has no such file. "unreachable": no answer at all.

    "broken": the transfer began and did not end well, or the mirror is in trouble; worth another try.
    """

    def __init__(self, fault: Fault, address: str, reason: str) -> None:
        super().__init__(f"{address}: {reason}")
        self.fault = fault
        self.address = address
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Body:
    """What a mirror sends: `start` is the offset at which it really begins (0 when a range was not honoured)."""

    start: int
    chunks: Iterator[bytes]


class Transport:
    """Connections to mirrors, kept open and shared by threads.

    `proxies` maps "http" and "https" to a proxy's address, "no" to the hosts that need none (see
    `proxies.read_proxies`).
    `stall` is how long (seconds) a mirror may be silent.
    """

    def __init__(
        self, *, connections: int = 8, proxies: Mapping[str, str] | None = None, stall: float = STALL_SECONDS
    ) -> None:
        self._options: dict[str, Any] = {
            "maxsize": connections,
            "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=stall),
            "retries": urllib3.Retry(total=5, connect=0, read=0, status=0, other=0, redirect=5),
        }
        self._proxies = dict(proxies or {})
        self._direct = urllib3.PoolManager(**self._options)
        self._through = {
            scheme: urllib3.ProxyManager(address, **self._options)
            for scheme, address in self._proxies.items()
            if scheme in ("http", "https")
        }

    def get(self, address: str, *, limit: int, deadline: float) -> bytes:
        """A whole file in memory, at most `limit` bytes. Raises TransferError."""
        parts = []
        size = 0
        with self.open(address, deadline=deadline) as body:
            for chunk in body.chunks:
                size += len(chunk)
                if size > limit:
                    raise TransferError("broken", address, f"it is longer than the {limit} bytes that were expected")
                parts.append(chunk)
        return b"".join(parts)

    def _pool(self, address: str) -> urllib3.PoolManager:
        parts = urlsplit(address)
        through = self._through.get(parts.scheme)
        if through is None or proxy_bypass(parts.netloc, self._proxies):
            return self._direct
        return through

    @contextmanager
    def open(self, address: str, *, offset: int = 0, deadline: float) -> Iterator[Body]:
        """Begin a transfer at `offset` bytes. `deadline` is a time.monotonic() value.

        Raises TransferError, also while the body is read.
        """
        if urlsplit(address).scheme == "file":
            with _open_file(address, offset) as file:
                yield Body(offset, _file_chunks(file, address))
            return
        headers = {"Accept-Encoding": "identity", "User-Agent": "invar"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            response = self._pool(address).request("GET", address, headers=headers, preload_content=False)
        except HTTPError as error:
            raise TransferError("unreachable", address, _reason(error)) from error
        try:
            if response.status in (200, 206):
                start = offset if response.status == 206 else 0
                yield Body(start, _chunks(response, address, deadline))
            elif response.status == 416:
                yield Body(0, iter(()))
            elif response.status in (403, 404, 410):
                raise TransferError("missing", address, f"HTTP {response.status} {response.reason or ''}".strip())
            else:
                raise TransferError("broken", address, f"HTTP {response.status} {response.reason or ''}".strip())
        finally:
            # A response read to its end gives its connection back; another one's connection is of no further use.
            response.close()


def _chunks(response: urllib3.BaseHTTPResponse, address: str, deadline: float) -> Iterator[bytes]:
    try:
        for chunk in response.stream(CHUNK, decode_content=False):
            if time.monotonic() > deadline:
                raise TransferError("broken", address, "the time allowed for all downloads is used up")
            yield chunk
    except (HTTPError, OSError) as error:
        raise TransferError("broken", address, _reason(error)) from error


def _open_file(address: str, offset: int) -> BinaryIO:
    try:
        file = Path(unquote(urlsplit(address).path)).open("rb")  # noqa: SIM115 (the caller closes it)
        file.seek(offset)
    except FileNotFoundError as error:
        raise TransferError("missing", address, "no such file") from error
    except OSError as error:
        raise TransferError("unreachable", address, error.strerror or str(error)) from error
    return file


def _file_chunks(file: BinaryIO, address: str) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK):
            yield chunk
    except OSError as error:
        raise TransferError("broken", address, error.strerror or str(error)) from error


def _reason(error: BaseException) -> str:
    """The last and most telling part of what the connection library says."""
    cause = getattr(error, "reason", None) or error
    text = re.sub(r"\[Errno -?\d+\] ", "", str(cause)).rpartition(": ")[2]
    return text.strip("' ") or type(cause).__name__
