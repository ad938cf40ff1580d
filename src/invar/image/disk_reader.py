"""Disk images of others into raw ones: fixed and dynamic VHD, qcow2. Holes stay holes; data is read once.

After Microsoft's "Virtual Hard Disk Image Format Specification" and QEMU's docs/interop/qcow2.txt.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Literal

from invar.core.errors import InvarError
from invar.image.sparse import copy_range, data_extents, write_at

Kind = Literal["raw", "qcow2", "vhd-fixed", "vhd-dynamic"]
SECTOR = 512
CHUNK = 64 << 10
FOOTER = struct.Struct(">8sIIQI4sI4sQQIII")
DYNAMIC = struct.Struct(">8sQQIII")
VHD_FIXED, VHD_DYNAMIC = 2, 3
QCOW2 = struct.Struct(">4sIQIIQIIQQIIQ")
OFFSET = 0x00FFFFFFFFFFFE00
COMPRESSED, ZERO = 1 << 62, 1


def kind_of(path: Path) -> Kind:
    """What a disk image is, by its magic numbers. Raises InvarError for a VHD that is neither fixed nor dynamic."""
    with path.open("rb") as file:
        head = file.read(8)
        size = os.fstat(file.fileno()).st_size
        if head[:4] == b"QFI\xfb":
            return "qcow2"
        if size >= SECTOR:
            file.seek(size - SECTOR)
            footer = file.read(SECTOR)
            if footer[:8] == b"conectix":
                kind = FOOTER.unpack_from(footer)[11]
                if kind not in (VHD_FIXED, VHD_DYNAMIC):
                    raise InvarError(f"{path} is a VHD of type {kind}", why="only fixed and dynamic ones can be read")
                return "vhd-fixed" if kind == VHD_FIXED else "vhd-dynamic"
    return "raw"


def write_raw(source: Path, target: Path) -> None:
    """Write the disk in `source` to the new sparse file `target`. Raises InvarError for what cannot be read."""
    kind = kind_of(source)
    readers = {"raw": _copy_raw, "vhd-fixed": _copy_fixed, "vhd-dynamic": _copy_dynamic, "qcow2": _copy_qcow2}
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            readers[kind](reading, writing, source)
        finally:
            os.close(writing)
    except (struct.error, zlib.error, ValueError) as error:
        raise InvarError(f"{source} is a damaged {kind} image", why=str(error)) from error
    finally:
        os.close(reading)


def _copy_raw(source: int, target: int, path: Path) -> None:
    _copy_data(source, target, os.fstat(source).st_size)


def _copy_fixed(source: int, target: int, path: Path) -> None:
    size = os.fstat(source).st_size - SECTOR
    _copy_data(source, target, size)


def _copy_data(source: int, target: int, size: int) -> None:
    os.ftruncate(target, size)
    for start, end in data_extents(source):
        if start < size:
            copy_range(source, start, target, start, min(end, size) - start)


def _copy_dynamic(source: int, target: int, path: Path) -> None:
    footer = FOOTER.unpack(_read(source, FOOTER.size, os.fstat(source).st_size - SECTOR))
    size = footer[9]
    cookie, _, table, _, entries, block = DYNAMIC.unpack(_read(source, DYNAMIC.size, footer[3]))
    if cookie != b"cxsparse" or block % SECTOR or not block:
        raise ValueError("the dynamic header is wrong")
    os.ftruncate(target, size)
    bitmap = -(-(block // SECTOR) // (8 * SECTOR)) * SECTOR
    places = struct.unpack(f">{entries}I", _read(source, 4 * entries, table))
    for index, sector in enumerate(places):
        if sector != 0xFFFFFFFF and index * block < size:
            count = min(block, size - index * block)
            _copy_nonzero(source, sector * SECTOR + bitmap, target, index * block, count)


def _copy_nonzero(source: int, source_offset: int, target: int, target_offset: int, count: int) -> None:
    """Copy, leaving out runs of zeros: an allocated block is mostly not full."""
    for start in range(0, count, CHUNK):
        data = _read(source, min(CHUNK, count - start), source_offset + start)
        if data.strip(b"\0"):
            write_at(target, target_offset + start, data)


def _copy_qcow2(source: int, target: int, path: Path) -> None:
    header = QCOW2.unpack(_read(source, QCOW2.size, 0))
    _, version, backing, _, bits, size, encryption, l1_entries, l1_offset, *_ = header
    if version not in (2, 3) or not 9 <= bits <= 21:
        raise ValueError(f"version {version}, clusters of 2^{bits} bytes")
    features = struct.unpack(">Q", _read(source, 8, 72))[0] if version == 3 else 0
    if backing or encryption or features & ~1:
        raise InvarError(
            f"{path} is no image by itself",
            why="it has a backing file, is encrypted, keeps its data elsewhere, or is compressed with zstd",
            hint="convert it: qemu-img convert -O raw",
        )
    cluster = 1 << bits
    os.ftruncate(target, size)
    l1 = struct.unpack(f">{l1_entries}Q", _read(source, 8 * l1_entries, l1_offset))
    per_table = cluster // 8
    for number, entry in enumerate(l1):
        if not entry & OFFSET:
            continue
        l2 = struct.unpack(f">{per_table}Q", _read(source, cluster, entry & OFFSET))
        for index, place in enumerate(l2):
            at = (number * per_table + index) * cluster
            if at >= size or not place:
                continue
            length = min(cluster, size - at)
            if place & COMPRESSED:
                write_at(target, at, _inflated(source, place, bits)[:length])
            elif place & OFFSET and not (version == 3 and place & ZERO):
                copy_range(source, place & OFFSET, target, at, length)


def _inflated(source: int, place: int, bits: int) -> bytes:
    shift = 62 - (bits - 8)
    offset = place & ((1 << shift) - 1)
    sectors = ((place >> shift) & ((1 << (bits - 8)) - 1)) + 1
    data = os.pread(source, sectors * SECTOR - offset % SECTOR, offset)
    return zlib.decompressobj(-12).decompress(data, 1 << bits)


def _read(descriptor: int, count: int, offset: int) -> bytes:
    data = os.pread(descriptor, count, offset)
    if len(data) != count:
        raise ValueError(f"it ends at byte {offset + len(data)}, {count - len(data)} too early")
    return data
