"""Raw blocks with GPT and UEFI, as EBS snapshots take them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from invar.image.assemble import Image


@dataclass(frozen=True, slots=True)
class Amazon:
    """The disk itself: a sparse file, in whole GiB."""

    name: str = "amazon"
    suffix: str = "raw"
    description: str = "raw disk with GPT for UEFI, as EC2 takes it"

    def write(self, image: Image, path: Path) -> None:
        """Another name for the assembled disk: nothing is copied."""
        os.link(image.raw, path)
