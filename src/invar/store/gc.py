"""Garbage collection: what the store holds, kind by kind, and which objects may go."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from invar.store.objects import Store

PARTIAL = ".partial"
"""The pseudo-kind of interrupted downloads."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: `bytes` it takes on disk, `changed` the time it got its name (seconds since 1970)."""

    kind: str
    key: str
    bytes: int
    changed: float


@dataclass(frozen=True, slots=True)
class KindSize:
    """How many objects of one kind there are and the bytes they take."""

    kind: str
    objects: int
    bytes: int


def list_objects(store: Store, kinds: Collection[str] | None = None) -> list[StoredObject]:
    """Every object of the given kinds (None: all, with interrupted downloads as `PARTIAL`), by kind and key."""
    found = []
    if not store.root.is_dir():
        return []
    for directory in sorted(store.root.iterdir()):
        kind = directory.name
        if (kind.startswith(".") and kind != PARTIAL) or not directory.is_dir():
            continue
        if kinds is not None and kind not in kinds:
            continue
        for path in sorted(directory.iterdir()):
            found.append(StoredObject(kind, path.name, _disk_bytes(path), path.lstat().st_ctime))
    return found


def sizes(objects: list[StoredObject]) -> list[KindSize]:
    """The objects summed up by kind, largest first."""
    totals: dict[str, list[int]] = {}
    for item in objects:
        total = totals.setdefault(item.kind, [0, 0])
        total[0] += 1
        total[1] += item.bytes
    found = [KindSize(kind, count, size) for kind, (count, size) in totals.items()]
    return sorted(found, key=lambda item: (-item.bytes, item.kind))


def choose(
    objects: list[StoredObject],
    *,
    now: float,
    older_than: float = 0.0,
    kinds: Collection[str] | None = None,
    keep: Collection[tuple[str, str]] = (),
) -> list[StoredObject]:
    """Which to delete: at least `older_than` seconds old at `now`, of the given kinds, not in `keep` (kind, key)."""
    return [
        item
        for item in objects
        if now - item.changed >= older_than
        and (kinds is None or item.kind in kinds)
        and (item.kind, item.key) not in keep
    ]


def delete(store: Store, objects: list[StoredObject]) -> int:
    """Delete the chosen objects. Returns the bytes they took."""
    freed = 0
    for item in objects:
        if item.kind == PARTIAL:
            store.remove(store.root / PARTIAL / item.key)
            freed += item.bytes
        elif store.discard(item.kind, item.key):
            freed += item.bytes
    return freed


def _disk_bytes(path: Path) -> int:
    """Bytes of disk blocks under a path, hard links counted once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    pending = [path]
    while pending:
        current = pending.pop()
        status = current.lstat()
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(current) as entries:
                pending.extend(Path(entry.path) for entry in entries)
        elif status.st_nlink > 1:
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
        total += status.st_blocks * 512
    return total
