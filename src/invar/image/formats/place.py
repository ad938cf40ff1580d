"""An image out of the store, at a path of the user's choice: sparse, whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from invar.core.canonical import canonical_json
from invar.core.errors import InvarError
from invar.image.formats import Artifact
from invar.image.info import INFO_FILE
from invar.image.sparse import copy_into
from invar.store.objects import disk_full


def copy_artifact(artifact: Artifact, out: Path) -> Path:
    """Copy the image to `out`, a file's name or an existing directory, and image-info.json beside it.

    Returns the path of the image. What is there is replaced. Raises InvarError when the directory is missing, not
    writable, or full.
    """
    place = out / artifact.file.name if out.is_dir() else out
    if not place.parent.is_dir():
        raise InvarError(f"cannot write {place}", why=f"there is no directory {place.parent}", hint="make it first")
    info = canonical_json({**artifact.info, "file": place.name}) + b"\n"
    temporary = place.with_name(f".{place.name}.partial")
    try:
        _copy(artifact.file, temporary)
        temporary.replace(place)
        temporary.write_bytes(info)
        temporary.replace(place.with_name(INFO_FILE))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(place.parent, str(place)) from error
        raise InvarError(f"cannot write {place}", why=error.strerror) from error
    finally:
        temporary.unlink(missing_ok=True)
    return place


def _copy(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.ftruncate(descriptor, source.stat().st_size)
        copy_into(descriptor, 0, source)
    finally:
        os.close(descriptor)
