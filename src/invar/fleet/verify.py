"""Proves that an AMI, or an image file, is what was built: reads it back, and judges it by all that is known of it."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from invar.aws.blocks import BLOCK, ZEROS_DIGEST, BlockMap
from invar.aws.client import Cloud
from invar.aws.images import ImageRecord, describe_image
from invar.aws.snapshot_read import SnapshotBlocks
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.engines.choice import EngineName
from invar.engines.repository import checked_out, top_of
from invar.flakes.place import FLAKE
from invar.fleet.judge import Expectation, Part, judge, verified
from invar.fleet.keys import PublicKey
from invar.fleet.publish import SIGNED, Artifact, known_blocks
from invar.fleet.record import fetch_record
from invar.fleet.signature import verify_signature
from invar.fleet.tags import COMMIT, DIRTY, ENGINE, LOCK, OUTPUT, RECORD, SOURCE, SPEC, SYSTEM
from invar.image.disk import DiskReading, FileBlocks, read_disk
from invar.image.info import INFO_FILE
from invar.image.provenance import check_statement
from invar.store.objects import Store


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be built again, by which engine: a file and an attribute of it, or a flake's URL with its output."""

    place: str
    engine: EngineName
    attribute: str | None


Build = Callable[[Source], Artifact]
HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Verified:
    """The judgement of an image. `target`: an AMI id or a file. `documents`: its record's (file name → content)."""

    target: str
    parts: tuple[Part, ...]
    tags: Mapping[str, str]
    documents: Mapping[str, bytes]
    bytes_read: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it is what was built."""
        return verified(self.parts)


def verify_ami(
    cloud: Cloud,
    region: str,
    identity: str,
    store: Store,
    report: Report,
    rebuild: Rebuild | None = None,
    keys: Sequence[PublicKey] = (),
) -> Verified:
    """Judge a published image by its snapshot's blocks, its tags and its record.

    With `rebuild` also by a fresh build, with `keys` by the provenance that one of them must have signed.
    Raises InvarError when it cannot be read, is not Invar's, or cannot be built again.
    """
    started = time.monotonic()
    image = describe_image(cloud, region, identity)
    if image is None:
        raise InvarError(f"there is no image {identity}", where=region, hint="--region names where it is")
    if SYSTEM not in image.tags or len(image.snapshots) != 1:
        raise InvarError(f"{identity} was not published by Invar", where=region, why=f"it has no tag {SYSTEM}")
    again = rebuild.artifact(image.tags) if rebuild is not None else None
    documents, record = _documents(cloud, image, store, report)
    info = json.loads(documents[INFO_FILE]) if INFO_FILE in documents else None
    blocks = known_blocks(cloud, image, store, report) if record is None or record.sound else None
    expected = Expectation(image.tags[SYSTEM], blocks, info)
    source = SnapshotBlocks(cloud, region, image.snapshots[0])
    reading = read_disk(source, report, expected.fallback)
    parts = judge(reading, expected)
    parts.append(_registration(image, info))
    parts += [record] if record else []
    parts += [_told(info, image.tags)] if info else []
    if keys:
        parts.append(_signature(reading, expected, source.size, documents, keys))
    if again is not None:
        parts.append(_rebuilt(image.tags, reading, again))
    read = len(reading.digests) * BLOCK
    return Verified(identity, tuple(parts), image.tags, documents, read, time.monotonic() - started)


def verify_file(path: Path, report: Report) -> Verified:
    """Judge a raw image file by its bytes and the image-info.json beside it. Raises InvarError if it is unreadable."""
    started = time.monotonic()
    beside = path.with_name(INFO_FILE)
    info: dict[str, Any] | None = None
    try:
        text = beside.read_bytes() if beside.exists() else None
        info = None if text is None else json.loads(text)
    except (OSError, ValueError) as error:
        raise InvarError("cannot read the image's description", where=str(beside), why=str(error)) from error
    if info is not None and info.get("file") not in (None, path.name):
        info = None
    expected = Expectation((info or {}).get("system_digest"), None, info)
    with FileBlocks(path) as source:
        reading = read_disk(source, report, expected.fallback)
    read = len(reading.digests) * BLOCK
    return Verified(str(path), tuple(judge(reading, expected)), {}, {}, read, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class Rebuild:
    """How an image is built again: from the tagged commit of the repository that `repository` lies in."""

    repository: Path
    build: Build

    def artifact(self, tags: Mapping[str, str]) -> Artifact:
        """What the commit that an image's tags name gives. Raises InvarError when that cannot be built."""
        if COMMIT not in tags or SOURCE not in tags:
            raise InvarError(
                "the image cannot be built again",
                why="it was published from outside a repository: no commit is recorded",
            )
        if not HASH.fullmatch(tags[COMMIT]):
            raise InvarError(f"the tag {COMMIT} is no commit: {tags[COMMIT]!r}")
        engine: EngineName = "nix" if tags.get(ENGINE) == "nix" else "native"
        with self._tree(tags[COMMIT]) as tree:
            path = (tree / tags[SOURCE]).resolve()
            if not path.is_relative_to(tree.resolve()):
                raise InvarError(f"the tag {SOURCE} leads out of the repository", why=tags[SOURCE])
            if not path.is_file():
                raise InvarError(
                    f"there is no configuration {tags[SOURCE]} in the commit", where=f"commit {tags[COMMIT]}"
                )
            if path.name != FLAKE:
                return self.build(Source(str(path), engine, tags.get(OUTPUT)))
            inside = path.parent.relative_to(tree.resolve()).as_posix()
            return self.build(Source(self._flake(tags[COMMIT], inside, tags.get(OUTPUT, "")), engine, None))

    def _flake(self, commit: str, directory: str, output: str) -> str:
        """A flake at a commit as its URL: so both engines take what git has, and the revision is the flake's own."""
        inside = "" if directory == "." else f"&dir={quote(directory)}"
        return f"git+file://{quote(str(top_of(self.repository)))}?rev={commit}{inside}#{output}"

    @contextmanager
    def _tree(self, commit: str) -> Iterator[Path]:
        with ExitStack() as stack:
            try:
                tree = stack.enter_context(checked_out(top_of(self.repository), commit))
            except InvarError as error:
                error.hint = "name a clone of the repository that has the commit with --repository; git fetch may help"
                raise
            yield tree


