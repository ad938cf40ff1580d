"""The EFI system partition: which files are in it, as a sparse FAT32 file system."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from invar.image.fat import Extent, format_fat32

ESP_BYTES = 512 << 20
"""Room for some twenty generations of kernel and initrd."""

LOADER_CONF = "timeout 0\neditor no\n"
BOOT_LOADERS = {
    "amd64": ("usr/lib/systemd/boot/efi/systemd-bootx64.efi", "BOOTX64.EFI"),
    "arm64": ("usr/lib/systemd/boot/efi/systemd-bootaa64.efi", "BOOTAA64.EFI"),
}
"""By architecture: systemd-boot's path in the tools, and the name that firmware looks for in /EFI/BOOT."""

STUBS = {
    "amd64": "usr/lib/systemd/boot/efi/linuxx64.efi.stub",
    "arm64": "usr/lib/systemd/boot/efi/linuxaa64.efi.stub",
}
"""By architecture: the program that a UKI starts with."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A boot entry of type 2 (UAPI Boot Loader Specification): the UKI of one numbered system."""

    number: int
    uki: bytes

    @property
    def file_name(self) -> str:
        """systemd-boot sorts these names with the newest first."""
        return f"invar-{self.number:06}.efi"


def esp_extents(architecture: str, boot_loader: bytes, generation: Generation, *, volume_id: int) -> Iterator[Extent]:
    """The parts of the partition that are not zero: (offset, bytes) pairs, in order. `volume_id` is any 32 bits."""
    files = {
        f"EFI/BOOT/{BOOT_LOADERS[architecture][1]}": boot_loader,
        f"EFI/Linux/{generation.file_name}": generation.uki,
        "loader/loader.conf": LOADER_CONF.encode(),
    }
    return format_fat32(files, size=ESP_BYTES, volume_id=volume_id, label="ESP")
