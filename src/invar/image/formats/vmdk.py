"""A stream-optimised VMDK, as OVF packages and the imports of vSphere and EC2 take it: written and read front to back.

Follows VMware's "Virtual Disk Format 5.0" technical note: grains of 64 KiB behind their markers, each grain table
behind its grains, the grain directory and the footer at the end. Grains are DEFLATE streams of stored blocks (RFC 1951,
3.2.4): the layers are compressed already, so that deflating them would take off a fifth only, and its result depends on
zlib's version.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from invar.image.assemble import Image
from invar.image.formats.vhd import chs
from invar.image.sparse import used_runs
from invar.image.tools import Tools

SECTOR = 512
GRAIN = 64 << 10
GRAIN_SECTORS = GRAIN // SECTOR
TABLE_ENTRIES = 512
HEADER = struct.Struct("<4sIIQQQQIQQQB4sH433x")
MARKER = struct.Struct("<QII496x")
GRAIN_MARKER = struct.Struct("<QI")

VERSION = 3
FLAGS = 1 | 1 << 16 | 1 << 17
"""The newline test is valid, grains are compressed, markers are there."""

DEFLATE = 1
OVERHEAD = 128
DESCRIPTOR_SECTORS = 20
AT_THE_END = (1 << 64) - 1
END_OF_STREAM, GRAIN_TABLE, GRAIN_DIRECTORY, FOOTER = range(4)

ZLIB_HEADER = b"\x78\x01"
STORED_LIMIT = 0xFFFF

DESCRIPTOR = """\
# Disk DescriptorFile
version=1
CID={cid:08x}
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW {sectors} SPARSE "{file}"

# The Disk Data Base
#DDB
ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "{heads}"
ddb.geometry.sectors = "{track}"
ddb.virtualHWVersion = "13"
"""


@dataclass(frozen=True, slots=True)
class Vmdk:
    """A file to upload: hypervisors turn it into a disk of their own when it is imported."""

    name: str = "vmdk"
    aliases: tuple[str, ...] = ("vmware",)
    suffix: str = "vmdk"
    description: str = "stream-optimised VMDK for vSphere, VMware Workstation and OVF"
    is_disk: bool = True

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write the disk's grains that are not zero, in their order."""
        content_id = int(image.key[:8], 16) & 0xFFFFFFFE
        descriptor = os.open(image.raw, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with path.open("xb") as target:
                write_vmdk(descriptor, target, path.name, content_id)
        finally:
            os.close(descriptor)


def write_vmdk(source: int, target: IO[bytes], file_name: str, content_id: int) -> None:
    """Convert the open raw file `source`, whole sectors long, into the stream `target`.

    `file_name` is what the descriptor calls the stream. `content_id` is any 32 bits but all ones.
    """
    size = os.fstat(source).st_size
    sectors = size // SECTOR
    target.write(_header(sectors, AT_THE_END))
    target.write(_descriptor(sectors, file_name, content_id))
    target.write(bytes((OVERHEAD - 1 - DESCRIPTOR_SECTORS) * SECTOR))
    at = OVERHEAD

    tables = -(-size // (GRAIN * TABLE_ENTRIES))
    directory = [0] * tables
    for number, grains in _by_table(used_runs(source, GRAIN)):
        table = [0] * TABLE_ENTRIES
        for grain in grains:
            piece = stored_grain(grain * GRAIN_SECTORS, os.pread(source, GRAIN, grain * GRAIN).ljust(GRAIN, b"\0"))
            target.write(piece)
            table[grain % TABLE_ENTRIES] = at
            at += len(piece) // SECTOR
        content = struct.pack(f"<{TABLE_ENTRIES}I", *table)
        target.write(MARKER.pack(len(content) // SECTOR, 0, GRAIN_TABLE) + content)
        directory[number] = at + 1
        at += 1 + len(content) // SECTOR

    content = _whole_sectors(struct.pack(f"<{tables}I", *directory))
    target.write(MARKER.pack(len(content) // SECTOR, 0, GRAIN_DIRECTORY) + content)
    target.write(MARKER.pack(1, 0, FOOTER) + _header(sectors, at + 1))
    target.write(MARKER.pack(0, 0, END_OF_STREAM))


def stored_grain(sector: int, data: bytes) -> bytes:
    """A grain behind its marker, whole sectors long: a zlib stream (RFC 1950) whose blocks are stored."""
    blocks = [data[start : start + STORED_LIMIT] for start in range(0, len(data), STORED_LIMIT)]
    stream = ZLIB_HEADER
    for index, block in enumerate(blocks):
        stream += struct.pack("<BHH", index == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
    stream += struct.pack(">I", zlib.adler32(data))
    return _whole_sectors(GRAIN_MARKER.pack(sector, len(stream)) + stream)


def _by_table(runs: list[tuple[int, int]]) -> Iterator[tuple[int, list[int]]]:
    """The grains in use, by the number of the grain table that they are in."""
    number, grains = 0, list[int]()
    for first, count in runs:
        for grain in range(first, first + count):
            if grain // TABLE_ENTRIES != number:
                if grains:
                    yield number, grains
                number, grains = grain // TABLE_ENTRIES, []
            grains.append(grain)
    if grains:
        yield number, grains


def _header(sectors: int, directory: int) -> bytes:
    places = (1, DESCRIPTOR_SECTORS, TABLE_ENTRIES, 0, directory, OVERHEAD)
    return HEADER.pack(b"KDMV", VERSION, FLAGS, sectors, GRAIN_SECTORS, *places, 0, b"\n \r\n", DEFLATE)


def _descriptor(sectors: int, file_name: str, content_id: int) -> bytes:
    cylinders, heads, track = chs(sectors)
    text = DESCRIPTOR.format(
        cid=content_id, sectors=sectors, file=file_name, cylinders=cylinders, heads=heads, track=track
    )
    return text.encode().ljust(DESCRIPTOR_SECTORS * SECTOR, b"\0")


def _whole_sectors(data: bytes) -> bytes:
    return data + bytes(-len(data) % SECTOR)
