"""The Nix archive format (NAR): a canonical serialisation of a file tree, and its hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator

from invar.nix.errors import NixError
from invar.nix.file_types import file_type

Keep = Callable[[str, str], bool]
"""Whether to keep an entry: gets its absolute path and "regular", "directory", "symlink" or "unknown"."""


def nar_sha256(path: str, keep: Keep | None = None) -> bytes:
    """The SHA-256 of the NAR of a file tree."""
    digest = hashlib.sha256()
    for piece in nar(path, keep):
        digest.update(piece)
    return digest.digest()


def nar(path: str, keep: Keep | None = None) -> Iterator[bytes]:
    """The NAR of a file tree, in pieces. `keep` is not asked for the root. Raises NixError."""
    yield _string(b"nix-archive-1")
    yield from _node(path, keep)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8)


def _node(path: str, keep: Keep | None) -> Iterator[bytes]:
    mode = os.lstat(path).st_mode
    kind = file_type(mode)
    if kind == "unknown":
        raise NixError(f"file '{path}' has an unsupported type")
    yield _string(b"(") + _string(b"type") + _string(kind.encode())
    if kind == "regular":
        if mode & 0o100:
            yield _string(b"executable") + _string(b"")
        with open(path, "rb") as file:  # noqa: PTH123
            yield _string(b"contents") + _string(file.read())
    elif kind == "symlink":
        yield _string(b"target") + _string(os.fsencode(os.readlink(path)))  # noqa: PTH115
    else:
        for name in sorted(map(os.fsencode, os.listdir(path))):  # noqa: PTH208
            entry = f"{path}/{os.fsdecode(name)}"
            if keep is not None and not keep(entry, file_type(os.lstat(entry).st_mode)):
                continue
            yield _string(b"entry") + _string(b"(") + _string(b"name") + _string(name) + _string(b"node")
            yield from _node(entry, keep)
            yield _string(b")")
    yield _string(b")")
