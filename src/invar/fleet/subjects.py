"""What can be compared, by what a user calls it: a configuration, one at a commit, a built image, a published one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invar.aws.blocks import BlockMap
from invar.core.errors import ExitCode, InvarError
from invar.debian.lock import Lock, read_lock
from invar.engines.native import NativeEngine
from invar.engines.repository import checked_out
from invar.flakes.place import is_url
from invar.image.documents import RECORD_FILE, BuildRecord, json_object, read_documents
from invar.image.info import INFO_FILE
from invar.store.objects import Store
from invar.system.evaluate import settings
from invar.system.options import Settings
from invar.system.record import System

_AMI = re.compile(r"ami-[0-9a-f]{8,17}\Z")
_DIGEST = re.compile(r"[0-9a-f]{8,64}\Z")


@dataclass(frozen=True, slots=True)
class Subject:
    """A system to compare. `lock` None: its packages' versions are unknown. `settings` None: its options are.

    `image` is the raw disk where there is one here, `blocks` the block map of one that is elsewhere; `system_digest` is
    of what is built.
    """

    label: str
    system: System
    lock: Lock | None
    settings: Settings | None
    system_digest: str | None = None
    image: Path | None = None
    blocks: BlockMap | None = None


def find_subject(name: str, engine: NativeEngine, published: Callable[[str], Subject]) -> Subject:
    """What `name` means: a flake's output (DIR#NAME); a directory or .nix file, either with `@COMMIT`; an image, its
    directory or image-info.json;
    the first 8 or more digits of a system or spec digest of an image in the store; an AMI's id.

    `published` finds an AMI by its id. Raises InvarError when it means nothing, or not enough is known of it.
    """
    if _AMI.match(name):
        return published(name)
    if is_url(name) or ("#" in name and not Path(name).exists()):
        return configuration_subject(name, name, engine)
    path = Path(name).expanduser()
    directory = image_directory(name, engine.store)
    if directory is not None:
        return image_subject(name, directory, path.name if path.is_file() else None)
    if path.is_dir() or path.suffix == ".nix":
        return configuration_subject(name, path, engine)
    place, at, commit = name.rpartition("@")
    if at and commit and Path(place or ".").expanduser().exists():
        with checked_out(Path(place or ".").expanduser(), commit) as checkout:
            return configuration_subject(name, checkout, engine)
    raise InvarError(
        f"there is nothing called {name}",
        hint="name a directory or .nix file (DIR@COMMIT for one at a commit), an image, a digest, or an AMI's id",
        exit_code=ExitCode.USAGE,
    )


def image_directory(name: str, store: Store) -> Path | None:
    """Where the documents of the image lie that `name` means: a file, a directory or a digest. None if it means none.

    Raises InvarError for a digest that is of no image in the store, or of several.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        is_image = (path / INFO_FILE).is_file() and not (path / "configuration.nix").exists()
        return path if is_image else None
    if path.is_file():
        return None if path.suffix == ".nix" else path.parent
    return find_image(store, name) if _DIGEST.match(name) else None


def configuration_subject(label: str, place: Path | str, engine: NativeEngine) -> Subject:
    """A configuration, evaluated under its lock if it has one. Raises InvarError."""
    project = engine.project(place)
    evaluation = engine.evaluate(project)
    lock = read_lock(project.lock) if project.lock.exists() else None
    return Subject(label, evaluation.system, lock, settings(evaluation))


def image_subject(label: str, directory: Path, file: str | None = None) -> Subject:
    """An image by the documents in its directory; `file` is the image's name, or that of one of the documents.

    Raises InvarError when the documents are not there, or are another image's.
    """
    documents = read_documents(directory)
    if INFO_FILE not in documents:
        raise InvarError(
            f"there is no {INFO_FILE} in {directory}",
            why="what an image is stands in the documents beside it",
            hint="name an image as `invar build` (or `invar build --out`) left it",
            exit_code=ExitCode.USAGE,
        )
    info = json_object(documents[INFO_FILE], str(directory / INFO_FILE))
    if file is not None and file not in (info.get("file"), *documents):
        raise InvarError(
            f"the documents in {directory} are of {info.get('file')}, not of {file}", exit_code=ExitCode.USAGE
        )
    raw = directory / str(info.get("file"))
    is_raw = info.get("format") == "amazon" and raw.is_file()
    return subject_of(label, documents, str(directory), image=raw if is_raw else None)


def find_image(store: Store, digits: str) -> Path:
    """The directory of a built image by the first digits of its system or spec digest.

    Raises InvarError when there is none, or several that differ.
    """
    found: dict[str, Path] = {}
    for place in sorted(store.root.glob(f"image-*/*/{INFO_FILE}")):
        info = json_object(place.read_bytes(), str(place))
        if any(str(info.get(name, "")).startswith(digits) for name in ("system_digest", "spec_digest")):
            digest = str(info.get("system_digest"))
            if digest not in found or info.get("format") == "amazon":
                found[digest] = place.parent
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise InvarError(
            f"{digits} may be any of {len(found)} images",
            why="\n".join(found),
            hint="give more digits of the system digest",
            exit_code=ExitCode.USAGE,
        )
    raise InvarError(
        f"there is no image {digits} in the store", hint="build it, or name its file", exit_code=ExitCode.USAGE
    )


def subject_of(
    label: str,
    documents: Mapping[str, bytes],
    where: str,
    *,
    image: Path | None = None,
    blocks: BlockMap | None = None,
) -> Subject:
    """The subject that an image's documents tell of; its raw disk is `image`, or else has the block map `blocks`.

    Raises InvarError when they are missing or contradict each other.
    """
    if RECORD_FILE not in documents:
        raise InvarError(
            f"of {label} it is not known what it was built of",
            where=where,
            why=f"{RECORD_FILE} is missing",
            hint="it was made by an earlier Invar: build it again",
        )
    record = BuildRecord.decode(documents[RECORD_FILE], f"{where}, {RECORD_FILE}")
    info: dict[str, Any] = json_object(documents[INFO_FILE], where) if INFO_FILE in documents else {}
    spec = info.get("spec_digest", record.system.spec_digest)
    if spec != record.system.spec_digest:
        raise InvarError(
            f"the documents of {label} contradict each other",
            where=where,
            why=f"{INFO_FILE} is of spec digest {spec}, {RECORD_FILE} of {record.system.spec_digest}",
        )
    return Subject(label, record.system, record.lock, record.settings, info.get("system_digest"), image, blocks)
