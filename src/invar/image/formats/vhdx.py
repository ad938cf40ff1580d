"""Hyper-V's VHDX, dynamic: only blocks with data are in the file.

Follows Microsoft's [MS-VHDX]. Two equal headers and region tables, an empty log, metadata, the block allocation table,
then blocks of 1 MiB. Every GUID follows from the image.
"""

from __future__ import annotations

import os
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

from invar.image.assemble import Image
from invar.image.crc32c import crc32c
from invar.image.formats.format import open_files
from invar.image.gpt import guid
from invar.image.sparse import copy_range, used_runs, write_at
from invar.image.tools import Tools

KIB = 1 << 10
MIB = 1 << 20
BLOCK = MIB
LOGICAL_SECTOR = 512
PHYSICAL_SECTOR = 4096
CHUNK_RATIO = (1 << 23) * LOGICAL_SECTOR // BLOCK
"""Blocks between two entries of the table that stand for a sector bitmap, which a disk without a parent lacks."""

HEADERS = (64 * KIB, 128 * KIB)
REGION_TABLES = (192 * KIB, 256 * KIB)
LOG = MIB
METADATA = 2 * MIB
TABLE = 3 * MIB

HEADER = struct.Struct("<4sIQ16s16s16sHHIQ")
REGIONS = struct.Struct("<4sIII")
REGION = struct.Struct("<16sQII")
METADATA_TABLE = struct.Struct("<8sHH20x")
METADATA_ENTRY = struct.Struct("<16sIII4x")

REGION_TABLE = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
REGION_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
DISK_ID = uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
SECTOR_LOGICAL = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
SECTOR_PHYSICAL = uuid.UUID("cda348c7-445d-4471-9cc9-e9885251c556")

REQUIRED = 4
REQUIRED_OF_DISK = 6
FULLY_PRESENT = 6


@dataclass(frozen=True, slots=True)
class Vhdx:
    """A file for Hyper-V, which grows as it is written to."""

    name: str = "vhdx"
    aliases: tuple[str, ...] = ("hyperv",)
    suffix: str = "vhdx"
    description: str = "dynamic VHDX for Hyper-V (generation 2)"
    is_disk: bool = True

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write the disk's blocks that are not zero, in their order."""
        with open_files(image.raw, path) as (source, target):
            write_vhdx(source, target, guid("vhdx", image.key))


def write_vhdx(source: int, target: int, identity: uuid.UUID) -> None:
    """Convert the open raw file `source`, whole sectors long, into the empty open file `target`."""
    size = os.fstat(source).st_size
    runs = used_runs(source, BLOCK)
    blocks = -(-size // BLOCK)
    table = bytearray(8 * (blocks + (blocks - 1) // CHUNK_RATIO))
    table_length = -(-len(table) // MIB) * MIB
    at = TABLE + table_length

    write_at(target, 0, b"vhdxfile" + "Invar".encode("utf-16-le"))
    for number, offset in enumerate(HEADERS):
        write_at(target, offset, _header(identity, sequence=number))
    for offset in REGION_TABLES:
        write_at(target, offset, _region_table(table_length))
    write_at(target, METADATA, _metadata(size, identity))
    for first, count in runs:
        for block in range(first, first + count):
            entry = at + (block - first) * BLOCK | FULLY_PRESENT
            struct.pack_into("<Q", table, 8 * (block + block // CHUNK_RATIO), entry)
        start = first * BLOCK
        copy_range(source, start, target, at, min(count * BLOCK, size - start))
        at += count * BLOCK
    write_at(target, TABLE, bytes(table))
    os.ftruncate(target, at)


def _header(identity: uuid.UUID, sequence: int) -> bytes:
    """The header with the higher sequence number is in force."""
    write_guid, data_guid = guid("write", str(identity)), guid("data", str(identity))
    nothing_to_replay = bytes(16)
    identities = (write_guid.bytes_le, data_guid.bytes_le, nothing_to_replay)
    return _sealed(HEADER.pack(b"head", 0, sequence, *identities, 0, 1, MIB, LOG).ljust(4 * KIB, b"\0"))


def _region_table(table_length: int) -> bytes:
    entries = (
        REGION.pack(REGION_TABLE.bytes_le, TABLE, table_length, 1),
        REGION.pack(REGION_METADATA.bytes_le, METADATA, MIB, 1),
    )
    return _sealed((REGIONS.pack(b"regi", 0, len(entries), 0) + b"".join(entries)).ljust(64 * KIB, b"\0"))


def _metadata(size: int, identity: uuid.UUID) -> bytes:
    """The region's first 64 KiB are the table of its items, which lie behind."""
    items = (
        (FILE_PARAMETERS, struct.pack("<II", BLOCK, 0), REQUIRED),
        (DISK_SIZE, struct.pack("<Q", size), REQUIRED_OF_DISK),
        (DISK_ID, identity.bytes_le, REQUIRED_OF_DISK),
        (SECTOR_LOGICAL, struct.pack("<I", LOGICAL_SECTOR), REQUIRED_OF_DISK),
        (SECTOR_PHYSICAL, struct.pack("<I", PHYSICAL_SECTOR), REQUIRED_OF_DISK),
    )
    table = METADATA_TABLE.pack(b"metadata", 0, len(items))
    values = b""
    for kind, value, flags in items:
        table += METADATA_ENTRY.pack(kind.bytes_le, 64 * KIB + len(values), len(value), flags)
        values += value
    return table.ljust(64 * KIB, b"\0") + values


def _sealed(structure: bytes) -> bytes:
    """With the CRC-32C of itself, a checksum of zero in its place, behind the signature."""
    return structure[:4] + struct.pack("<I", crc32c(structure) ^ 0xFFFFFFFF) + structure[8:]
