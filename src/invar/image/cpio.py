"""A cpio archive as the kernel unpacks it (newc, Documentation/driver-api/early-userspace/buffer-format.rst)."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CpioFile:
    """A regular file; `mode` holds permission bits only."""

    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class CpioLink:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class CpioDevice:
    """A character device."""

    major: int
    minor: int
    mode: int = 0o600


CpioNode = CpioFile | CpioLink | CpioDevice


def write_cpio(nodes: Mapping[str, CpioNode], directories: tuple[str, ...] = ()) -> bytes:
    """The archive of nodes (relative path → node) and the directories above them; owned by root, time 0."""
    paths: dict[str, CpioNode | None] = dict.fromkeys(directories)
    paths.update(nodes)
    for path in list(paths):
        while "/" in path:
            path = path.rpartition("/")[0]
            paths.setdefault(path, None)
    entries = [_entry(number, path, paths[path]) for number, path in enumerate(sorted(paths), 1)]
    archive = b"".join([*entries, _header(0, "TRAILER!!!", 0, b"")])
    return archive.ljust(-(-len(archive) // 512) * 512, b"\0")


def _entry(number: int, path: str, node: CpioNode | None) -> bytes:
    match node:
        case None:
            return _header(number, path, stat.S_IFDIR | 0o755, b"")
        case CpioFile(content, mode):
            return _header(number, path, stat.S_IFREG | mode, content)
        case CpioLink(target):
            return _header(number, path, stat.S_IFLNK | 0o777, target.encode())
        case CpioDevice(major, minor, mode):
            return _header(number, path, stat.S_IFCHR | mode, b"", (major, minor))


def _header(number: int, path: str, mode: int, content: bytes, device: tuple[int, int] = (0, 0)) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + name
    return _aligned(head) + _aligned(content)


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
