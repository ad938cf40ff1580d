"""What EC2 user data may hold, on both ends of the wire: its size, the JSON envelope, the signature's line."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invar.core import ed25519
from invar.core.canonical import canonical_json
from invar.core.errors import ExitCode, InvarError

LIMIT = 16 * 1024
"""Bytes that EC2 takes, before base64 (EC2 user guide, "Run commands on your EC2 instance at launch")."""

ENVELOPE = "invar"
"""The one key of a JSON document that is meant for Invar."""

_SIGNED_AS = b"invar user data 1\n"
"""Goes before the content when it is signed, so that no other signature of the key fits."""

_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""SubjectPublicKeyInfo of an Ed25519 key in DER, up to the key itself (RFC 8410, section 4)."""

_LINE = re.compile(rb"# invar-signature: ed25519:([0-9a-f]{16}):([A-Za-z0-9+/]{86}==)\r?\n?")
_LINE_START = b"# invar-signature:"
_KEY = re.compile(r"ed25519:([A-Za-z0-9+/]{43}=)")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 key that user data may be signed with. Written `ed25519:BASE64`."""

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Raises InvarError for what is no such key."""
        match = _KEY.fullmatch(text.strip())
        if match is None:
            raise InvarError(
                f"{text!r} is no public key",
                hint="ed25519: and 44 characters of base64, as `invar key public` prints it",
            )
        return cls(base64.b64decode(match[1], validate=True))

    @property
    def id(self) -> str:
        """The first 16 hex digits of the SHA-256 of its SubjectPublicKeyInfo, by which a signature names it."""
        return hashlib.sha256(_SPKI_PREFIX + self.raw).hexdigest()[:16]

    def __str__(self) -> str:
        return f"ed25519:{base64.b64encode(self.raw).decode()}"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature over user data, and the id of the key that it says it was made with."""

    key_id: str
    raw: bytes


def check_size(data: bytes, *, where: str | None = None) -> None:
    """Raises InvarError when EC2 would not take `data`; `where` is the file or attribute that it came from."""
    if len(data) > LIMIT:
        raise InvarError(
            f"user data has {len(data)} bytes, and EC2 takes {LIMIT} at most",
            where=where,
            hint="bake what is common into the image and pass only parameters, or a pointer to a published generation; "
            "gzip, xz and zstd are understood too",
        )


def parameters_document(parameters: Mapping[str, Any]) -> bytes:
    """User data that gives the baked configuration these `config.invar.parameters`."""
    return canonical_json({ENVELOPE: {"parameters": dict(parameters)}}) + b"\n"


def read_parameters(pairs: Sequence[str], file: Path | None) -> dict[str, Any]:
    """NAME=VALUE pairs over the JSON object in `file`; a value is JSON, or else text. Raises InvarError."""
    values: Any = {}
    if file is not None:
        try:
            values = json.loads(file.read_bytes())
        except ValueError as error:
            raise InvarError(f"{file} is no JSON", why=str(error)) from error
        if not isinstance(values, dict):
            raise InvarError(f"{file} holds no JSON object")
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not name or not equals:
            raise InvarError(f"{pair!r} is no NAME=VALUE", exit_code=ExitCode.USAGE)
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return dict(values)


def generation_document(system_digest: str, cache: str | None = None) -> bytes:
    """User data that names a published generation by its system digest; `cache` if it is not in the image's own."""
    pointer = {"generation": system_digest} | ({"cache": cache} if cache else {})
    return canonical_json({ENVELOPE: pointer}) + b"\n"


def message_to_sign(content: bytes) -> bytes:
    """What the signature is made over. `content` is all of the user data (uncompressed) before the signature's line."""
    return _SIGNED_AS + content


def with_signature(content: bytes, signature: Signature) -> bytes:
    """User data with its signature in a last line, a comment to Nix and to shells. `content` ends with a newline."""
    encoded = base64.b64encode(signature.raw).decode()
    return content + f"# invar-signature: ed25519:{signature.key_id}:{encoded}\n".encode()


def split_signature(data: bytes) -> tuple[bytes, Signature | None]:
    """User data without the line of its signature, and the signature; None when it has none.

    Raises InvarError for a last line that begins like a signature and is none.
    """
    start = data.rstrip(b"\r\n").rfind(b"\n") + 1
    line = data[start:]
    if not line.startswith(_LINE_START):
        return data, None
    match = _LINE.fullmatch(line)
    if match is None:
        raise InvarError("the signature of the user data is malformed", hint="sign it again: `invar user-data sign`")
    return data[:start], Signature(match[1].decode(), base64.b64decode(match[2], validate=True))


def verified(data: bytes, trusted: Sequence[PublicKey]) -> bytes:
    """The content of signed user data, once its signature is proved to be by one of the keys.

    Raises InvarError when it is unsigned, signed with another key, or altered.
    """
    content, signature = split_signature(data)
    ids = ", ".join(key.id for key in trusted)
    if signature is None:
        raise InvarError("the user data is not signed", why=f"this image takes what is signed with {ids}")
    for key in trusted:
        if key.id == signature.key_id and ed25519.verify(key.raw, message_to_sign(content), signature.raw):
            return content
    if signature.key_id in {key.id for key in trusted}:
        raise InvarError(
            "the signature of the user data is wrong", why=f"it is not what {signature.key_id} signed: it was altered"
        )
    raise InvarError(
        "the user data is signed with a key that this image does not trust",
        why=f"it names {signature.key_id}, trusted is {ids}",
    )
