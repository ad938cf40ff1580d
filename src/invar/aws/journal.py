"""The journal of an upload: which blocks AWS has confirmed, so that a killed upload does not send them again.

Only an optimisation: without it all blocks are put once more, which AWS allows on a pending snapshot.
"""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path
from types import TracebackType

_ENTRY = struct.Struct(">I8s")


class Journal:
    """Appends an entry (block index, first 8 bytes of its SHA-256) for each confirmed block. A context manager."""

    def __init__(self, directory: Path, snapshot: str) -> None:
        self._path = directory / f"{snapshot}.journal"
        self._lock = threading.Lock()
        self._descriptor = -1

    def __enter__(self) -> Journal:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            os.close(self._descriptor)
            self._descriptor = -1

    def confirmed(self) -> dict[int, bytes]:
        """Block index → first 8 bytes of the digest, of every whole entry."""
        data = self._path.read_bytes()
        whole = len(data) - len(data) % _ENTRY.size
        if whole != len(data):
            os.truncate(self._path, whole)
        return dict(_ENTRY.iter_unpack(data[:whole]))

    def add(self, index: int, digest: bytes) -> None:
        """A block is confirmed. Survives a kill of the process. After leaving the context it does nothing."""
        with self._lock:
            if self._descriptor >= 0:
                os.write(self._descriptor, _ENTRY.pack(index, digest[:8]))

    def remove(self) -> None:
        """The snapshot is complete, or gone."""
        self._path.unlink(missing_ok=True)
