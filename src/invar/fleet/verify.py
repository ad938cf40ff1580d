"""Proves that an AMI, or an image file, is what was built: reads it back, and judges it by all that is known of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invar.aws.blocks import BLOCK
from invar.aws.client import Cloud
from invar.aws.images import ImageRecord, describe_image
from invar.aws.snapshot_read import SnapshotBlocks
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.engines.project import Project
from invar.fleet.judge import Expectation, Part, judge, verified
from invar.fleet.publish import Artifact, known_blocks
from invar.fleet.record import fetch_record
from invar.fleet.source import checked_out
from invar.fleet.tags import COMMIT, DIRTY, LOCK, RECORD, SOURCE, SPEC, SYSTEM
from invar.image.disk import DiskReading, FileBlocks, read_disk
from invar.image.info import INFO_FILE
from invar.store.objects import Store

Build = Callable[[Project], Artifact]


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
    cloud: Cloud, region: str, identity: str, store: Store, report: Report, rebuild: Rebuild | None = None
) -> Verified:
    """Judge a published image by its snapshot's blocks, its tags, its record, and with `rebuild` a fresh build.

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
    parts.append(_registration(image))
    parts += [record] if record else []
    parts += [_told(info, image.tags)] if info else []
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
        with checked_out(self.repository, tags[COMMIT]) as tree:
            path = (tree / tags[SOURCE]).resolve()
            if not path.is_relative_to(tree.resolve()):
                raise InvarError(f"the tag {SOURCE} leads out of the repository", why=tags[SOURCE])
            project = Project.at(path)
            if not project.lock.exists():
                raise InvarError(
                    "the image cannot be built again",
                    where=f"commit {tags[COMMIT]}",
                    why=f"it has no {project.lock.name}: which packages were taken is not recorded",
                    hint="commit the lock, and publish again",
                )
            return self.build(project)


def _rebuilt(tags: Mapping[str, str], reading: DiskReading, artifact: Artifact) -> Part:
    found = {part.name: part for part in judge(reading, Expectation(None, artifact.blocks, None))}["blocks"]
    commit = tags[COMMIT][:12]
    if found.sound:
        return Part("rebuild", True, f"commit {commit} gives exactly these bytes")
    dirty = "; it was published from a working tree with changes" if tags.get(DIRTY) == "true" else ""
    return Part("rebuild", False, f"commit {commit} gives other bytes: {found.why}{dirty}")


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


def _registration(image: ImageRecord) -> Part:
    if image.boot_mode != "uefi":
        return Part("registration", False, f"boot mode {image.boot_mode or 'none'}, not uefi")
    return Part("registration", True, f"{image.architecture}, boot mode uefi")


def _told(info: Mapping[str, Any], tags: Mapping[str, str]) -> Part:
    """Whether image-info.json and the tags tell the same."""
    pairs = ((SYSTEM, "system_digest"), (SPEC, "spec_digest"), (LOCK, "lock_digest"))
    other = [tag for tag, name in pairs if name in info and (info[name] or None) != tags.get(tag)]
    if other:
        return Part("tags", False, f"{', '.join(other)}: not what {INFO_FILE} says")
    return Part("tags", True, "as image-info.json has them")
