"""Compiled code on disk: by the hash of its source and of what compiled it.

Besides a directory to write to there may be one that came along with this package (`invar.nix.precompile`): it is read
like the other, and its word for the compiler's revision is taken, for whoever brings it brings the compiler too.
"""

from __future__ import annotations

import marshal
import os
import sys
import zlib

from invar.nix.compiled import Compiled

try:
    from _blake2 import blake2b  # `hashlib` loads OpenSSL, which takes longer than all that is hashed here
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST_BYTES = 32
PRECOMPILED = f"{os.path.dirname(__file__)}/precompiled"  # noqa: PTH120
REVISION = "revision"
"""The file in it: the Python that compiled, a line, and the compiler's revision in hexadecimal digits."""


def _digest(*parts: bytes) -> bytes:
    """A hash that tells these parts from any others."""
    state = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        state.update(len(part).to_bytes(8, "little") + part)
    return state.digest()


def _checksum(payload: bytes) -> bytes:
    """What tells a damaged file: this guards against disks, not against who may write there."""
    return zlib.crc32(payload).to_bytes(4, "little")


def running_python() -> str:
    """The Python that runs this, as far as compiled code depends on it."""
    return f"{sys.implementation.cache_tag}-{sys.hexversion:x}"


def _precompiled_revision() -> bytes | None:
    try:
        with open(f"{PRECOMPILED}/{REVISION}", encoding="ascii") as file:  # noqa: PTH123
            python, revision = file.read().split()
        return bytes.fromhex(revision) if python == running_python() else None
    except (OSError, ValueError):
        return None


def _compiler_revision(directory: str) -> bytes:
    """What compiled code depends on beside its source: this package's own source, and the Python that runs it.

    The hash of the sources is kept in `directory`, under what the kernel says of the files (a file that is written
    has another change time).
    """
    if (brought := _precompiled_revision()) is not None:
        return brought
    package = os.path.dirname(__file__)  # noqa: PTH120
    files = sorted(name for name in os.listdir(package) if name.endswith(".py"))  # noqa: PTH208
    python = running_python()
    states = [os.stat(f"{package}/{name}") for name in files]  # noqa: PTH116
    seen = [(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for state in states]
    known = f"{directory}/revision-{_digest(python.encode(), package.encode(), repr(seen).encode()).hex()[:32]}"
    try:
        with open(known, "rb") as file:  # noqa: PTH123
            found = file.read()
        if len(found) == DIGEST_BYTES:
            return found
    except OSError:
        pass
    sources = []
    for name in files:
        with open(f"{package}/{name}", "rb") as file:  # noqa: PTH123
            sources.append(file.read())
    revision = _digest(python.encode(), *sources)
    _write(known, revision)
    return revision


def _write(place: str, data: bytes) -> None:
    """Best effort: a cache that can't be written is no cache, and no reason to fail."""
    import tempfile  # a full cache needs none

    directory = os.path.dirname(place)  # noqa: PTH120
    try:
        os.makedirs(directory, exist_ok=True)  # noqa: PTH103
        handle, name = tempfile.mkstemp(dir=directory)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, place)  # noqa: PTH105
    except OSError:
        return


class CodeCache:
    """`get` compiles at most once per content. Without a directory, only in memory."""

    def __init__(self, directory: str | os.PathLike[str] | None) -> None:
        self._directory = None if directory is None else os.fspath(directory)
        self.revision = b"" if self._directory is None else _compiler_revision(self._directory)
        self._known: dict[bytes, Compiled] = {}

    def get(self, content: tuple[str, ...], compile_now: Callable[[], Compiled]) -> Compiled:
        """The compiled form of `content`, whose first element is the source text."""
        key = _digest(self.revision, *(part.encode("utf-8", "surrogateescape") for part in content))
        found = self._known.get(key)
        if found is None:
            found = self._read(key)
            if found is None:
                found = compile_now()
                if (place := self._place(key)) is not None:
                    payload = marshal.dumps(found.plain())
                    _write(place, _checksum(payload) + payload)
            self._known[key] = found
        return found

    def _place(self, key: bytes) -> str | None:
        return None if self._directory is None else f"{self._directory}/{_file_name(key)}"

    def _read(self, key: bytes) -> Compiled | None:
        if self._directory is None:
            return None
        for directory in (self._directory, PRECOMPILED):
            try:
                with open(f"{directory}/{_file_name(key)}", "rb") as file:  # noqa: PTH123
                    data = file.read()
            except OSError:
                continue
            payload = data[4:]
            if _checksum(payload) != data[:4]:
                continue
            fields = marshal.loads(payload)
            if hasattr(fields[0], "co_code"):
                return Compiled(*fields)
        return None


def _file_name(key: bytes) -> str:
    return f"{key.hex()[:2]}/{key.hex()}.nixc"
