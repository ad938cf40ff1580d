"""image-info.json beside an image: what it is, for whoever publishes or checks it. NixOS's fields and Invar's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invar.image.assemble import Image
from invar.image.layer import Layer

if TYPE_CHECKING:
    from invar.image.formats.format import Format

INFO_FILE = "image-info.json"
SCHEMA = 1
NIX_SYSTEMS = {"amd64": "x86_64-linux", "arm64": "aarch64-linux"}


def image_info(image: Image, format_: Format, file_name: str, lock_digest: str | None) -> dict[str, Any]:
    """The JSON object: `file` is relative to it; sizes are in bytes, digests lower-case hex.

    `label`, `system`, `boot_mode`, `logical_bytes` (a string) and `file` are as NixOS's images have them. `boot_mode`,
    `logical_bytes`, `partitions` and the layers' `offset` tell of the disk: other formats have none.
    """
    info = {
        "schema": SCHEMA,
        "label": f"{image.base_name}-{image.system_digest[:12]}",
        "system": NIX_SYSTEMS[image.architecture],
        "file": file_name,
        "format": format_.name,
        "system_digest": image.system_digest,
        "spec_digest": image.spec_digest,
        "lock_digest": lock_digest,
        "cmdline": image.cmdline,
        "kernel": {"version": image.kernel_version, "sha256": image.kernel_sha256},
        "initrd": {"sha256": image.initrd_sha256},
        "layers": [_layer(image.packages), _layer(image.config)],
    }
    return info | _disk(image) if format_.is_disk else info


def _disk(image: Image) -> dict[str, Any]:
    layout = image.layout
    slots = {image.packages: layout.packages, image.config: layout.config}
    return {
        "boot_mode": "uefi",
        "logical_bytes": str(image.logical_bytes),
        "layers": [{**_layer(layer), "offset": slot.offset} for layer, slot in slots.items()],
        "partitions": [
            {"label": slot.label, "offset": slot.offset, "size": slot.size}
            for slot in (layout.esp, layout.packages, layout.config, layout.var)
        ],
    }


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "kind": layer.kind,
        "root_hash": layer.root_hash,
        "salt": layer.salt,
        "data_blocks": layer.data_blocks,
        "bytes": layer.bytes,
    }
