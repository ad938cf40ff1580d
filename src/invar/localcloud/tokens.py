"""Opaque tokens that the cloud hands out and later recognises: block tokens and page tokens, signed, with an end."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import struct
from typing import Literal

MAC_BYTES = 16

Trouble = Literal["invalid", "expired"]


class TokenError(Exception):
    """A token that is not ours or not for this use ("invalid"), or is too old ("expired")."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble: Trouble = trouble


class TokenMint:
    """Makes and reads tokens of at most 256 base-64 characters under one secret key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, purpose: str, subject: str, position: int, expires: float) -> str:
        """A token for one index of one subject, good until `expires` (seconds since 1970)."""
        body = struct.pack(">QQ", position, int(expires))
        return base64.b64encode(self._mac(purpose, subject, body) + body).decode()

    def read(self, token: str, purpose: str, subject: str, now: float) -> int:
        """The index in a token. Raises TokenError."""
        try:
            raw = base64.b64decode(token, validate=True)
        except binascii.Error:
            raise TokenError("invalid") from None
        mac, body = raw[:MAC_BYTES], raw[MAC_BYTES:]
        if len(body) != struct.calcsize(">QQ") or not hmac.compare_digest(mac, self._mac(purpose, subject, body)):
            raise TokenError("invalid")
        position, expires = struct.unpack(">QQ", body)
        if now > expires:
            raise TokenError("expired")
        return int(position)

    def _mac(self, purpose: str, subject: str, body: bytes) -> bytes:
        text = json.dumps([purpose, subject]).encode()
        return hmac.digest(self._key, text + body, hashlib.sha256)[:MAC_BYTES]
