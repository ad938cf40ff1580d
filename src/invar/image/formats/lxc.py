"""A root file system and metadata for LXC, LXD and Incus, as their "split" images have them: two tar files.

Follows Incus's documentation of the image format (doc/reference/image_format.md). Import them together:
`incus image import METADATA ROOTFS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invar.core.canonical import canonical_json
from invar.image.assemble import Image
from invar.image.formats.gzipped import gzipped
from invar.image.formats.tarball import END, write_member
from invar.image.rootfs import merged, unpacked
from invar.image.tools import Tools
from invar.image.tree import write_tar

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Lxc:
    """Both layers in one tree, with systemd at /sbin/init."""

    name: str = "lxc"
    aliases: tuple[str, ...] = ("proxmox-lxc",)
    suffix: str = "rootfs.tar.gz"
    description: str = "root file system for LXC, LXD, Incus, Proxmox and systemd-nspawn"
    is_disk: bool = False

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write the tree."""
        scratch = path.parent
        with (
            unpacked(image.packages, scratch / "packages", tools) as packages,
            unpacked(image.config, scratch / "config", tools) as config,
            gzipped(path, tools) as stream,
        ):
            write_tar(merged(packages, config), stream, None, image.epoch)


@dataclass(frozen=True, slots=True)
class LxcMetadata:
    """What LXD and Incus ask for beside a root file system."""

    name: str = "lxc-metadata"
    aliases: tuple[str, ...] = ()
    suffix: str = "metadata.tar"
    description: str = "metadata that goes with `lxc`: incus image import METADATA ROOTFS"
    is_disk: bool = False

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write metadata.yaml. (JSON is YAML.)"""
        metadata = {
            "architecture": MACHINES[image.architecture],
            "creation_date": image.epoch,
            "expiry_date": 0,
            "properties": {
                "architecture": MACHINES[image.architecture],
                "description": f"{image.base_name} {image.system_digest[:12]}",
                "invar.spec-digest": image.spec_digest,
                "invar.system-digest": image.system_digest,
                "name": image.base_name,
                "os": "Invar",
                "release": image.system_digest[:12],
            },
            "templates": {},
        }
        with path.open("xb") as output:
            write_member(output, "metadata.yaml", [canonical_json(metadata) + b"\n"], epoch=image.epoch)
            output.write(END)
