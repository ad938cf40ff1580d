"""An ISO 9660 file system that UEFI firmware boots: a few files in the root directory.

Follows ECMA-119 (upper-case names of at most 30 characters; files of 4 GiB and more in several extents, as its level 3
has them), the El Torito specification with UEFI's platform id (UEFI specification, 13.3.2.1), and, for a stick that the
file is copied to, an MBR with the boot image as EFI system partition (5.2).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

SECTOR = 2048
MBR_SECTOR = 512
DESCRIPTORS = 16
"""The first sector behind the system area."""

PATH_TABLES = DESCRIPTORS + 3
ROOT = PATH_TABLES + 2
CATALOG = ROOT + 1
FILES = CATALOG + 1
EXTENT_LIMIT = (1 << 32) - SECTOR
MULTI_EXTENT = 0x80
DIRECTORY = 0x02
PLATFORM_EFI = 0xEF
CATALOG_NAME = "BOOT.CAT"
_NAME = re.compile(r"[A-Z0-9_]{1,20}\.[A-Z0-9_]{1,8}")
_VOLUME = re.compile(r"[A-Z0-9_]{1,32}")


@dataclass(frozen=True, slots=True)
class Plan:
    """`head` is all that lies before the files, `offsets` tells where each file goes, `size` how long all is: bytes."""

    head: bytes
    offsets: dict[str, int]
    size: int


@dataclass(frozen=True, slots=True)
class _Extent:
    name: str
    sector: int
    size: int
    last: bool


def plan_iso(sizes: Mapping[str, int], *, boot: str, volume: str, epoch: int, signature: int) -> Plan:
    """Where the files go, by name and size in bytes; they lie in the mapping's order.

    `boot` is the one that is a FAT file system, which the firmware boots from; it should be last, for without a length
    in the catalogue, which holds 32 MiB at most, it reaches to the medium's end. `volume` is at most 32 characters of
    A-Z, 0-9 and _, `epoch` (seconds since 1970) every time, `signature` (32 bits) the MBR's. Raises ValueError for
    names that the format has not.
    """
    if not _VOLUME.fullmatch(volume):
        raise ValueError(f"no name for a volume: {volume}")
    extents: list[_Extent] = [_Extent(CATALOG_NAME, CATALOG, SECTOR, True)]
    offsets: dict[str, int] = {}
    sector = FILES
    for name, size in sizes.items():
        if not _NAME.fullmatch(name) or name == CATALOG_NAME:
            raise ValueError(f"no name for a file on an ISO: {name}")
        offsets[name] = sector * SECTOR
        left = size
        while True:
            part = min(left, EXTENT_LIMIT)
            left -= part
            extents.append(_Extent(name, sector, part, not left))
            sector += -(-part // SECTOR)
            if not left:
                break
    date = datetime.fromtimestamp(epoch, UTC)
    root = _root_directory(extents, date)
    boot_sector = offsets[boot] // SECTOR
    head = b"".join(
        [
            _mbr(offsets[boot] // MBR_SECTOR, -(-sizes[boot] // MBR_SECTOR), signature).ljust(
                DESCRIPTORS * SECTOR, b"\0"
            ),
            _primary(volume, sector, date),
            _padded(b"\0CD001\x01" + b"EL TORITO SPECIFICATION".ljust(64, b"\0") + struct.pack("<I", CATALOG)),
            _padded(b"\xffCD001\x01"),
            _padded(_path_table("<")),
            _padded(_path_table(">")),
            root,
            _padded(_catalog(boot_sector)),
        ]
    )
    return Plan(head, offsets, sector * SECTOR)


def _root_directory(extents: list[_Extent], date: datetime) -> bytes:
    records = [_record(name, ROOT, SECTOR, DIRECTORY, date) for name in (b"\0", b"\1")]
    for extent in sorted(extents, key=lambda extent: (extent.name, extent.sector)):
        flags = 0 if extent.last else MULTI_EXTENT
        records.append(_record(f"{extent.name};1".encode(), extent.sector, extent.size, flags, date))
    directory = b"".join(records)
    if len(directory) > SECTOR:
        raise ValueError("too many files for one sector of directory")
    return _padded(directory)


def _record(name: bytes, sector: int, size: int, flags: int, date: datetime) -> bytes:
    length = 33 + len(name) + (len(name) + 1) % 2
    moment = bytes([date.year - 1900, date.month, date.day, date.hour, date.minute, date.second, 0])
    fields = bytes([length, 0]) + _both4(sector) + _both4(size) + moment + bytes([flags, 0, 0]) + _both2(1)
    return (fields + bytes([len(name)]) + name).ljust(length, b"\0")


def _primary(volume: str, sectors: int, date: datetime) -> bytes:
    moment = date.strftime("%Y%m%d%H%M%S00").encode() + b"\0"
    never = b"0" * 16 + b"\0"
    table = len(_path_table("<"))
    return _padded(
        b"".join(
            [
                b"\x01CD001\x01\0",
                b"".ljust(32),
                volume.encode().ljust(32),
                bytes(8),
                _both4(sectors),
                bytes(32),
                _both2(1),
                _both2(1),
                _both2(SECTOR),
                _both4(table),
                struct.pack("<II", PATH_TABLES, 0),
                struct.pack(">II", PATH_TABLES + 1, 0),
                _record(b"\0", ROOT, SECTOR, DIRECTORY, date),
                b"".ljust(3 * 128),
                b"INVAR".ljust(128),
                b"".ljust(3 * 37),
                moment,
                moment,
                never,
                never,
                b"\x01\0",
            ]
        )
    )


def _path_table(order: str) -> bytes:
    """One directory, the root."""
    return struct.pack(f"{order}BBIH2s", 1, 0, ROOT, 1, b"\0\0")


def _catalog(sector: int) -> bytes:
    """The validation entry, whose words add up to zero, and the one to boot: no emulation, no length."""
    blank = struct.pack("<BBH24sHBB", 1, PLATFORM_EFI, 0, b"INVAR", 0, 0x55, 0xAA)
    checksum = -sum(struct.unpack("<16H", blank)) & 0xFFFF
    validation = struct.pack("<BBH24sHBB", 1, PLATFORM_EFI, 0, b"INVAR", checksum, 0x55, 0xAA)
    return validation + struct.pack("<BBHBBHI20x", 0x88, 0, 0, 0, 0, 0, sector)


def _mbr(start: int, count: int, signature: int) -> bytes:
    entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", PLATFORM_EFI, b"\xfe\xff\xff", start, count)
    return bytes(440) + struct.pack("<IH", signature, 0) + entry + bytes(48) + b"\x55\xaa"


def _both2(value: int) -> bytes:
    return struct.pack("<H", value) + struct.pack(">H", value)


def _both4(value: int) -> bytes:
    return struct.pack("<I", value) + struct.pack(">I", value)


def _padded(sector: bytes) -> bytes:
    return sector.ljust(SECTOR, b"\0")
