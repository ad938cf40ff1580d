"""What a built layer is: an EROFS file system with its dm-verity hash tree appended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in the store.

    `image` is one file: `data_blocks` blocks of EROFS, then the verity hash tree (no superblock; format 1, SHA-256,
    4 KiB blocks), `total_blocks` in all. `root_hash` and `salt` are lower-case hex.
    """

    kind: Literal["packages", "config"]
    key: str
    image: Path
    data_blocks: int
    total_blocks: int
    root_hash: str
    salt: str

    @property
    def bytes(self) -> int:
        """Size of the image file."""
        return self.total_blocks * BLOCK


@dataclass(frozen=True, slots=True)
class PackagesLayer:
    """The packages layer and what else came out of building it.

    `accounts` holds the text of passwd, group, shadow and gshadow as the packages left them. `kernel` is the vmlinuz,
    `modules` the directory that holds `lib/modules/VERSION` (both outside of the EROFS, for the initrd). `programs`
    maps a Debian package to the absolute paths of the programs in it, `packages` each installed package to its
    version.
    """

    layer: Layer
    kernel: Path
    kernel_version: str
    modules: Path
    accounts: dict[str, str]
    programs: dict[str, tuple[str, ...]]
    packages: dict[str, str]
