"""The formats of an image: a registry. A new format is one class in one file here, and its line in `FORMATS`."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from invar.core.canonical import canonical_json, digest
from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.image.assemble import Image
from invar.image.formats.format import Format
from invar.image.formats.gce import Gce
from invar.image.formats.iso import Iso
from invar.image.formats.kexec import Kexec
from invar.image.formats.lxc import Lxc, LxcMetadata
from invar.image.formats.oci import Oci
from invar.image.formats.qcow2 import Qcow2
from invar.image.formats.raw import AMAZON, RAW_EFI
from invar.image.formats.vhd import Azure
from invar.image.formats.vhdx import Vhdx
from invar.image.formats.vm import Vm
from invar.image.formats.vmdk import Vmdk
from invar.image.info import INFO_FILE, image_info
from invar.image.tools import Tools
from invar.store.objects import Store

_ALL: tuple[Format, ...] = (
    *(AMAZON, RAW_EFI, Qcow2(), Vmdk(), Azure(), Vhdx(), Gce()),
    *(Iso(), Kexec(), Vm()),
    *(Oci(), Lxc(), LxcMetadata()),
)

FORMATS: dict[str, Format] = {format_.name: format_ for format_ in _ALL}
"""By name, in the order in which they are listed."""

REVISION = 1
"""Raised when a format writes the same image in another way."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """An image in a format: `directory` holds `file` and image-info.json, whose content is `info`."""

    format: str
    directory: Path
    file: Path
    info: dict[str, Any]


def find_format(name: str) -> Format:
    """The format of that name or alias. Raises InvarError with the nearest names, or all that there are."""
    known = {alias: format_ for format_ in _ALL for alias in (format_.name, *format_.aliases)}
    try:
        return known[name]
    except KeyError:
        near = get_close_matches(name, known, 3, 0.5)
        near.extend(other for other in known if other not in near and len(name) > 1 and name in other)
        raise InvarError(
            f"there is no format {name!r}",
            hint=f"perhaps {' or '.join(near)}; `invar formats` lists them all"
            if near
            else f"formats: {', '.join(sorted(FORMATS))}",
            exit_code=ExitCode.USAGE,
        ) from None


def export(image: Image, name: str, lock_digest: str | None, tools: Tools, store: Store, report: Report) -> Artifact:
    """The image in a format, found again by the image's key. `lock_digest` goes into image-info.json.

    Raises InvarError for a format that does not exist.
    """
    format_ = find_format(name)
    file_name = f"{image.base_name}.{format_.suffix}"
    info = image_info(image, format_, file_name, lock_digest)
    key = digest({"image": image.key, "info": info, "revision": REVISION})
    kind = f"image-{format_.name}"
    with report.stage(f"format {format_.name}") as stage, store.creating(kind, key) as temporary:
        stage.cached = temporary is None
        if temporary is not None:
            temporary.mkdir()
            format_.write(image, temporary / file_name, tools)
            (temporary / INFO_FILE).write_bytes(canonical_json(info) + b"\n")
    directory = store.path(kind, key)
    return Artifact(format_.name, directory, directory / file_name, info)
