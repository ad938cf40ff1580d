"""What a tree of files is, so that any change shows: paths, kinds, modes, owners, sizes, attributes and contents."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MAX_FILES = 10_000
_CHUNK = 1 << 20
_MIB = 1 << 20


class TooMuch(Exception):
    """There is more than may be read; the text says how much was allowed."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Every file by its path relative to the root, "." being that itself: one line that tells all about it."""

    entries: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 over the sorted entries, in hex."""
        hashed = hashlib.sha256()
        for name, line in sorted(self.entries.items()):
            hashed.update(f"{name}\0{line}\n".encode(errors="surrogateescape"))
        return hashed.hexdigest()

    @property
    def empty(self) -> bool:
        """Whether it is a directory with nothing in it."""
        return len(self.entries) == 1 and self.entries.get(".", "").startswith("directory ")


def read_tree(root: Path, max_mib: int) -> Tree | None:
    """The tree at `root`, a directory or a file; links are not followed, mounts inside are. None: nothing is there.

    Raises TooMuch, and OSError for what cannot be read.
    """
    try:
        os.lstat(root)
    except FileNotFoundError:
        return None
    entries: dict[str, str] = {}
    left = max_mib * _MIB
    for name, path in _walk(root):
        if len(entries) >= MAX_FILES:
            raise TooMuch(f"it has more than {MAX_FILES:,} files")
        entries[name], size = _entry(path, left, max_mib)
        left -= size
    return Tree(entries)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The paths that differ, sorted."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    yield ".", root
    if root.is_symlink() or not root.is_dir():
        return
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        for entry in sorted(os.scandir(directory), key=lambda one: one.name):
            path = Path(entry.path)
            yield str(path.relative_to(root)), path
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)


def _entry(path: Path, left: int, max_mib: int) -> tuple[str, int]:
    found = os.lstat(path)
    about = f"{stat.S_IMODE(found.st_mode):04o} {found.st_uid}:{found.st_gid}{_attributes(path)}"
    if stat.S_ISDIR(found.st_mode):
        return f"directory {about}", 0
    if stat.S_ISLNK(found.st_mode):
        return f"link {about} {path.readlink()}", 0
    if not stat.S_ISREG(found.st_mode):
        return f"special {about} {stat.S_IFMT(found.st_mode):o} {found.st_rdev}", 0
    if found.st_size > left:
        raise TooMuch(f"it has more than {max_mib} MiB")
    size, content = _content(path, left, max_mib)
    return f"file {about} {size} {content}", size


def _content(path: Path, left: int, max_mib: int) -> tuple[int, str]:
    """Size and SHA-256, of what is read: a file may grow while it is."""
    hashed, size = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if size > left:
                raise TooMuch(f"it has more than {max_mib} MiB")
            hashed.update(chunk)
    return size, hashed.hexdigest()


def _attributes(path: Path) -> str:
    """Extended attributes (capabilities, access lists): a file system without them has none."""
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
        values = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
    except OSError:
        return ""
    return "".join(f" {name}={value.hex()}" for name, value in values.items())
