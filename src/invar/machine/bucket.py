"""A build cache in an S3 bucket, read with the instance's role: signed requests, and S3's answers in words.

Follows the Amazon S3 API Reference: GetObject, "Error responses", "Making requests" (virtual-hosted and path style).
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from invar.machine.cache_source import Absent, Broken, Web
from invar.machine.sigv4 import Credentials, signed_headers

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_LARGEST_ERROR = 1 << 16
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+")
_ELSEWHERE = (
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
)
"""How S3 says that a bucket is another region's. AuthorizationHeaderMalformed: the scope of the signature is."""
_EXPIRED = ("ExpiredToken", "TokenRefreshRequired")
_ABSENT = ("NoSuchKey", "NoSuchBucket", "AccessDenied", "AllAccessDisabled")

_HINTS = {
    "AccessDenied": "the role needs s3:GetObject; without s3:ListBucket, what is not there is told so too",
    "RequestTimeTooSkewed": "the machine's clock is wrong: `timedatectl`",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bucket is asked: at its own host in a region, or below an endpoint (path style), a VPC's for example.

    `prefix` is "" or begins with a slash, unquoted.
    """

    bucket: str
    prefix: str
    domain: str
    endpoint: str | None = None

    def address(self, region: str) -> str:
        """The URL that files' names are put behind. AWS's certificate does not cover a bucket's name with dots."""
        if self.endpoint is not None:
            return f"{self.endpoint.rstrip('/')}/{self.bucket}{quote(self.prefix)}"
        if "." in self.bucket:
            return f"https://s3.{region}.{self.domain}/{self.bucket}{quote(self.prefix)}"
        return f"https://{self.bucket}.s3.{region}.{self.domain}{quote(self.prefix)}"


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer of S3 that is no object. `region` is the one that it names, if any."""

    status: int
    code: str
    message: str
    region: str

    def __str__(self) -> str:
        hint = _HINTS.get(self.code)
        return f"{self.code or f'HTTP {self.status}'}: {self.message}" + (f" ({hint})" if hint else "")


class Bucket(Web):
    """A build cache in a bucket. `role` gives newer credentials, once those that there are have expired."""

    def __init__(
        self, address: str, bucket: Place, region: str, credentials: Credentials, role: Callable[[], Credentials]
    ) -> None:
        super().__init__(address, bucket.address(region))
        self._bucket = bucket
        self._region = region
        self._credentials = credentials
        self._role = role

    def _ask(self, name: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        """As `Web._ask`; a bucket of another region is followed there, expired credentials are renewed, each once."""
        renewed = moved = False
        while True:
            try:
                answer: http.client.HTTPResponse = _opener().open(
                    self._request(self.url(name), headers), timeout=self.silence_seconds
                )
                return answer
            except urllib.error.HTTPError as error:
                fault = read_fault(error)
                if fault.code in _EXPIRED and not renewed:
                    renewed, self._credentials = True, self._role()
                elif fault.region and fault.region != self._region and not moved:
                    moved, self._region = True, fault.region
                    self.place = self._bucket.address(fault.region)
                else:
                    raise _told(fault, error) from error

    def _request(self, url: str, headers: dict[str, str]) -> urllib.request.Request:
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
        return urllib.request.Request(url, headers=headers | {k: v for k, v in signed.items() if k != "Host"})


def read_fault(error: urllib.error.HTTPError) -> Fault:
    """What S3 means: the XML of its answer, and its header x-amz-bucket-region."""
    code = message = region = ""
    try:
        root = ET.fromstring(error.read(_LARGEST_ERROR))
        if root.tag.rpartition("}")[2] == "Error":
            code, message, region = (root.findtext(name) or "" for name in ("Code", "Message", "Region"))
    except (ET.ParseError, OSError, http.client.HTTPException):
        pass  # no answer of S3's: the status has to do
    if code in _ELSEWHERE or error.code in (301, 307):
        region = error.headers.get("x-amz-bucket-region") or region
    else:
        region = ""
    return Fault(error.code, code, message or error.reason, region if _REGION.fullmatch(region) else "")


def _told(fault: Fault, error: urllib.error.HTTPError) -> Exception:
    if fault.code in _ABSENT:
        return Absent(str(fault))
    if fault.code == "InvalidRange" or fault.code == "":
        return error
    return Broken(str(fault))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signature is for one host: what S3 answers is read, and signed anew."""

    def redirect_request(self, *_: object) -> None:
        return None


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    """Made when it is first used: it reads in every certificate authority."""
    return urllib.request.build_opener(_NoRedirect)
