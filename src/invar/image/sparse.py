"""Writing into sparse files: whole files copied by the kernel, holes kept."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

CHUNK = 64 << 20


def copy_into(target: int, offset: int, source: Path) -> None:
    """Copy a file's data to `offset` of the open file `target`; holes stay unwritten. Shares blocks where possible."""
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for start, end in data_extents(descriptor):
            copy_range(descriptor, start, target, offset + start, end - start)
    finally:
        os.close(descriptor)


def data_extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """(start, end) of what is not a hole, in order."""
    size = os.fstat(descriptor).st_size
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, position


def used_runs(descriptor: int, block: int) -> list[tuple[int, int]]:
    """Runs (first block, number) of the blocks of `block` bytes that are not all zero, in order; holes are not read."""
    zero = bytes(block)
    runs: list[tuple[int, int]] = []
    done = 0
    for start, end in data_extents(descriptor):
        last = -(-end // block)
        for index in range(max(done, start // block), last):
            data = os.pread(descriptor, block, index * block)
            if data == zero[: len(data)]:
                continue
            if runs and sum(runs[-1]) == index:
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((index, 1))
        done = last
    return runs


def write_at(target: int, offset: int, data: bytes | memoryview) -> None:
    """Write all bytes at an offset."""
    view = memoryview(data)
    while view:
        written = os.pwrite(target, view[:CHUNK], offset)
        view = view[written:]
        offset += written


def copy_range(source: int, source_offset: int, target: int, target_offset: int, count: int) -> None:
    """Copy `count` bytes from one open file to another. Raises OSError when the source is shorter."""
    while count:
        try:
            copied = os.copy_file_range(source, target, min(count, CHUNK), source_offset, target_offset)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
            data = os.pread(source, min(count, CHUNK), source_offset)
            write_at(target, target_offset, data)
            copied = len(data)
        if not copied:
            raise OSError(errno.EIO, "a file became shorter while it was copied")
        source_offset += copied
        target_offset += copied
        count -= copied
