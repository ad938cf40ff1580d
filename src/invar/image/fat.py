"""A FAT32 writer: a few files in a big, mostly empty file system, the same bytes every time.

Follows Microsoft's "FAT32 File System Specification" (fatgen103) with long names. Directories and files lie one after
another from the first cluster on; every time stamp is 1980-01-01, the format's zero.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SECTOR = 512
CLUSTER = 4096
"""What a file takes at least, unless the caller asks for less."""

RESERVED_SECTORS = 32
BACKUP_BOOT_SECTOR = 6
FATS = 2
ROOT_CLUSTER = 2
MINIMUM_CLUSTERS = 65525
MEDIA_FIXED = 0xF8
END_OF_CHAIN = 0x0FFFFFFF

ATTRIBUTE_VOLUME = 0x08
ATTRIBUTE_DIRECTORY = 0x10
ATTRIBUTE_ARCHIVE = 0x20
ATTRIBUTE_LONG_NAME = 0x0F

ENTRY = struct.Struct("<11sBBBHHHHHHHI")
LONG_ENTRY = struct.Struct("<B10sBBB12sH4s")
LONG_ENTRY_UNITS = 13
EPOCH_DATE = 1 << 5 | 1
"""1980-01-01: month 1, day 1, year 0."""

Extent = tuple[int, bytes]
"""Where bytes go, and the bytes; what no extent covers is zero."""

_SHORT = re.compile(r"([A-Z0-9_~!#$%&'()@^`{}-]{1,8})(?:\.([A-Z0-9_~!#$%&'()@^`{}-]{1,3}))?")


@dataclass(slots=True)
class _Node:
    """A file (`content`) or a directory (`children`): `clusters` of them, from `first` on, 0 when it has none.

    `above` is the directory's that it is in, where 0 stands for the root.
    """

    name: str
    content: bytes | None = None
    children: dict[str, _Node] = field(default_factory=dict)
    first: int = 0
    above: int = 0
    entries: int = 0
    clusters: int = 0


def format_fat32(
    files: Mapping[str, bytes], *, size: int, volume_id: int, label: str, cluster: int = CLUSTER
) -> Iterator[Extent]:
    """The extents of a file system of `size` bytes that holds `files` (path with slashes → content), by rising offset.

    `volume_id` is any 32 bits, `label` at most 11 upper-case ASCII characters, `cluster` a power of two from 512 to
    32768 bytes: FAT32 has no fewer than 65525 of them. Raises ValueError when the size is none
    for FAT32, the files do not fit, or a name occurs twice but for its case.
    """
    sectors = size // SECTOR
    fat_sectors = _fat_sectors(sectors, cluster // SECTOR)
    clusters = (sectors - RESERVED_SECTORS - FATS * fat_sectors) * SECTOR // cluster
    if clusters < MINIMUM_CLUSTERS:
        raise ValueError(f"{size} bytes give {clusters} clusters; FAT32 has at least {MINIMUM_CLUSTERS}")
    nodes = _allocate(_tree(files), cluster)
    used = sum(node.clusters for node in nodes)
    if used > clusters:
        raise ValueError(f"the files take {used * cluster} bytes of {clusters * cluster}")

    boot = _boot_sector(sectors, cluster // SECTOR, fat_sectors, volume_id, label)
    boot += _info_sector(clusters - used, ROOT_CLUSTER + used)
    yield 0, boot
    yield BACKUP_BOOT_SECTOR * SECTOR, boot
    table = _table(nodes)
    for copy in range(FATS):
        yield (RESERVED_SECTORS + copy * fat_sectors) * SECTOR, table
    data = (RESERVED_SECTORS + FATS * fat_sectors) * SECTOR
    for node in nodes:
        if node.clusters:
            yield data + (node.first - ROOT_CLUSTER) * cluster, _data(node, nodes[0], label)


def _tree(files: Mapping[str, bytes]) -> _Node:
    root = _Node("")
    for path in sorted(files):
        *parents, name = path.split("/")
        directory = root
        for parent in parents:
            directory = directory.children.setdefault(parent.upper(), _Node(parent))
        if name.upper() in directory.children or directory.content is not None:
            raise ValueError(f"{path} occurs twice")
        directory.children[name.upper()] = _Node(name, files[path])
    return root


def _allocate(root: _Node, size: int) -> list[_Node]:
    """All nodes, the root first and each with its clusters of `size` bytes, in order of cluster."""
    nodes = [root]
    for node in nodes:
        nodes.extend(node.children.values())
    cluster = ROOT_CLUSTER
    for node in nodes:
        if node.content is None:
            fixed = 1 if node is root else 2
            node.entries = fixed + sum(len(entries) for entries in _names(node).values())
        node.clusters = -(-(node.entries * ENTRY.size if node.content is None else len(node.content)) // size)
        if node.clusters:
            node.first = cluster
            cluster += node.clusters
        for child in node.children.values():
            child.above = 0 if node is root else node.first
    return nodes


def _names(directory: _Node) -> dict[str, list[bytes]]:
    """For each child the long-name entries that go before its own, and last its short name."""
    names = {}
    taken = {key for key in directory.children if _SHORT.fullmatch(key)}
    for key, child in directory.children.items():
        if match := _SHORT.fullmatch(key):
            short = _pad(match[1], match[2] or "")
        else:
            short = _numbered(key, taken)
        long = [] if child.name == key and match else _long_entries(child.name, short)
        names[key] = [*long, short]
    return names


def _numbered(key: str, taken: set[str]) -> bytes:
    """A short name that stands for a long one: "INVAR-~1.EFI"."""
    stem, _, suffix = key.rpartition(".") if "." in key else (key, "", "")
    stem = re.sub(r"[^A-Z0-9_-]", "", stem)
    suffix = re.sub(r"[^A-Z0-9_-]", "", suffix)[:3]
    number = 1
    while True:
        tail = f"~{number}"
        name = stem[: 8 - len(tail)] + tail
        whole = f"{name}.{suffix}" if suffix else name
        if whole not in taken:
            taken.add(whole)
            return _pad(name, suffix)
        number += 1


def _pad(stem: str, suffix: str) -> bytes:
    return stem.ljust(8).encode() + suffix.ljust(3).encode()


def _long_entries(name: str, short: bytes) -> list[bytes]:
    checksum = 0
    for byte in short:
        checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
    units = name.encode("utf-16-le")
    if not 0 < len(units) <= 510:
        raise ValueError(f"not a file name for FAT: {name!r}")
    width = 2 * LONG_ENTRY_UNITS
    if len(units) % width:
        units += b"\0\0"
        units += b"\xff" * (-len(units) % width)
    parts = [units[at : at + width] for at in range(0, len(units), width)]
    entries = []
    for number, part in reversed(list(enumerate(parts, 1))):
        order = number | (0x40 if number == len(parts) else 0)
        places = (part[:10], ATTRIBUTE_LONG_NAME, 0, checksum, part[10:22], 0, part[22:])
        entries.append(LONG_ENTRY.pack(order, *places))
    return entries


def _data(node: _Node, root: _Node, label: str) -> bytes:
    if node.content is not None:
        return node.content
    if node is root:
        entries = [_entry(label.ljust(11).encode(), ATTRIBUTE_VOLUME, 0, 0)]
    else:
        entries = [
            _entry(b".".ljust(11), ATTRIBUTE_DIRECTORY, node.first, 0),
            _entry(b"..".ljust(11), ATTRIBUTE_DIRECTORY, node.above, 0),
        ]
    for key, (*long, short) in _names(node).items():
        child = node.children[key]
        entries.extend(long)
        if child.content is None:
            entries.append(_entry(short, ATTRIBUTE_DIRECTORY, child.first, 0))
        else:
            entries.append(_entry(short, ATTRIBUTE_ARCHIVE, child.first, len(child.content)))
    return b"".join(entries)


def _entry(short: bytes, attribute: int, first: int, size: int) -> bytes:
    times = (0, EPOCH_DATE, EPOCH_DATE)
    return ENTRY.pack(short, attribute, 0, 0, *times, first >> 16, 0, EPOCH_DATE, first & 0xFFFF, size)


def _table(nodes: list[_Node]) -> bytes:
    """The allocation table: every chain is one run of clusters."""
    table = [0x0FFFFF00 | MEDIA_FIXED, END_OF_CHAIN]
    for node in nodes:
        if node.clusters:
            table.extend(range(node.first + 1, node.first + node.clusters))
            table.append(END_OF_CHAIN)
    return struct.pack(f"<{len(table)}I", *table)


def _fat_sectors(sectors: int, per_cluster: int) -> int:
    """The smallest table that has an entry for every cluster that is left."""
    entries = SECTOR // 4
    return -(-(sectors - RESERVED_SECTORS + 2 * per_cluster) // (entries * per_cluster + FATS))


def _boot_sector(sectors: int, per_cluster: int, fat_sectors: int, volume_id: int, label: str) -> bytes:
    start = struct.pack("<3s8s", b"\xeb\x58\x90", b"MSWIN4.1")
    common = struct.pack(
        "<HBHBHHBHHHII", SECTOR, per_cluster, RESERVED_SECTORS, FATS, 0, 0, MEDIA_FIXED, 0, 32, 64, 0, sectors
    )
    own = struct.pack("<IHHIHH12x", fat_sectors, 0, 0, ROOT_CLUSTER, 1, BACKUP_BOOT_SECTOR)
    identity = struct.pack("<BBBI11s8s", 0x80, 0, 0x29, volume_id, label.ljust(11).encode(), b"FAT32   ")
    return (start + common + own + identity).ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def _info_sector(free: int, next_free: int) -> bytes:
    return struct.pack("<I480xIII12xI", 0x41615252, 0x61417272, free, next_free, 0xAA550000)
