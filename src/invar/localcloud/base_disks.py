"""Snapshots as files that machines boot from: sparse, made once for each snapshot, never written after."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from pathlib import Path

from invar.localcloud.block_file import BLOCK
from invar.localcloud.snapshots import BLOCKS_PER_GIB, SnapshotStore

PAGE = 4096


class BaseDisks:
    """The files, in one directory. Safe to use from several threads."""

    def __init__(self, directory: Path, store: SnapshotStore) -> None:
        self._directory = directory
        self._store = store
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def materialise(self, region: str, identity: str) -> Path:
        """The raw disk of a snapshot, as large as its volume. Raises KeyError when there is no such snapshot."""
        path = self._directory / f"{identity}.raw"
        with self._locks[identity]:
            if path.exists():
                return path
            snapshot = self._store.find(region, identity)
            if snapshot is None:
                raise KeyError(identity)
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = path.with_suffix(f".{os.getpid()}.new")
            with temporary.open("wb") as file:
                file.truncate(snapshot.volume_size * BLOCKS_PER_GIB * BLOCK)
                start = 0
                while positions := self._store.positions(identity, start, PAGE):
                    for position in positions:
                        found = self._store.read(identity, position)
                        if found is not None:
                            os.pwrite(file.fileno(), found[0], position * BLOCK)
                    start = positions[-1] + 1
            temporary.replace(path)
        return path

    def sweep(self) -> None:
        """Delete the files of snapshots that are gone, and what a kill left half-made."""
        if self._directory.is_dir():
            known = {one.id for one in self._store.everything()}
            for path in self._directory.iterdir():
                if path.suffix != ".raw" or path.stem not in known:
                    path.unlink()
