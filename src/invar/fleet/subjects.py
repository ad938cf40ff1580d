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
from invar.engines.choice import EngineName, Engines
from invar.engines.native import NativeEngine
from invar.engines.project import Project
from invar.engines.repository import checked_out
from invar.flakes.place import is_url
from invar.image.closure import CLOSURE_FILE, Closure, decode_closure
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
    """A system to compare. `configuration` is its name.

    `system` is of the native engine, `closure` of Nix: one of them is None. `lock` None: its packages' versions are
    unknown. `settings` None: its options are.
    `image` is the raw disk where there is one here, `blocks` the block map of one that is elsewhere; `system_digest` is
    of what is built.
    """

    label: str
    configuration: str
    spec_digest: str
    system: System | None
    lock: Lock | None = None
    settings: Settings | None = None
    closure: Closure | None = None
    system_digest: str | None = None
    image: Path | None = None
    blocks: BlockMap | None = None

    @property
    def engine(self) -> EngineName:
        """What built it, or would."""
        return "native" if self.closure is None else "nix"


def find_subject(name: str, engines: Engines, published: Callable[[str], Subject]) -> Subject:
    """What `name` means: a flake's output (DIR#NAME); a directory or .nix file, either with `@COMMIT`; an image, its
    directory or image-info.json;
    the first 8 or more digits of a system or spec digest of an image in the store; an AMI's id.

    `published` finds an AMI by its id. Raises InvarError when it means nothing, or not enough is known of it.
    """
    if _AMI.match(name):
        return published(name)
    if is_url(name) or ("#" in name and not Path(name).exists()):
        return _at_commit(name, engines) or configuration_subject(name, name, engines)
    path = Path(name).expanduser()
    directory = image_directory(name, engines.native.store)
    if directory is not None:
        return image_subject(name, directory, path.name if path.is_file() else None)
    if path.is_dir() or path.suffix == ".nix":
        return configuration_subject(name, path, engines)
    found = _at_commit(name, engines)
    if found is None:
        raise _nothing(name)
    return found


def _at_commit(name: str, engines: Engines) -> Subject | None:
    """PLACE@COMMIT or PLACE@COMMIT#OUTPUT; None when the name is not of that form."""
    reference, hash_, fragment = name.partition("#")
    place, at, commit = reference.rpartition("@")
    if not at or not commit or not Path(place or ".").expanduser().exists() or Path(reference).exists():
        return None
    with checked_out(Path(place or ".").expanduser(), commit) as checkout:
        return configuration_subject(name, f"{checkout}{hash_}{fragment}" if hash_ else checkout, engines)


def _nothing(name: str) -> InvarError:
    return InvarError(
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


def configuration_subject(label: str, place: Path | str, engines: Engines) -> Subject:
    """A configuration, evaluated under its lock if it has one; what Nix is to build is built. Raises InvarError."""
    if engines.of(str(place)) == "nix":
        return nix_subject(label, str(place), engines)
    return evaluated_subject(label, engines.native.project(place), engines.native)


def evaluated_subject(label: str, project: Project, engine: NativeEngine) -> Subject:
    """A configuration of the native engine under its lock, if it has one. Raises InvarError."""
    evaluation = engine.evaluate(project)
    lock = read_lock(project.lock) if project.lock.exists() else None
    system = evaluation.system
    return Subject(label, system.name, system.spec_digest, system, lock, settings(evaluation))


def nix_subject(label: str, place: str, engines: Engines, *, remember: bool = False) -> Subject:
    """What Nix builds of a place, by its documents in Invar's store. Raises InvarError."""
    nix = engines.open_nix()
    image = nix.image(place, engines.attribute, remember=remember)
    return image_subject(label, nix.directory(image), image.raw.name)


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
    info: dict[str, Any] = json_object(documents[INFO_FILE], where) if INFO_FILE in documents else {}
    digest = info.get("system_digest")
    if info.get("engine") == "nix":
        return _of_nix(label, documents, info, where, image, blocks)
    if RECORD_FILE not in documents:
        raise _unknown(label, RECORD_FILE, where)
    record = BuildRecord.decode(documents[RECORD_FILE], f"{where}, {RECORD_FILE}")
    system = record.system
    spec = info.get("spec_digest", system.spec_digest)
    if spec != system.spec_digest:
        raise InvarError(
            f"the documents of {label} contradict each other",
            where=where,
            why=f"{INFO_FILE} is of spec digest {spec}, {RECORD_FILE} of {system.spec_digest}",
        )
    return Subject(
        label,
        system.name,
        spec,
        system,
        record.lock,
        record.settings,
        system_digest=digest,
        image=image,
        blocks=blocks,
    )


def _of_nix(
    label: str,
    documents: Mapping[str, bytes],
    info: Mapping[str, Any],
    where: str,
    image: Path | None,
    blocks: BlockMap | None,
) -> Subject:
    if CLOSURE_FILE not in documents:
        raise _unknown(label, CLOSURE_FILE, where)
    paths = decode_closure(documents[CLOSURE_FILE], f"{where}, {CLOSURE_FILE}")
    toplevel = info.get("toplevel")
    return Subject(
        label,
        str(info.get("name") or info.get("label") or "image"),
        str(info.get("spec_digest")),
        None,
        closure=Closure(None if toplevel is None else str(toplevel), paths),
        system_digest=info.get("system_digest"),
        image=image,
        blocks=blocks,
    )


def _unknown(label: str, missing: str, where: str) -> InvarError:
    return InvarError(
        f"of {label} it is not known what it was built of",
        where=where,
        why=f"{missing} is missing",
        hint="it was made by an earlier Invar: build it again",
    )
