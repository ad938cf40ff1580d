"""What Google Compute Engine imports: disk.raw in a gzipped tar file of GNU's old sparse format.

Follows the GNU tar manual, "Basic Tar Format" and "Storing Sparse Files" (the old GNU format), as Google's
instructions for custom images ask for (`tar --format=oldgnu -Sczf`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from invar.image.assemble import Image
from invar.image.formats.gzipped import gzipped
from invar.image.sparse import used_runs
from invar.image.tools import Tools

RECORD = 512
BLOCK = 64 << 10
DISK = "disk.raw"
IN_HEADER = 4
IN_EXTENSION = 21
"""Pieces of a sparse file that a header, and each record behind it, tells of."""

Piece = tuple[int, int]
"""Offset and length of what is not a hole, in bytes."""


@dataclass(frozen=True, slots=True)
class Gce:
    """A file for a bucket of Cloud Storage, from which an image is made."""

    name: str = "gce"
    aliases: tuple[str, ...] = ("google-compute",)
    suffix: str = "gce.tar.gz"
    description: str = "disk.raw in a tar.gz, for Google Compute Engine"
    is_disk: bool = True

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write the disk's blocks that are not zero, in their order."""
        descriptor = os.open(image.raw, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with gzipped(path, tools) as stream:
                write_sparse_tar(descriptor, stream, image.epoch)
        finally:
            os.close(descriptor)


def write_sparse_tar(source: int, target: IO[bytes], epoch: int) -> None:
    """The open raw file `source` as the one member of an archive; `epoch` (seconds since 1970) is its time."""
    size = os.fstat(source).st_size
    pieces = [(first * BLOCK, min(count * BLOCK, size - first * BLOCK)) for first, count in used_runs(source, BLOCK)]
    target.write(sparse_header(DISK, size, pieces, epoch))
    for start, length in pieces:
        for offset in range(start, start + length, BLOCK):
            target.write(os.pread(source, BLOCK, offset))
        target.write(bytes(-length % RECORD))
    target.write(bytes(2 * RECORD))


def sparse_header(name: str, size: int, pieces: Sequence[Piece], epoch: int) -> bytes:
    """The records before a sparse file's data. A file that ends with a hole has an empty piece at its end."""
    listed = list(pieces)
    if not listed or sum(listed[-1]) < size:
        listed.append((size, 0))
    head, rest = listed[:IN_HEADER], listed[IN_HEADER:]
    stored = sum(length + -length % RECORD for _, length in pieces)
    fields = (
        name.encode().ljust(100, b"\0"),
        b"%07o\0" % 0o644,
        b"%07o\0" % 0,
        b"%07o\0" % 0,
        _number(stored),
        _number(epoch),
        b" " * 8,
        b"S",
        bytes(100),
        b"ustar  \0",
        b"root".ljust(32, b"\0"),
        b"root".ljust(32, b"\0"),
        bytes(386 - 329),
        _pieces(head, IN_HEADER),
        bytes([bool(rest)]),
        _number(size),
    )
    header = b"".join(fields).ljust(RECORD, b"\0")
    header = header[:148] + b"%06o\0 " % sum(header) + header[156:]
    records = [header]
    while rest:
        some, rest = rest[:IN_EXTENSION], rest[IN_EXTENSION:]
        records.append((_pieces(some, IN_EXTENSION) + bytes([bool(rest)])).ljust(RECORD, b"\0"))
    return b"".join(records)


def _pieces(pieces: Sequence[Piece], room: int) -> bytes:
    return b"".join(_number(start) + _number(length) for start, length in pieces).ljust(room * 24, b"\0")


def _number(value: int) -> bytes:
    """Twelve bytes: octal, or from 8 GiB on GNU's base 256."""
    return b"%011o\0" % value if value < 1 << 33 else (1 << 95 | value).to_bytes(12, "big")
