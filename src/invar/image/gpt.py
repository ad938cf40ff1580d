"""A GPT partition table as bytes, and read back: protective MBR, header and entries at both ends of the disk.

Follows the UEFI specification, chapter 5. Every GUID is handed in, derived from digests with `guid`.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from collections.abc import Callable, Sequence
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


def read_partition_table(read: Callable[[int, int], bytes]) -> tuple[Partition, ...]:
    """The partitions of a disk whose bytes (offset, length) `read` gives.

    Raises ValueError when the table is damaged, or its copy at the end of the disk is not the same.
    """
    header, entries = _read_table(read, SECTOR)
    own, other, first_usable, last_usable, disk_guid = header
    copy, copied = _read_table(read, other * SECTOR)
    if copied != entries or copy != (other, own, first_usable, last_usable, disk_guid):
        raise ValueError("the partition table and its copy at the end of the disk differ")
    if read(0, SECTOR)[510:] != b"\x55\xaa":
        raise ValueError("the protective MBR is damaged")
    return tuple(
        _partition(entries[at : at + ENTRY.size])
        for at in range(0, len(entries), ENTRY.size)
        if any(entries[at : at + 16])
    )


def _read_table(read: Callable[[int, int], bytes], offset: int) -> tuple[tuple[int, int, int, int, bytes], bytes]:
    """What a header at a byte offset says (own place, other's place, usable places, GUID), and its entries."""
    sector = read(offset, SECTOR)
    if len(sector) < SECTOR or not sector.startswith(b"EFI PART"):
        raise ValueError(f"there is no partition table at byte {offset}")
    fields = HEADER.unpack_from(sector)
    _, revision, size, checksum, _, *places, disk_guid, entries_at, count, entry_size, entries_checksum = fields
    blank = HEADER.pack(*fields[:3], 0, *fields[4:])
    if revision != 0x10000 or size != HEADER.size or zlib.crc32(blank) != checksum:
        raise ValueError(f"the partition table's header at byte {offset} is damaged")
    if count != ENTRIES or entry_size != ENTRY.size:
        raise ValueError(f"the partition table at byte {offset} has {count} entries of {entry_size} bytes")
    entries = read(entries_at * SECTOR, ENTRIES * ENTRY.size)
    if zlib.crc32(entries) != entries_checksum:
        raise ValueError(f"the partition table's entries at byte {entries_at * SECTOR} are damaged")
    own, other, first_usable, last_usable = places
    return (own, other, first_usable, last_usable, disk_guid), entries


def _partition(entry: bytes) -> Partition:
    kind, own, first, last, _, name = ENTRY.unpack(entry)
    label = name.decode("utf-16-le", "replace").partition("\0")[0]
    size = (last - first + 1) * SECTOR
    return Partition(label, uuid.UUID(bytes_le=kind), uuid.UUID(bytes_le=own), first * SECTOR, size)


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
