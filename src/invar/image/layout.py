"""Where everything lies on the disk: a decision from sizes alone, stable when only the configuration changes."""

from __future__ import annotations

from dataclasses import dataclass

from invar.core.errors import InvarError
from invar.image.esp import ESP_BYTES

MIB = 1 << 20
GIB = 1 << 30

HEAD = MIB
"""The partition table and the gap behind it."""

TAIL = MIB
"""The table's copy at the end."""

PACKAGES_STEP = 256 * MIB
CONFIG_STEP = 64 * MIB
VAR_MINIMUM = GIB


@dataclass(frozen=True, slots=True)
class Slot:
    """A partition's place, in bytes; whole MiB, so that EBS snapshots' 512 KiB blocks never span two partitions."""

    label: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The disk, in bytes: whole GiB, as EBS volumes are. /var is last and takes the rest."""

    disk_bytes: int
    esp: Slot
    packages: Slot
    config: Slot
    var: Slot


def plan_layout(*, packages_bytes: int, config_bytes: int, size_mib: int | None) -> Layout:
    """The layout for two layers; a declared size is rounded up to whole GiB, None gives the smallest that serves.

    The packages layer's slot has a quarter of room, so that a security update moves nothing behind it. Raises
    InvarError when the declared size is too small, and says which would do.
    """
    packages = _up(packages_bytes + packages_bytes // 4, PACKAGES_STEP)
    config = _up(config_bytes, CONFIG_STEP)
    fixed = HEAD + ESP_BYTES + packages + config + TAIL
    needed = _up(fixed + VAR_MINIMUM, GIB)
    if size_mib is not None and size_mib * MIB < fixed + VAR_MINIMUM:
        raise InvarError(
            f"a disk of {size_mib} MiB is too small for this system",
            where="virtualisation.diskSize",
            why=(
                f"boot loader and kernels {ESP_BYTES // MIB} MiB, packages {packages // MIB} MiB, configuration "
                f"{config // MIB} MiB, /var at least {VAR_MINIMUM // MIB} MiB"
            ),
            hint=f'it takes {needed // MIB} MiB; or leave the size "auto": /var grows to the volume\'s size at boot',
        )
    disk = needed if size_mib is None else _up(size_mib * MIB, GIB)
    esp_slot = Slot("ESP", HEAD, ESP_BYTES)
    packages_slot = Slot("invar-packages", esp_slot.offset + esp_slot.size, packages)
    config_slot = Slot("invar-config", packages_slot.offset + packages_slot.size, config)
    var_offset = config_slot.offset + config_slot.size
    return Layout(disk, esp_slot, packages_slot, config_slot, Slot("invar-var", var_offset, disk - TAIL - var_offset))


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
