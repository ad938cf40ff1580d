"""AWS Signature Version 4 of a request (AWS General Reference, "Signing AWS API requests")."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A role's temporary credentials. Not to be shown: `repr` leaves the secrets out."""

    access_key_id: str
    secret_access_key: str
    token: str | None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id})"


def signed_headers(
    url: str,
    body: bytes,
    headers: dict[str, str],
    credentials: Credentials,
    *,
    region: str,
    service: str,
    timestamp: str,
    method: str = "POST",
) -> dict[str, str]:
    """The headers to send `body` (for a GET: none) to `url` with: those given, and those that sign it.

    `timestamp` is the time in UTC as YYYYMMDDTHHMMSSZ; the URL has no query, and its path is quoted.
    """
    address = urlsplit(url)
    full = {**headers, "Host": address.netloc, "X-Amz-Date": timestamp}
    if credentials.token:
        full["X-Amz-Security-Token"] = credentials.token
    lowered = {name.lower(): " ".join(value.split()) for name, value in full.items()}
    names = ";".join(sorted(lowered))
    request = "\n".join(
        (
            method,
            address.path or "/",
            "",
            *(f"{name}:{lowered[name]}" for name in sorted(lowered)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join((_ALGORITHM, timestamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = _keyed(key, part)
    signature = _keyed(key, to_sign).hex()
    authorization = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return {**full, "Authorization": authorization}


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
