"""A live ISO: the system's UKI on an EFI system partition, and both layers as files. /var is in memory.

The UKI is that of the disks, byte for byte, so that the system digest is the same. That its layers are on a medium, the
initrd learns from a credential file beside it, which systemd-stub hands to any initrd (systemd-stub(7), "Companion
files"). It is not signed, and need not be: the layers are proven by the root hashes on the UKI's command line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from invar.image.assemble import Image, make_uki
from invar.image.esp import BOOT_LOADERS
from invar.image.fat import format_fat32
from invar.image.formats.format import open_new
from invar.image.gpt import guid
from invar.image.iso9660 import plan_iso
from invar.image.sparse import copy_into, write_at
from invar.image.tools import Tools

MIB = 1 << 20
ESP_MINIMUM = 34 * MIB
"""What FAT32 takes with the smallest clusters."""

CLUSTER = 512
PACKAGES, CONFIG, ESP = "PACKAGES.IMG", "CONFIG.IMG", "EFI.IMG"
MARK = "invar-medium.cred"
"""init.sh looks for it in /.extra/credentials."""


@dataclass(frozen=True, slots=True)
class Iso:
    """For a virtual CD drive, or to be copied to a stick."""

    name: str = "iso"
    aliases: tuple[str, ...] = ()
    suffix: str = "iso"
    description: str = "live ISO for UEFI: a CD, or dd to a stick; /var is in memory"
    is_disk: bool = False

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write the file systems around the layers."""
        program = f"EFI/BOOT/{BOOT_LOADERS[image.architecture][1]}"
        files = {program: make_uki(image, tools), f"{program}.extra.d/{MARK}": b"live\n"}
        esp = max(ESP_MINIMUM, -(-sum(map(len, files.values())) // MIB) * MIB + 2 * MIB)
        identity = guid("iso", image.system_digest).int
        plan = plan_iso(
            {CONFIG: image.config.bytes, PACKAGES: image.packages.bytes, ESP: esp},
            boot=ESP,
            volume=f"INVAR_{image.system_digest[:12].upper()}",
            epoch=image.epoch,
            signature=identity & 0xFFFFFFFF,
        )
        with open_new(path) as target:
            os.ftruncate(target, plan.size)
            write_at(target, 0, plan.head)
            copy_into(target, plan.offsets[CONFIG], image.config.image)
            copy_into(target, plan.offsets[PACKAGES], image.packages.image)
            volume_id = identity >> 32 & 0xFFFFFFFF
            for offset, data in format_fat32(files, size=esp, volume_id=volume_id, label="ESP", cluster=CLUSTER):
                write_at(target, plan.offsets[ESP] + offset, data)
