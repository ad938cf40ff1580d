"""A small disk as the native engine lays it out, with everything real but what would boot: made in a moment."""

from __future__ import annotations

import hashlib
import os
import random
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invar.image.cmdline import command_line, system_digest, with_digest
from invar.image.esp import Generation, esp_extents
from invar.image.gpt import TYPE_ESP, TYPE_LINUX, Partition, guid, partition_table
from invar.image.layer import Layer
from invar.image.layout import Layout, plan_layout
from invar.image.sparse import copy_into, write_at
from invar.image.uki import build_uki
from invar.image.verity import append_hash_tree


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """The raw file, its digest, where its parts lie, and what image-info.json would say."""

    path: Path
    system_digest: str
    layout: Layout
    layers: dict[str, Layer]
    info: dict[str, Any]


def small_disk(path: Path, *, config: int = 1, packages_blocks: int = 1000, config_blocks: int = 3) -> SmallDisk:
    """A disk whose config layer follows from a seed. The sizes of the layers are in 4 KiB blocks."""
    layers = {
        "packages": _layer(path, "packages", random.Random(0).randbytes(packages_blocks * 4096)),
        "config": _layer(path, "config", random.Random(config).randbytes(config_blocks * 4096)),
    }
    kernel, initrd = random.Random(7).randbytes(700_001), random.Random(8).randbytes(900_000)
    packages, configuration = layers["packages"], layers["config"]
    line = command_line(["console=ttyS0"], packages, configuration)
    digests = {"kernel_sha256": hashlib.sha256(kernel).hexdigest(), "initrd_sha256": hashlib.sha256(initrd).hexdigest()}
    identity = system_digest(line, packages=packages, config=configuration, **digests)
    uki = build_uki(
        pe_program(),
        kernel=kernel,
        kernel_version="6.12.1",
        initrd=initrd,
        cmdline=with_digest(line, identity),
        os_release="ID=invar\n",
    )
    layout = plan_layout(packages_bytes=packages.bytes, config_bytes=configuration.bytes, size_mib=None)
    slots = (layout.esp, layout.packages, layout.config, layout.var)
    parts = [
        Partition(one.label, TYPE_ESP if one is layout.esp else TYPE_LINUX, guid(one.label), one.offset, one.size)
        for one in slots
    ]
    table = partition_table(parts, disk_guid=guid("disk"), disk_bytes=layout.disk_bytes)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.ftruncate(descriptor, layout.disk_bytes)
    write_at(descriptor, 0, table.head)
    write_at(descriptor, table.tail_offset, table.tail)
    for offset, data in esp_extents("amd64", b"boot loader" * 999, Generation(1, uki), volume_id=5):
        write_at(descriptor, layout.esp.offset + offset, data)
    copy_into(descriptor, layout.packages.offset, packages.image)
    copy_into(descriptor, layout.config.offset, configuration.image)
    write_at(descriptor, layout.var.offset, b"a file system" * 99)
    os.close(descriptor)
    info = {
        "system_digest": identity,
        "spec_digest": "5" * 64,
        "lock_digest": "7" * 64,
        "layers": [
            {"kind": one.kind, "root_hash": one.root_hash, "salt": one.salt, "data_blocks": one.data_blocks}
            for one in layers.values()
        ],
        "partitions": [{"label": one.label, "offset": one.offset, "size": one.size} for one in slots],
    }
    return SmallDisk(path, identity, layout, layers, info)


def flip(path: Path, offset: int) -> None:
    """Change one byte of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0xFF]))


def pe_program(text: bytes = b"\xc3" * 700, *, header_room: int = 0x600, memory: int = 0x3000) -> bytes:
    """A small PE32+ EFI program with one section."""
    pe = 0x40
    optional = bytearray(240)
    struct.pack_into("<H", optional, 0, 0x20B)
    struct.pack_into("<Q", optional, 24, 0x140000000)
    struct.pack_into("<II", optional, 32, 4096, 512)
    struct.pack_into("<II", optional, 56, memory, header_room)
    struct.pack_into("<H", optional, 68, 10)
    struct.pack_into("<I", optional, 108, 16)
    head = bytearray(header_room)
    head[:2] = b"MZ"
    struct.pack_into("<I", head, 0x3C, pe)
    struct.pack_into("<4sHHIIIHH", head, pe, b"PE\0\0", 0x8664, 1, 0, 0, 0, 240, 0x22E)
    head[pe + 24 : pe + 264] = optional
    size = -(-len(text) // 512) * 512
    struct.pack_into(
        "<8sIIIIIIHHI", head, pe + 264, b".text", len(text), 0x1000, size, header_room, 0, 0, 0, 0, 0x60000020
    )
    return bytes(head) + text.ljust(size, b"\0")


def _layer(path: Path, kind: Any, data: bytes) -> Layer:
    image = path.with_name(f"{path.name}.{kind}")
    image.write_bytes(data)
    tree = append_hash_tree(image, kind.encode())
    return Layer(kind, kind, image, tree.data_blocks, tree.total_blocks, tree.root_hash, tree.salt)
