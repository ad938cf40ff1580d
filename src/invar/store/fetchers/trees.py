"""Source trees in the store: kept by the hash of their NAR, files by their SHA-256."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from invar.nix.builtins.fetchers import mismatch
from invar.nix.nar import nar_sha256
from invar.nix.storepath import encode_base32
from invar.store.objects import Store

TREES = "source"
FILES = "source-file"


@contextmanager
def workspace(store: Store, key: str) -> Iterator[Path]:
    """An empty directory on the store's file system, deleted afterwards; `key` names it among those of this kind."""
    with store.scratch(f"fetch-{hashlib.sha256(key.encode()).hexdigest()[:32]}") as path:
        yield path


def find_tree(store: Store, nar: bytes) -> Path | None:
    """The tree with this NAR hash."""
    return store.find(TREES, encode_base32(nar))


def add_tree(store: Store, url: str, made: Path, expected: bytes | None) -> tuple[Path, bytes]:
    """Move a finished tree into the store. Raises FetchError unless its NAR's hash is `expected`."""
    digest = nar_sha256(str(made))
    if expected is not None and digest != expected:
        raise mismatch(url, expected, digest)
    return _put(store, TREES, encode_base32(digest), lambda place: made.rename(place)), digest


def find_file(store: Store, sha256: bytes) -> Path | None:
    """The file with this hash."""
    return store.find(FILES, sha256.hex())


def add_file(store: Store, url: str, made: Path, expected: bytes | None) -> tuple[Path, bytes]:
    """Move a downloaded file into the store. Raises FetchError unless its hash is `expected`."""
    with made.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    if expected is not None and digest != expected:
        raise mismatch(url, expected, digest)
    made.chmod(0o644)
    return _put(store, FILES, digest.hex(), lambda place: made.rename(place)), digest


def copy_entries(root: Path, names: list[str], target: Path) -> None:
    """Copy the files and links `names` (relative) from `root` to `target`, with the directories they lie in."""
    target.mkdir()
    for name in names:
        source, place = root / name, target / name
        if not os.path.lexists(source) or (source.is_dir() and not source.is_symlink()):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, place, follow_symlinks=False)


def _put(store: Store, kind: str, key: str, move: Callable[[Path], object]) -> Path:
    with store.creating(kind, key) as place:
        if place is not None:
            move(place)
    return store.path(kind, key)
