"""The client of EC2's instance metadata service, version 2: sessions by token, IPv4 first, IPv6 where that is silent.

Follows "Use the Instance Metadata Service to access instance metadata" of the Amazon EC2 User Guide.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from invar.core.errors import InvarError

ENDPOINTS = ("http://169.254.169.254", "http://[fd00:ec2::254]")

_DMI_VENDOR = Path("/sys/class/dmi/id/sys_vendor")
_EC2_VENDOR = "Amazon EC2"
_PATIENCE_ON_EC2 = 300.0
_PATIENCE_ELSEWHERE = 25.0
_TOKEN_SECONDS = 600
_ANSWER_SECONDS = 5.0
_CONNECT_SECONDS = 2.0
_ATTEMPTS = 5
_FIRST_PAUSE = 0.5
_MAX_BODY = 1 << 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What an instance is told about itself.

    `host_name` is the private DNS name, `public_keys` lines for authorized_keys, `tags` those of the instance where
    metadata may show them. `user_data` is as it was sent, None when there is none.
    """

    instance_id: str
    host_name: str | None
    region: str | None
    public_keys: tuple[str, ...]
    tags: dict[str, str]
    user_data: bytes | None


class Metadata:
    """A session with the service at one endpoint; its token is renewed when the service wants that."""

    def __init__(self, endpoint: str, token: str) -> None:
        self.endpoint = endpoint
        self._token = token

    def get(self, path: str) -> bytes | None:
        """What lies at `path` (below /latest/); None when nothing does.

        Raises InvarError when the service gives no proper answer, after a few attempts.
        """
        fault = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_FIRST_PAUSE * attempt)
            try:
                status, body = _ask(self.endpoint, "GET", f"/latest/{path}", {"X-aws-ec2-metadata-token": self._token})
                if status == 401:
                    self._token = _new_token(self.endpoint)
            except (OSError, http.client.HTTPException) as error:
                fault = f"{type(error).__name__}: {error}"
                continue
            if status == 200:
                return body
            if status == 404:
                return None
            fault = f"status {status}"
        raise InvarError(f"the metadata service does not give {path}", where=self.endpoint, why=fault)

    def text(self, path: str) -> str | None:
        """As `get`, for text without its last line end."""
        body = self.get(path)
        return None if body is None else body.decode("utf-8", errors="replace").strip()

    def names(self, path: str) -> tuple[str, ...]:
        """The entries of a directory, without their slashes; none when there is no such directory."""
        return tuple(name.rstrip("/") for name in (self.text(path) or "").splitlines() if name.strip())


def connect(patience: float, endpoints: Sequence[str] = ENDPOINTS) -> Metadata | None:
    """A session with whichever endpoint answers first; None when none has within `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        for endpoint in endpoints:
            try:
                return Metadata(endpoint, _new_token(endpoint))
            except (OSError, http.client.HTTPException):
                continue
        if time.monotonic() + _FIRST_PAUSE > deadline:
            return None
        time.sleep(_FIRST_PAUSE)


def patience_here() -> float:
    """How long to wait for the service, in seconds: long where the machine says that it is EC2's."""
    try:
        vendor = _DMI_VENDOR.read_text().strip()
    except OSError:
        vendor = ""
    return _PATIENCE_ON_EC2 if vendor == _EC2_VENDOR else _PATIENCE_ELSEWHERE


def read_facts(metadata: Metadata) -> Facts:
    """Everything of the instance that the first boot needs. Raises InvarError."""
    instance_id = metadata.text("meta-data/instance-id")
    if not instance_id:
        raise InvarError("the metadata service knows no instance id", where=metadata.endpoint)
    keys = (
        metadata.text(f"meta-data/public-keys/{entry.partition('=')[0]}/openssh-key")
        for entry in metadata.names("meta-data/public-keys/")
    )
    tags = {
        name: metadata.text(f"meta-data/tags/instance/{name}") or ""
        for name in metadata.names("meta-data/tags/instance/")
    }
    return Facts(
        instance_id=instance_id,
        host_name=metadata.text("meta-data/hostname") or metadata.text("meta-data/local-hostname"),
        region=metadata.text("meta-data/placement/region"),
        public_keys=tuple(key for key in keys if key),
        tags=tags,
        user_data=metadata.get("user-data"),
    )


def _new_token(endpoint: str) -> str:
    """Raises OSError or HTTPException when there is none to be had."""
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
    status, body = _ask(endpoint, "PUT", "/latest/api/token", headers)
    if status != 200:
        raise http.client.HTTPException(f"status {status} for a token")
    return body.decode("ascii", errors="replace").strip()


def _ask(endpoint: str, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """One request, never through a proxy: the service is on the link."""
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=_CONNECT_SECONDS)
    try:
        connection.connect()
        connection.sock.settimeout(_ANSWER_SECONDS)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX_BODY)
    finally:
        connection.close()
