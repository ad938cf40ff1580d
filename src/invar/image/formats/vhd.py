"""A fixed VHD, as Azure takes it: the disk's bytes and a footer behind them.

Follows Microsoft's "Virtual Hard Disk Image Format Specification" (version 1.0, 2006). Azure asks that the disk be
whole MiB; Invar's disks are whole GiB.
"""

from __future__ import annotations

import os
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

from invar.image.assemble import Image
from invar.image.formats.format import open_files
from invar.image.gpt import guid
from invar.image.sparse import copy_into, write_at
from invar.image.tools import Tools

SECTOR = 512
FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16s")
EPOCH_2000 = 946_684_800
"""2000-01-01, from which the format counts its seconds."""

AT_CHECKSUM = 64
TYPE_FIXED = 2
CREATOR = b"win "
"""Hyper-V's own mark: readers take the size in bytes of its disks for true, and of others' the size in cylinders."""


@dataclass(frozen=True, slots=True)
class Azure:
    """A page blob's content: sparse on the host's disk."""

    name: str = "azure"
    aliases: tuple[str, ...] = ("vhd", "vpc")
    suffix: str = "vhd"
    description: str = "fixed VHD in whole MiB, for Azure and Hyper-V (generation 2)"
    is_disk: bool = True

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write the disk and the footer."""
        size = image.logical_bytes
        with open_files(image.raw, path) as (_, target):
            os.ftruncate(target, size)
            copy_into(target, 0, image.raw)
            write_at(target, size, footer(size, guid("vhd", image.key), image.epoch))


def footer(size: int, identity: uuid.UUID, epoch: int) -> bytes:
    """The 512 bytes behind a fixed disk of `size` bytes, made at `epoch` (seconds since 1970)."""
    geometry = chs(size // SECTOR)
    fields = (b"conectix", 2, 0x10000, 0xFFFFFFFFFFFFFFFF, max(0, epoch - EPOCH_2000), CREATOR, 0xA0000, b"Wi2k")
    blank = FOOTER.pack(*fields, size, size, *geometry, TYPE_FIXED, 0, identity.bytes).ljust(SECTOR, b"\0")
    checksum = ~sum(blank) & 0xFFFFFFFF
    return blank[:AT_CHECKSUM] + struct.pack(">I", checksum) + blank[AT_CHECKSUM + 4 :]


def chs(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors a track, by the specification's appendix."""
    sectors = min(sectors, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        return sectors // 255 // 16, 16, 255
    per_track = 17
    tracks = sectors // per_track
    heads = max(4, (tracks + 1023) // 1024)
    if tracks >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
        tracks = sectors // per_track
    if tracks >= heads * 1024:
        per_track, heads = 63, 16
        tracks = sectors // per_track
    return tracks // heads, heads, per_track
