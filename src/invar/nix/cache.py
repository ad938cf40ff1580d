"""Compiled code on disk: by the hash of its source and of what compiled it."""

from __future__ import annotations

import hashlib
import marshal
import os
import pathlib
import sys
from collections.abc import Callable
from types import CodeType

from invar.nix.compiled import Compiled


def _compiler_revision() -> str:
    """What compiled code depends on beside its source: this package's own source, and the Python that runs it."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return f"{sys.implementation.cache_tag}-{sys.hexversion:x}-{digest.hexdigest()}"


class CodeCache:
    """`get` compiles at most once per content. Without a directory, only in memory."""

    def __init__(self, directory: pathlib.Path | None) -> None:
        self._directory = directory
        self._revision = _compiler_revision() if directory is not None else ""
        self._known: dict[bytes, Compiled] = {}

    def get(self, content: tuple[str, ...], compile_now: Callable[[], Compiled]) -> Compiled:
        """The compiled form of `content`, whose first element is the source text."""
        digest = hashlib.sha256()
        for part in (self._revision, *content):
            data = part.encode("utf-8", "surrogateescape")
            digest.update(len(data).to_bytes(8, "little") + data)
        key = digest.digest()
        found = self._known.get(key)
        if found is None:
            found = self._read(key)
            if found is None:
                found = compile_now()
                self._write(key, found)
            self._known[key] = found
        return found

    def _place(self, key: bytes) -> pathlib.Path | None:
        return None if self._directory is None else self._directory / key.hex()[:2] / f"{key.hex()}.nixc"

    def _read(self, key: bytes) -> Compiled | None:
        place = self._place(key)
        if place is None:
            return None
        try:
            data = place.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            return None
        fields = marshal.loads(data[32:])
        return Compiled(*fields) if isinstance(fields[0], CodeType) else None

    def _write(self, key: bytes, compiled: Compiled) -> None:
        """Best effort: a cache that can't be written is no cache, and no reason to fail."""
        place = self._place(key)
        if place is None:
            return
        import tempfile  # a full cache needs none

        payload = marshal.dumps(tuple(compiled))
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=place.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
            pathlib.Path(name).replace(place)
        except OSError:
            return
