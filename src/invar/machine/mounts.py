"""The system calls behind an atomic exchange of a mount: what was mounted last is taken away from over what is new.

open_tree(2), move_mount(2), mount(2); MOVE_MOUNT_BENEATH is in Linux from 6.5 on.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)

_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442
_MOUNT_ATTR = struct.Struct("<QQQQ")
"""struct mount_attr of linux/mount.h."""
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOVE_MOUNT_BENEATH = 0x200
_MS_RDONLY = 1
_MS_NODEV = 4
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mountinfo (proc(5)): where it is mounted, and its type and source."""

    identity: int
    parent: int
    device: str
    place: str
    kind: str
    source: str


def mount_erofs(device: str, place: Path) -> None:
    """Mount a layer's file system. Raises OSError."""
    _check(_LIBC.mount(device.encode(), os.fsencode(place), b"erofs", _MS_RDONLY | _MS_NODEV, None), place)


def mount_overlay(lowers: Sequence[Path], place: Path) -> None:
    """Mount read-only directories on top of one another, the first one uppermost. Raises OSError."""
    options = "lowerdir=" + ":".join(str(lower).replace(":", "\\:") for lower in lowers)
    _check(_LIBC.mount(b"invar", os.fsencode(place), b"overlay", _MS_RDONLY, options.encode()), place)


def unmount(place: Path) -> None:
    """Take the topmost mount at `place` away, whoever uses it. Raises OSError."""
    _check(_LIBC.umount2(os.fsencode(place), _MNT_DETACH), place)


def bind(source: Path, target: Path) -> None:
    """Make the mount (or directory, or file) at `source` appear at `target` as well. Raises OSError."""
    tree = _open_tree(source)
    try:
        _move(tree, target, 0)
    finally:
        os.close(tree)


def exchange(source: Path, target: Path) -> None:
    """Put what is at `source` in the place of what is mounted at `target`, in one step for everyone who looks.

    If nothing but a directory is at `target`, it is mounted over it. `source` stays where it is. Raises OSError.
    """
    tree = _open_tree(source)
    try:
        if not is_mount(target):
            _move(tree, target, 0)
            return
        _move(tree, target, _MOVE_MOUNT_BENEATH)
    finally:
        os.close(tree)
    unmount(target)


def is_mount(place: Path) -> bool:
    """Whether something is mounted right at `place`."""
    return any(mount.place == str(place) for mount in read_mounts())


def mounted_below(directory: Path) -> tuple[Path, ...]:
    """Where something is mounted inside a directory, outermost first; each place once, and none that is covered.

    mountinfo lists every layer of a stack, and what lies beneath another mount of a directory above it as well.
    """
    places: dict[Path, set[int]] = {}
    for mount in read_mounts():
        place = Path(mount.place)
        if place != directory and place.is_relative_to(directory):
            places.setdefault(place, set()).add(mount.identity)
    return tuple(place for place in sorted(places) if mount_of(place) in places[place])


def mount_of(place: Path) -> int | None:
    """The identity of the mount that a path leads to (`mnt_id` of /proc/self/fdinfo, proc(5)); None: to nothing."""
    try:
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    finally:
        os.close(descriptor)
    return next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))


def read_mounts(text: str | None = None) -> tuple[Mount, ...]:
    """The mounts of this process's namespace."""
    found = []
    for line in (Path("/proc/self/mountinfo").read_text() if text is None else text).splitlines():
        words = line.split()
        separator = words.index("-", 6)
        place = words[4].encode().decode("unicode_escape")
        found.append(Mount(int(words[0]), int(words[1]), words[2], place, words[separator + 1], words[separator + 2]))
    return tuple(found)


def _open_tree(path: Path) -> int:
    """A copy of the mounts at `path`, attached nowhere yet.

    It is private: a copy that stayed in its original's peer group would be mounted over when that is.
    """
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    tree = _check(_LIBC.syscall(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags), path)
    attributes = _MOUNT_ATTR.pack(0, 0, _MS_PRIVATE, 0)
    flags = _AT_EMPTY_PATH | _AT_RECURSIVE
    done = _LIBC.syscall(_SYS_MOUNT_SETATTR, tree, b"", flags, attributes, len(attributes))
    if done < 0:
        number = ctypes.get_errno()
        os.close(tree)
        raise OSError(number, os.strerror(number), str(path))
    return tree


def _move(tree: int, target: Path, flags: int) -> None:
    done = _LIBC.syscall(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH | flags)
    _check(done, target)


def _check(result: int, path: Path) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return result
