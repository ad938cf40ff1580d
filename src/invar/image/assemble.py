"""Layers, kernel, initrd and command line become a disk: a sparse raw file in the store, found again by its digest."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from invar.core.canonical import digest
from invar.core.events import Report
from invar.image.cmdline import command_line, system_digest, with_digest
from invar.image.esp import BOOT_LOADERS, STUBS, Generation, esp_extents
from invar.image.gpt import TYPE_ESP, TYPE_LINUX, Partition, guid, partition_table
from invar.image.initrd import build_initrd
from invar.image.layer import Layer, PackagesLayer
from invar.image.layout import Layout, Slot, plan_layout
from invar.image.sparse import copy_into, write_at
from invar.image.tools import Tools
from invar.image.uki import build_uki, generation_os_release
from invar.image.var import make_var
from invar.store.objects import Store
from invar.system.record import System

KIND = "image"
REVISION = 1
"""Raised when the same inputs are put on the disk in another way."""

FIRST_GENERATION = 1


@dataclass(frozen=True, slots=True)
class Image:
    """A system on a disk. `raw` is the sparse file, `logical_bytes` its size, whole GiB. Digests are lower-case hex.

    `epoch` (seconds since 1970) is the only time in it. `kernel` and `initrd` are the files that the UKI is made of.
    """

    key: str
    raw: Path
    base_name: str
    architecture: str
    epoch: int
    system_digest: str
    spec_digest: str
    cmdline: str
    kernel: Path
    kernel_version: str
    kernel_sha256: str
    initrd: Path
    initrd_sha256: str
    packages: Layer
    config: Layer
    layout: Layout

    @property
    def logical_bytes(self) -> int:
        """Size of the disk."""
        return self.layout.disk_bytes

    @property
    def allocated_bytes(self) -> int:
        """What the sparse file takes on the host's disk."""
        return self.raw.stat().st_blocks * 512


def assemble(
    system: System, packages: PackagesLayer, config: Layer, epoch: int, tools: Tools, store: Store, report: Report
) -> Image:
    """The disk of a system. `epoch` (seconds since 1970) is the lock's release date, the only time in it.

    Raises InvarError when the declared disk is too small, or the kernel lacks a module or takes no such command line.
    """
    layout = plan_layout(packages_bytes=packages.layer.bytes, config_bytes=config.bytes, size_mib=system.disk.size_mib)
    initrd = build_initrd(packages, system.initrd_modules, system.architecture, tools, store, report)
    kernel = packages.kernel.read_bytes()
    kernel_sha256 = hashlib.sha256(kernel).hexdigest()
    line = command_line(system.kernel_params, packages.layer, config)
    identity = system_digest(
        line, packages=packages.layer, config=config, kernel_sha256=kernel_sha256, initrd_sha256=initrd.sha256
    )
    key = digest(
        {
            "disk_bytes": layout.disk_bytes,
            "epoch": epoch,
            "revision": REVISION,
            "system": identity,
            "tools": tools.root.name,
        }
    )
    image = Image(
        key=key,
        raw=store.path(KIND, key),
        base_name=system.disk.base_name,
        architecture=system.architecture,
        epoch=epoch,
        system_digest=identity,
        spec_digest=system.spec_digest,
        cmdline=with_digest(line, identity),
        kernel=packages.kernel,
        kernel_version=packages.kernel_version,
        kernel_sha256=kernel_sha256,
        initrd=initrd.path,
        initrd_sha256=initrd.sha256,
        packages=packages.layer,
        config=config,
        layout=layout,
    )
    with report.stage("disk") as stage:
        stage.cached = store.find(KIND, key) is not None
        if not stage.cached:
            var = make_var(layout.var.size, epoch, tools, store, report)
            uki = make_uki(image, tools)
            with store.creating(KIND, key) as temporary:
                if temporary is not None:
                    _write_disk(temporary, image, uki, var, tools)
    return image


def partitions(image: Image) -> tuple[Partition, ...]:
    """The disk's partitions, with GUIDs that follow from what is in them."""
    layout = image.layout

    def partition(slot: Slot, content: str) -> Partition:
        kind = TYPE_ESP if slot is layout.esp else TYPE_LINUX
        return Partition(slot.label, kind, guid(slot.label, content), slot.offset, slot.size)

    return (
        partition(layout.esp, image.system_digest),
        partition(layout.packages, image.packages.root_hash),
        partition(layout.config, image.config.root_hash),
        partition(layout.var, image.system_digest),
    )


def make_uki(image: Image, tools: Tools) -> bytes:
    """The EFI program that boots the system: the same on every disk and medium."""
    return build_uki(
        tools.path(STUBS[image.architecture]).read_bytes(),
        kernel=image.kernel.read_bytes(),
        kernel_version=image.kernel_version,
        initrd=image.initrd.read_bytes(),
        cmdline=image.cmdline,
        os_release=os_release(image),
    )


def os_release(image: Image) -> str:
    """The .osrel section of an image's first generation."""
    return generation_os_release(FIRST_GENERATION, image.system_digest)


def _write_disk(path: Path, image: Image, uki: bytes, var: Path, tools: Tools) -> None:
    layout = image.layout
    loader = tools.path(BOOT_LOADERS[image.architecture][0]).read_bytes()
    generation = Generation(FIRST_GENERATION, uki)
    table = partition_table(
        partitions(image), disk_guid=guid("disk", image.system_digest), disk_bytes=layout.disk_bytes
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.ftruncate(descriptor, layout.disk_bytes)
        write_at(descriptor, 0, table.head)
        write_at(descriptor, table.tail_offset, table.tail)
        volume_id = guid("ESP").int & 0xFFFFFFFF
        for offset, data in esp_extents(image.architecture, loader, generation, volume_id=volume_id):
            write_at(descriptor, layout.esp.offset + offset, data)
        copy_into(descriptor, layout.packages.offset, image.packages.image)
        copy_into(descriptor, layout.config.offset, image.config.image)
        copy_into(descriptor, layout.var.offset, var)
    finally:
        os.close(descriptor)
