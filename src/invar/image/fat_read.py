"""A FAT32 reader: the files of a file system and where their bytes lie. What it reads may be altered or hostile.

Follows Microsoft's "FAT32 File System Specification" (fatgen103) with long names, as fat.py writes it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from invar.image.fat import (
    ATTRIBUTE_DIRECTORY,
    ATTRIBUTE_LONG_NAME,
    ATTRIBUTE_VOLUME,
    ENTRY,
    LONG_ENTRY,
    MINIMUM_CLUSTERS,
)

Read = Callable[[int, int], bytes]
"""Bytes (offset, length) of the file system."""

LARGEST_TABLE = 16 << 20
LARGEST_DIRECTORY = 1 << 20
CHAIN_END = 0x0FFFFFF8
CLUSTER_MASK = 0x0FFFFFFF
END, DELETED = 0x00, 0xE5


@dataclass(frozen=True, slots=True)
class FatFile:
    """A file: its size in bytes, and the runs (offset, length) that hold it, the last one cut to size."""

    size: int
    runs: tuple[tuple[int, int], ...]

    def content(self, read: Read) -> bytes:
        """The file's bytes."""
        return b"".join(read(offset, length) for offset, length in self.runs)


def read_fat32(read: Read) -> dict[str, FatFile]:
    """Path with slashes → file, as names are spelled. Raises ValueError when it is no FAT32 or contradicts itself."""
    system = _FileSystem.open(read)
    files: dict[str, FatFile] = {}
    directories = [("", system.root)]
    seen: set[int] = set()
    while directories:
        above, first = directories.pop()
        if first in seen:
            raise ValueError(f"the directory {above} contains itself")
        seen.add(first)
        directories += _list(system, first, above, files)
    return files


@dataclass(frozen=True, slots=True)
class _FileSystem:
    """The geometry in bytes, and the allocation table."""

    read: Read
    cluster: int
    data: int
    clusters: int
    root: int
    table: tuple[int, ...]

    @classmethod
    def open(cls, read: Read) -> _FileSystem:
        boot = read(0, 512)
        if len(boot) < 512 or boot[510:] != b"\x55\xaa" or boot[82:90] != b"FAT32   ":
            raise ValueError("there is no FAT32 file system")
        sector, per_cluster, reserved, fats = struct.unpack_from("<HBHB", boot, 11)
        (sectors,) = struct.unpack_from("<I", boot, 32)
        (fat_sectors,) = struct.unpack_from("<I", boot, 36)
        (root,) = struct.unpack_from("<I", boot, 44)
        if sector not in (512, 1024, 2048, 4096) or per_cluster not in (1, 2, 4, 8, 16, 32, 64, 128) or fats == 0:
            raise ValueError("the file system's boot sector contradicts itself")
        data = (reserved + fats * fat_sectors) * sector
        clusters = (sectors * sector - data) // (sector * per_cluster)
        size = (clusters + 2) * 4
        if clusters < MINIMUM_CLUSTERS or size > min(fat_sectors * sector, LARGEST_TABLE):
            raise ValueError("the file system's sizes contradict one another")
        table = struct.unpack(f"<{clusters + 2}I", read(reserved * sector, size))
        return cls(read, sector * per_cluster, data, clusters, root & CLUSTER_MASK, table)

    def runs(self, first: int, limit: int) -> list[tuple[int, int]]:
        """(offset, length) of a chain's joined clusters, at most `limit` bytes of them."""
        found: list[tuple[int, int]] = []
        cluster, length = first, 0
        while length < limit:
            if not 2 <= cluster < self.clusters + 2:
                raise ValueError(f"a chain of clusters leads to {cluster}, which is none")
            offset = self.data + (cluster - 2) * self.cluster
            if found and sum(found[-1]) == offset:
                found[-1] = (found[-1][0], found[-1][1] + self.cluster)
            else:
                found.append((offset, self.cluster))
            length += self.cluster
            cluster = self.table[cluster] & CLUSTER_MASK
            if cluster >= CHAIN_END:
                break
        return found


def _list(system: _FileSystem, first: int, above: str, files: dict[str, FatFile]) -> list[tuple[str, int]]:
    """Add a directory's files, and return its directories: path with a slash at the end, first cluster."""
    directories: list[tuple[str, int]] = []
    data = b"".join(system.read(offset, length) for offset, length in system.runs(first, LARGEST_DIRECTORY))
    long_name: dict[int, bytes] = {}
    for at in range(0, len(data) - ENTRY.size + 1, ENTRY.size):
        if data[at] == END:
            break
        attribute = data[at + 11]
        if data[at] == DELETED:
            long_name = {}
        elif attribute & 0x3F == ATTRIBUTE_LONG_NAME:
            order, one, _, _, _, two, _, three = LONG_ENTRY.unpack_from(data, at)
            long_name[order & 0x3F] = one + two + three
        else:
            fields = ENTRY.unpack_from(data, at)
            short, cluster, size = fields[0], fields[7] << 16 | fields[10], fields[11]
            name = _long(long_name) or _short(short)
            long_name = {}
            if attribute & ATTRIBUTE_VOLUME or name in (".", ".."):
                continue
            if attribute & ATTRIBUTE_DIRECTORY:
                directories.append((f"{above}{name}/", cluster))
            else:
                files[above + name] = _file(system, cluster, size)
    return directories


def _file(system: _FileSystem, cluster: int, size: int) -> FatFile:
    runs = system.runs(cluster, size) if size else []
    held = sum(length for _, length in runs)
    if held < size:
        raise ValueError(f"a file of {size} bytes has clusters for {held}")
    if runs:
        offset, length = runs[-1]
        runs[-1] = (offset, length - (held - size))
    return FatFile(size, tuple(runs))


def _long(parts: dict[int, bytes]) -> str:
    units = b"".join(part for _, part in sorted(parts.items()))
    return units.decode("utf-16-le", "replace").partition("\0")[0]


def _short(name: bytes) -> str:
    stem, suffix = name[:8].decode("ascii", "replace").rstrip(), name[8:].decode("ascii", "replace").rstrip()
    return f"{stem}.{suffix}" if suffix else stem
