"""Builtins that hash."""

from __future__ import annotations

import binascii
import hashlib

from invar.nix.builtins.registry import Registry
from invar.nix.errors import NixError, NixMissingAttribute
from invar.nix.runtime import expect_plain, expect_set, expect_string
from invar.nix.storepath import decode_base32, encode_base32
from invar.nix.values import Value

primops = Registry()

SIZES = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}


def digest_of(algorithm: str, data: bytes) -> bytes:
    """The hash of bytes. Raises NixError for an unknown algorithm."""
    if algorithm not in SIZES:
        raise NixError(f"unknown hash algorithm '{algorithm}'")
    return hashlib.new(algorithm, data, usedforsecurity=False).digest()


@primops.add("hashString", 2)
def hash_string(algorithm: Value, text: Value) -> str:
    """Lower-case hexadecimal."""
    kind = str(expect_plain(algorithm))
    digest_of(kind, b"")
    return digest_of(kind, str(expect_string(text)).encode("utf-8", "surrogateescape")).hex()


def parse_hash(text: str, algorithm: str | None) -> tuple[str, bytes]:
    """A hash in base 16, 32, 64 or SRI form, with its algorithm. Raises NixError."""
    kind, rest, sri = algorithm, text, False
    for separator in (":", "-"):
        head, found, tail = text.partition(separator)
        if found and head in SIZES:
            if algorithm is not None and algorithm != head:
                raise NixError(f"hash '{text}' should have type '{algorithm}'")
            kind, rest, sri = head, tail, separator == "-"
            break
    if kind is None:
        raise NixError(f"hash '{text}' does not include a type, nor is the type otherwise known from context")
    if kind not in SIZES:
        raise NixError(f"unknown hash algorithm '{kind}'")
    size = SIZES[kind]
    try:
        if not sri and len(rest) == size * 2:
            return kind, bytes.fromhex(rest)
        if not sri and len(rest) == (size * 8 - 1) // 5 + 1:
            return kind, decode_base32(rest)
        if sri or len(rest) == (4 * size // 3 + 3) & ~3:
            data = binascii.a2b_base64(rest, strict_mode=True)
            if len(data) == size:
                return kind, data
    except ValueError:
        pass
    raise NixError(f"hash '{text}' has wrong length for hash type '{kind}'")


@primops.add("convertHash", 1)
def convert_hash(arguments: Value) -> str:
    """A hash in another form: base16, nix32, base64 or sri."""
    given = expect_set(arguments)
    for name in ("hash", "toHashFormat"):
        if name not in given:
            raise NixMissingAttribute(f"attribute '{name}' missing for call to 'convertHash'")
    algorithm = str(expect_plain(given["hashAlgo"])) if "hashAlgo" in given else None
    kind, data = parse_hash(str(expect_plain(given["hash"])), algorithm)
    form = str(expect_plain(given["toHashFormat"]))
    if form == "base16":
        return data.hex()
    if form in ("nix32", "base32"):
        return encode_base32(data)
    encoded = binascii.b2a_base64(data, newline=False).decode()
    if form == "base64":
        return encoded
    if form == "sri":
        return f"{kind}-{encoded}"
    raise NixError(f"unknown hash format '{form}', expect 'base16', 'nix32', 'base64', or 'sri'")
