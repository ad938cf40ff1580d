"""Raw blocks with GPT and UEFI, as EBS snapshots take them; and the same disk for any other machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from invar.image.assemble import Image
from invar.image.tools import Tools


@dataclass(frozen=True, slots=True)
class Raw:
    """The disk itself: a sparse file, in whole GiB."""

    name: str
    aliases: tuple[str, ...]
    description: str
    suffix: str = "raw"
    is_disk: bool = True

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Another name for the assembled disk: nothing is copied."""
        os.link(image.raw, path)


AMAZON = Raw("amazon", (), "raw disk with GPT for UEFI, as EC2 takes it")
RAW_EFI = Raw("raw-efi", (), "raw disk with GPT for UEFI: any hypervisor, or dd to a disk")
