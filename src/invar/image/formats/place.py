"""An image out of the store, at a path of the user's choice: sparse, whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from invar.core.canonical import canonical_json
from invar.core.errors import InvarError
from invar.image.disk_reader import write_raw
from invar.image.documents import attach, copy_documents, json_object
from invar.image.formats import Artifact
from invar.image.info import INFO_FILE
from invar.image.sparse import copy_into
from invar.store.objects import disk_full


def copy_artifacts(artifacts: Sequence[Artifact], out: Path) -> list[Path]:
    """As `copy_artifact`; several formats go into a directory each, named by the format, in the directory `out`.

    Directories are made where they are missing. Raises InvarError.
    """
    if len(artifacts) == 1:
        return [copy_artifact(artifacts[0], out)]
    if out.exists() and not out.is_dir():
        raise InvarError(
            f"cannot write {len(artifacts)} images to {out}", why="it is a file", hint="name a directory, new or not"
        )
    places = []
    for artifact in artifacts:
        directory = out / artifact.format
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvarError(f"cannot make {directory}", why=error.strerror) from error
        places.append(copy_artifact(artifact, directory))
    return places


def copy_artifact(artifact: Artifact, out: Path) -> Path:
    """Copy the image to `out`, a file's name or an existing directory, with image-info.json and its other documents.

    Returns the path of the image. What is there is replaced. Raises InvarError when the directory is missing, not
    writable, or full.
    """
    place = out / artifact.file.name if out.is_dir() else out
    if not place.parent.is_dir():
        raise InvarError(f"cannot write {place}", why=f"there is no directory {place.parent}", hint="make it first")
    if place.is_dir():
        raise InvarError(f"cannot write {place}", why="it is a directory", hint="name a file, or another directory")
    info = canonical_json({**artifact.info, "file": place.name}) + b"\n"
    temporary = place.with_name(f".{place.name}.partial")
    try:
        _copy(artifact.file, temporary)
        temporary.replace(place)
        temporary.write_bytes(info)
        temporary.replace(place.with_name(INFO_FILE))
        copy_documents(artifact.directory, place.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            needed = artifact.file.stat().st_blocks * 512
            hint = f"it takes {needed / 1e6:.0f} MB: free some space, or name a place on a larger file system"
            raise disk_full(place.parent, str(place), hint=hint) from error
        raise InvarError(f"cannot write {place}", why=error.strerror) from error
    finally:
        temporary.unlink(missing_ok=True)
    return place


def _copy(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(descriptor, source.stat().st_mode & 0o777)
        os.ftruncate(descriptor, source.stat().st_size)
        copy_into(descriptor, 0, source)
    finally:
        os.close(descriptor)


def copy_disk(disk: Path, documents: Mapping[str, bytes], out: Path) -> Path:
    """Copy a disk as raw blocks to `out` (a file or a directory), and documents beside it. Raises InvarError."""
    place = out / disk.name if out.is_dir() else out
    if not place.parent.is_dir():
        raise InvarError(f"cannot write {place}", why=f"there is no directory {place.parent}", hint="make it first")
    temporary = place.with_name(f".{place.name}.partial")
    try:
        temporary.unlink(missing_ok=True)
        write_raw(disk, temporary)
        temporary.replace(place)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(place.parent, str(place)) from error
        raise InvarError(f"cannot write {place}", why=error.strerror) from error
    finally:
        temporary.unlink(missing_ok=True)
    info = json_object(documents[INFO_FILE], INFO_FILE)
    attach(place.parent, {**documents, INFO_FILE: canonical_json({**info, "file": place.name}) + b"\n"})
    return place
