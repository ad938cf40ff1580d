"""A GPT partition table as bytes: protective MBR, header and entries at both ends of the disk.

Follows the UEFI specification, chapter 5. Every GUID is handed in, derived from digests with `guid`.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

SECTOR = 512
ENTRIES = 128
ENTRY = struct.Struct("<16s16sQQQ72s")
HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
ENTRY_SECTORS = ENTRIES * ENTRY.size // SECTOR
FIRST_USABLE = 2 + ENTRY_SECTORS
HEAD_BYTES = FIRST_USABLE * SECTOR
"""What the table takes at the start of the disk; the copy at the end takes one sector less."""

TYPE_ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
TYPE_LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: `offset` and `size` in bytes, multiples of 512; `label` has at most 36 UTF-16 units."""

    label: str
    kind: uuid.UUID
    guid: uuid.UUID
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Table:
    """The bytes of a table: `head` goes to the start of the disk, `tail` to byte `tail_offset`, its end."""

    head: bytes
    tail: bytes
    tail_offset: int


def guid(*parts: str) -> uuid.UUID:
    """A GUID derived from texts (RFC 9562, version 8)."""
    value = bytearray(hashlib.sha256("\0".join(parts).encode()).digest()[:16])
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(value))


def partition_table(partitions: Sequence[Partition], *, disk_guid: uuid.UUID, disk_bytes: int) -> Table:
    """The table of a disk of `disk_bytes` bytes. Raises ValueError for partitions that overlap or do not fit."""
    sectors = disk_bytes // SECTOR
    last_usable = sectors - ENTRY_SECTORS - 2
    _check_places(partitions, last_usable)
    entries = b"".join(_entry(partition) for partition in partitions).ljust(ENTRIES * ENTRY.size, b"\0")

    def header(own: int, other: int, entries_at: int) -> bytes:
        places = (own, other, FIRST_USABLE, last_usable)
        array = (entries_at, ENTRIES, ENTRY.size, zlib.crc32(entries))
        fields = (b"EFI PART", 0x10000, HEADER.size)
        blank = HEADER.pack(*fields, 0, 0, *places, disk_guid.bytes_le, *array)
        return HEADER.pack(*fields, zlib.crc32(blank), 0, *places, disk_guid.bytes_le, *array).ljust(SECTOR, b"\0")

    head = _protective_mbr(sectors) + header(1, sectors - 1, 2) + entries
    tail = entries + header(sectors - 1, 1, sectors - 1 - ENTRY_SECTORS)
    return Table(head, tail, (sectors - 1 - ENTRY_SECTORS) * SECTOR)


def _check_places(partitions: Sequence[Partition], last_usable: int) -> None:
    if len(partitions) > ENTRIES:
        raise ValueError(f"{len(partitions)} partitions; a GPT holds {ENTRIES}")
    end = FIRST_USABLE * SECTOR
    for partition in sorted(partitions, key=lambda partition: partition.offset):
        if partition.offset % SECTOR or partition.size % SECTOR or partition.size <= 0:
            raise ValueError(f"partition {partition.label} is not whole sectors")
        if partition.offset < end:
            raise ValueError(f"partition {partition.label} overlaps what lies before it")
        end = partition.offset + partition.size
    if end > (last_usable + 1) * SECTOR:
        raise ValueError(
            f"the partitions end at byte {end}, behind the last usable byte {(last_usable + 1) * SECTOR - 1}"
        )


def _entry(partition: Partition) -> bytes:
    name = partition.label.encode("utf-16-le")
    if len(name) > 72:
        raise ValueError(f"partition label {partition.label!r} is longer than 36 UTF-16 units")
    first = partition.offset // SECTOR
    last = (partition.offset + partition.size) // SECTOR - 1
    return ENTRY.pack(partition.kind.bytes_le, partition.guid.bytes_le, first, last, 0, name)


def _protective_mbr(sectors: int) -> bytes:
    """One partition of type 0xEE over the whole disk, so that old tools keep their hands off."""
    size = min(sectors - 1, 0xFFFFFFFF)
    entry = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, size)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"
