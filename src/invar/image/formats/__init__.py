"""The formats of an image: a registry. A new format is one class in one file here, and its line in `FORMATS`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invar.core.canonical import canonical_json, digest
from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.image.assemble import Image
from invar.image.formats.amazon import Amazon
from invar.image.formats.format import Format
from invar.image.formats.qcow2 import Qcow2
from invar.image.info import INFO_FILE, image_info
from invar.store.objects import Store

FORMATS: dict[str, Format] = {format_.name: format_ for format_ in (Amazon(), Qcow2())}

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
    """The format of that name. Raises InvarError with the names that there are."""
    try:
        return FORMATS[name]
    except KeyError:
        raise InvarError(
            f"there is no format {name}", hint=f"formats: {', '.join(sorted(FORMATS))}", exit_code=ExitCode.USAGE
        ) from None


def export(image: Image, name: str, lock_digest: str | None, store: Store, report: Report) -> Artifact:
    """The image in a format, found again by the image's key. `lock_digest` goes into image-info.json.

    Raises InvarError for a format that does not exist.
    """
    format_ = find_format(name)
    file_name = f"{image.base_name}.{format_.suffix}"
    info = image_info(image, format_, file_name, lock_digest)
    key = digest({"image": image.key, "info": info, "revision": REVISION})
    kind = f"image-{name}"
    with report.stage(f"format {name}") as stage, store.creating(kind, key) as temporary:
        stage.cached = temporary is None
        if temporary is not None:
            temporary.mkdir()
            format_.write(image, temporary / file_name)
            (temporary / INFO_FILE).write_bytes(canonical_json(info) + b"\n")
    directory = store.path(kind, key)
    return Artifact(name, directory, directory / file_name, info)
