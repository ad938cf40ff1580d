"""Snapshot blocks on disk: numbered slots of 512 KiB in segment files of 1 GiB."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection
from pathlib import Path

BLOCK = 512 * 1024
SEGMENT_SLOTS = 2048


class BlockFile:
    """Slots in use are never overwritten: new data goes into fresh slots, or into slots that were given back."""

    def __init__(self, directory: Path, used: Collection[int]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._lock = threading.Lock()
        self._segments: dict[int, int] = {}
        self._end = max(used, default=-1) + 1
        self._free = sorted(set(range(self._end)) - set(used), reverse=True)

    def write(self, data: bytes) -> int:
        """Store one block. Returns its slot."""
        with self._lock:
            if self._free:
                slot = self._free.pop()
            else:
                slot = self._end
                self._end += 1
            descriptor = self._segment(slot // SEGMENT_SLOTS)
        written = 0
        view = memoryview(data)
        while written < len(data):
            written += os.pwrite(descriptor, view[written:], slot % SEGMENT_SLOTS * BLOCK + written)
        return slot

    def read(self, slot: int) -> bytes:
        """One block's bytes."""
        with self._lock:
            descriptor = self._segment(slot // SEGMENT_SLOTS)
        return os.pread(descriptor, BLOCK, slot % SEGMENT_SLOTS * BLOCK)

    def give_back(self, slots: Collection[int]) -> None:
        """Slots that no snapshot holds any more may be written again."""
        with self._lock:
            self._free.extend(slots)

    def clear(self) -> None:
        """Delete every block."""
        with self._lock:
            self._close()
            for path in self._directory.glob("*.segment"):
                path.unlink()
            self._end = 0
            self._free = []

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._close()

    def _segment(self, number: int) -> int:
        descriptor = self._segments.get(number)
        if descriptor is None:
            path = self._directory / f"{number:06d}.segment"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._segments[number] = descriptor
        return descriptor

    def _close(self) -> None:
        for descriptor in self._segments.values():
            os.close(descriptor)
        self._segments.clear()
