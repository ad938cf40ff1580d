"""A cpio archive as the kernel unpacks it (newc, Documentation/driver-api/early-userspace/buffer-format.rst)."""

from __future__ import annotations

import io
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from invar.image.pieces import Piece, total_size, write_pieces

SIZE_LIMIT = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class CpioFile:
    """A regular file, shorter than 4 GiB; `mode` holds permission bits only."""

    content: Piece
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
    stream = io.BytesIO()
    write_pieces(cpio_pieces(nodes, directories), stream)
    return stream.getvalue()


def cpio_pieces(nodes: Mapping[str, CpioNode], directories: tuple[str, ...] = ()) -> list[Piece]:
    """The same archive as a stream. Raises ValueError for a file that is too long for the format."""
    paths: dict[str, CpioNode | None] = dict.fromkeys(directories)
    paths.update(nodes)
    for path in list(paths):
        while "/" in path:
            path = path.rpartition("/")[0]
            paths.setdefault(path, None)
    pieces: list[Piece] = []
    for number, path in enumerate(sorted(paths), 1):
        pieces.extend(_entry(number, path, paths[path]))
    pieces.append(_header(0, "TRAILER!!!", 0, 0))
    return [*pieces, bytes(-total_size(pieces) % 512)]


def _entry(number: int, path: str, node: CpioNode | None) -> list[Piece]:
    match node:
        case None:
            return [_header(number, path, stat.S_IFDIR | 0o755, 0)]
        case CpioFile(content, mode):
            return _with_content(number, path, stat.S_IFREG | mode, content)
        case CpioLink(target):
            return _with_content(number, path, stat.S_IFLNK | 0o777, target.encode())
        case CpioDevice(major, minor, mode):
            return [_header(number, path, stat.S_IFCHR | mode, 0, (major, minor))]


def _with_content(number: int, path: str, mode: int, content: Piece) -> list[Piece]:
    size = total_size([content])
    if size > SIZE_LIMIT:
        raise ValueError(f"{path} has {size} bytes; a file in a cpio archive has at most {SIZE_LIMIT}")
    return [_header(number, path, mode, size), content, bytes(-size % 4)]


def _header(number: int, path: str, mode: int, size: int, device: tuple[int, int] = (0, 0)) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, size, 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + name
    return head + bytes(-len(head) % 4)
