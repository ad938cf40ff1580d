"""Where published systems are fetched from: a build cache at an http, https, s3 or file address, from an offset."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import quote, unquote, urlsplit

from invar.core.errors import ExitCode, InvarError
from invar.machine.metadata import ENDPOINTS, connect, patience_here
from invar.machine.secrets import role_credentials
from invar.machine.sigv4 import Credentials, signed_headers

CHUNK = 1 << 18
SILENCE_SECONDS = 30.0
"""How long a cache may say nothing."""

_ABSENT = {
    403: "it has none, or does not let this machine read it",
    404: "it has none",
    410: "it has none any more",
}
"""S3 answers 403 for what is not there to those who may not list."""
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


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

    def __init__(self, address: str, place: str | None = None) -> None:
        self.address = address
        self._place = (place or address).rstrip("/")
        self.authentic = self._place.startswith("https:")

    @contextmanager
    def open(self, name: str, offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """As `Source.open`."""
        url = self.url(name)
        headers = {"Accept-Encoding": "identity", "User-Agent": "invar"} | self._headers(url)
        if offset:
            headers["Range"] = f"bytes={offset}-"
        request = urllib.request.Request(url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=SILENCE_SECONDS) as answer:
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
        return f"{self._place}/{name}"

    def _headers(self, url: str) -> dict[str, str]:
        del url
        return {}


class Bucket(Web):
    """A build cache in an S3 bucket, read with the instance's role. `place` is https://BUCKET.s3.REGION.DOMAIN/PREFIX."""

    def __init__(self, address: str, place: str, region: str, credentials: Credentials) -> None:
        super().__init__(address, place)
        self._region = region
        self._credentials = credentials

    def _headers(self, url: str) -> dict[str, str]:
        signed = signed_headers(
            url,
            b"",
            {"X-Amz-Content-Sha256": _EMPTY_SHA256},
            self._credentials,
            method="GET",
            region=self._region,
            service="s3",
            timestamp=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
        )
        return {name: value for name, value in signed.items() if name != "Host"}


def source_of(address: str, endpoints: Sequence[str] = ENDPOINTS) -> Source:
    """The cache at an address. For s3:// the instance's role is asked for, at the metadata service's `endpoints`.

    Raises InvarError for what is no such address, Broken when the instance has no role.
    """
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Directory(address, Path(unquote(parts.path)))
    if parts.scheme in ("http", "https") and parts.netloc:
        return Web(address)
    if parts.scheme == "s3" and parts.netloc:
        return _bucket(address, parts.netloc, parts.path, endpoints)
    raise InvarError(
        f"{address!r} is no address of a build cache",
        hint="https://HOST/PATH, http://HOST/PATH, s3://BUCKET/PREFIX or file:///DIRECTORY",
        exit_code=ExitCode.USAGE,
    )


def _bucket(address: str, bucket: str, prefix: str, endpoints: Sequence[str]) -> Bucket:
    session = connect(patience_here(), endpoints)
    if session is None:
        raise Broken("no metadata service answers, so that there is no role to read the bucket with")
    try:
        credentials = role_credentials(session)
        region = session.text("meta-data/placement/region") or ""
        domain = session.text("meta-data/services/domain") or "amazonaws.com"
    except InvarError as error:
        raise Broken(error.what) from error
    place = f"https://{bucket}.s3.{region}.{domain}{quote(prefix.rstrip('/'))}"
    return Bucket(address, place, region, credentials)


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
