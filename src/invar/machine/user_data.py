"""User data as it arrives: unpacked, told apart by form, stripped of what is not meant for the configuration. Pure."""

from __future__ import annotations

import json
import lzma
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from invar.core.errors import InvarError
from invar.system.user_data import ENVELOPE

MAX_TEXT = 1 << 20
"""Bytes that compressed user data may unpack to."""

_GZIP, _XZ, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_ZSTD_SECONDS = 60.0
_HOST_KEY = re.compile(r"SSH_HOST_(ED25519|ECDSA|RSA)_KEY(_PUB)?:(.*)")
_HOST_LINE = re.compile(r"SSH_HOST_.*")
_CHANNEL = re.compile(r"### *(\S.*)")
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_CLOUD_INIT = re.compile(
    r"(#cloud-config|#cloud-boothook|#include(-once)?)\s*$|(Content-Type: multipart/|MIME-Version:)", re.M
)
"""The beginning of what cloud-init reads ("User-Data Formats" of its documentation)."""


@dataclass(frozen=True, slots=True)
class Script:
    """A program for the interpreter that its first line names."""

    text: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """A Nix expression to switch to. Lines keep their numbers. `channels` are named in it and have no effect."""

    text: str
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameters:
    """Values for `config.invar.parameters` of the baked configuration."""

    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pointer:
    """A published generation by its system digest. `cache` is where it lies, None for the image's own cache."""

    digest: str
    cache: str | None


@dataclass(frozen=True, slots=True)
class Nothing:
    """User data that asks for nothing: empty, comments, host keys."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """A private ssh host key with its public half, both as OpenSSH's files have them. `kind` is "ed25519", ..."""

    kind: str
    private: str
    public: str

    def __repr__(self) -> str:
        return f"HostKey({self.kind})"


Form = Script | Configuration | Parameters | Pointer | Nothing


def unpacked(data: bytes) -> bytes:
    """User data as it was before gzip, xz or zstd; what is not compressed stays.

    Raises InvarError for broken data, for more than MAX_TEXT bytes, and for zstd where no zstd is.
    """
    for magic, name, unpack in (
        (_GZIP, "gzip", _gunzip),
        (_XZ, "xz", _unxz),
        (_ZSTD, "zstd", _unzstd),
    ):
        if data.startswith(magic):
            text = _attempt(name, unpack, data)
            if len(text) > MAX_TEXT:
                raise InvarError(f"the user data unpacks to more than {MAX_TEXT} bytes")
            return text
    return data


def classify(content: bytes) -> Form:
    """What unpacked user data asks for. Raises InvarError for what is none of the forms."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvarError(
            "the user data is neither text nor compressed", why=str(error), hint="gzip, xz and zstd are understood"
        ) from error
    if text.startswith("#!"):
        return Script(text)
    if _CLOUD_INIT.match(text):
        raise InvarError(
            "the user data is for cloud-init, which is not here",
            hint="a configuration, a script that begins with #!, or JSON with the key `invar`: see docs/instance.md",
        )
    lines = text.splitlines()
    if not any(line.strip() and not line.startswith("#") and not _HOST_LINE.fullmatch(line) for line in lines):
        return Nothing()
    # Their lines stay, empty, so that an error of the configuration names the line that the author knows.
    stripped = "\n".join("" if _HOST_LINE.fullmatch(line) else line for line in lines) + "\n"
    document = _json_object("\n".join(line for line in stripped.splitlines() if not line.startswith("#")))
    if document:
        return _enveloped(document)
    channels = tuple(match[1].strip() for line in lines if (match := _CHANNEL.fullmatch(line)))
    return Configuration(stripped, channels)


def host_keys(content: bytes) -> tuple[HostKey, ...]:
    """The ssh host keys in user data, as NixOS and EC2 have them: SSH_HOST_ED25519_KEY:... with | for line ends.

    A private key without its public half, or the other way round, is left out.
    """
    found: dict[tuple[str, bool], str] = {}
    for line in content.decode("utf-8", errors="replace").splitlines():
        if match := _HOST_KEY.fullmatch(line.strip()):
            found.setdefault((match[1], match[2] is not None), match[3].strip())
    return tuple(
        HostKey(kind.lower(), found[kind, False].replace("|", "\n").rstrip("\n") + "\n", found[kind, True] + "\n")
        for kind in ("ED25519", "ECDSA", "RSA")
        if found.get((kind, False)) and found.get((kind, True))
    )


def _json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that the whole text is; None when it is anything else, a Nix expression above all."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _enveloped(document: dict[str, Any]) -> Form:
    envelope = document.get(ENVELOPE)
    if set(document) != {ENVELOPE} or not isinstance(envelope, dict):
        raise InvarError(
            "the user data is JSON, but not for Invar",
            why=f"its keys are {', '.join(sorted(document))}",
            hint='parameters go into {"invar": {"parameters": {...}}}',
        )
    match envelope:
        case {"parameters": dict(values)} if set(envelope) == {"parameters"}:
            return Parameters(values)
        case {"generation": str(digest)} if set(envelope) <= {"generation", "cache"}:
            cache = envelope.get("cache")
            if not _HEX_DIGEST.fullmatch(digest):
                raise InvarError("the user data names a generation by what is no system digest", why=repr(digest))
            if cache is not None and not isinstance(cache, str):
                raise InvarError("the cache that the user data names is no address", why=repr(cache))
            return Pointer(digest, cache)
    raise InvarError(
        "the user data has the key `invar`, but nothing in it that is understood",
        why=f"it has {', '.join(sorted(envelope)) or 'nothing'}",
        hint='either "parameters" (an object), or "generation" (a system digest) with or without "cache"',
    )


def _attempt(name: str, unpack: Callable[[bytes], bytes], data: bytes) -> bytes:
    try:
        return unpack(data)
    except (zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise InvarError(f"the user data begins like {name} and cannot be unpacked", why=str(error)) from error


def _gunzip(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    text = unpacker.decompress(data, MAX_TEXT + 1)
    if len(text) <= MAX_TEXT and not unpacker.eof:
        raise EOFError("it ends too early")
    return text


def _unxz(data: bytes) -> bytes:
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=128 << 20)
    text = unpacker.decompress(data, MAX_TEXT + 1)
    if len(text) <= MAX_TEXT and not unpacker.eof:
        raise EOFError("it ends too early")
    return text


def _unzstd(data: bytes) -> bytes:
    """By the image's own program: Python has zstd from 3.14 on."""
    program = shutil.which("zstd")
    if program is None:
        raise InvarError("the user data is compressed with zstd, and the image has no zstd", hint="gzip or xz")
    # The input is far smaller than a pipe's buffer, so that it can be written before anything is read.
    with subprocess.Popen(
        [program, "--decompress", "--stdout", "--quiet", "--memory=64MB"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(data)
        process.stdin.close()
        text = process.stdout.read(MAX_TEXT + 1)
        if len(text) > MAX_TEXT:
            process.kill()
            return text
        said = process.stderr.read().decode(errors="replace").strip()
        if process.wait(_ZSTD_SECONDS) != 0:
            raise OSError(said)
        return text