def _rebuilt(tags: Mapping[str, str], reading: DiskReading, artifact: Artifact) -> Part:
    found = {part.name: part for part in judge(reading, Expectation(None, artifact.blocks, None))}["blocks"]
    commit = tags[COMMIT][:12]
    if found.sound:
        return Part("rebuild", True, f"commit {commit} gives exactly these bytes")
    dirty = "; it was published from a working tree with changes" if tags.get(DIRTY) == "true" else ""
    return Part("rebuild", False, f"commit {commit} gives other bytes: {found.why}{dirty}")


def _signature(
    reading: DiskReading,
    expected: Expectation,
    volume_bytes: int,
    documents: Mapping[str, bytes],
    keys: Sequence[PublicKey],
) -> Part:
    """Whether one of the keys signed a provenance of exactly what was read, and of the other documents."""
    name = "signature"
    if SIGNED not in documents:
        return Part(name, False, "the image is not signed")
    size = (
        expected.blocks.image_bytes
        if expected.blocks
        else int((expected.info or {}).get("logical_bytes", volume_bytes))
    )
    disk = BlockMap(size, {index: value for index, value in reading.digests.items() if value != ZEROS_DIGEST})
    found = {"disk": disk.digest, **{kind: layer.root_hash for kind, layer in reading.layers.items()}}
    if reading.system_digest is not None:
        found["system"] = reading.system_digest
    try:
        statement = verify_signature(documents[SIGNED], keys, SIGNED)
        check_statement(statement, found, SIGNED)
    except InvarError as error:
        return Part(name, False, f"{error.what}: {'; '.join((error.why or '').splitlines())}")
    altered = [
        one["name"]
        for one in statement["predicate"]["runDetails"]["byproducts"]
        if one["name"] in documents and hashlib.sha256(documents[one["name"]]).hexdigest() != one["digest"]["sha256"]
    ]
    if altered:
        return Part(name, False, f"{', '.join(altered)}: not what the signed provenance says")
    return Part(name, True, f"the provenance of these very bytes is signed; {len(found)} digests compared")


def _documents(cloud: Cloud, image: ImageRecord, store: Store, report: Report) -> tuple[dict[str, bytes], Part | None]:
    if RECORD not in image.tags:
        return {}, None
    try:
        documents = fetch_record(cloud, image.region, image.tags[RECORD], store, report)
    except InvarError as error:
        return {}, Part("record", False, f"{error.what}: {error.why}")
    if documents is None:
        return {}, Part("record", None, "it is gone")
    names = ", ".join(sorted(documents))
    return documents, Part("record", True, names)


def _registration(image: ImageRecord, info: Mapping[str, Any] | None) -> Part:
    wanted = (info or {}).get("boot_mode") or "uefi"
    if image.boot_mode != wanted:
        return Part("registration", False, f"boot mode {image.boot_mode or 'none'}, not {wanted}")
    return Part("registration", True, f"{image.architecture}, boot mode {wanted}")


def _told(info: Mapping[str, Any], tags: Mapping[str, str]) -> Part:
    """Whether image-info.json and the tags tell the same."""
    pairs = ((SYSTEM, "system_digest"), (SPEC, "spec_digest"), (LOCK, "lock_digest"))
    other = [tag for tag, name in pairs if name in info and (info[name] or None) != tags.get(tag)]
    if other:
        return Part("tags", False, f"{', '.join(other)}: not what {INFO_FILE} says")
    return Part("tags", True, "as image-info.json has them")
