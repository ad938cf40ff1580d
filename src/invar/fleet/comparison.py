"""Two subjects side by side: options, packages, system and disk. Pure, but for hashing the disks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from invar.aws.blocks import BLOCK, BlockMap, block_map, changes, map_blocks
from invar.core.events import Report
from invar.debian.changes import Change, diff_image_packages
from invar.engines.native import requests_of
from invar.fleet.subjects import Subject
from invar.store.objects import Store
from invar.system.diff import SystemDiff, diff_systems
from invar.system.options import OptionChange, diff_settings
from invar.system.record import plain


@dataclass(frozen=True, slots=True)
class ImageDelta:
    """What is to be sent over another image: `changed` of `total` blocks of 512 KiB that are not zeros."""

    changed: int
    total: int

    @property
    def bytes(self) -> int:
        """The size of the blocks that differ."""
        return self.changed * BLOCK


@dataclass(frozen=True, slots=True)
class Comparison:
    """From `old` to `new`. None where one of them does not tell: options of an AMI of an earlier Invar, versions of
    packages without a lock, disks of what is not built."""

    old: Subject
    new: Subject
    options: tuple[OptionChange, ...] | None
    packages: tuple[Change, ...] | None
    system: SystemDiff
    image: ImageDelta | None

    @property
    def unlocked(self) -> tuple[str, ...]:
        """Packages that the new configuration asks for and its lock does not have."""
        lock = self.new.lock
        return () if lock is None else tuple(sorted(set(requests_of(self.new.system)) - set(lock.image)))

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return bool(self.options or self.packages or self.system or (self.image and self.image.changed))

    def to_data(self) -> dict[str, Any]:
        """As `--json` tells it."""
        return {
            "old": _subject_data(self.old),
            "new": _subject_data(self.new),
            "differs": self.differs,
            "options": None if self.options is None else [_option_data(change) for change in self.options],
            "packages": None if self.packages is None else plain(self.packages),
            "unlocked": list(self.unlocked),
            "system": plain(self.system),
            "image": None
            if self.image is None
            else {"changed_blocks": self.image.changed, "blocks": self.image.total, "bytes": self.image.bytes},
        }


def compare(old: Subject, new: Subject, store: Store, report: Report) -> Comparison:
    """Compare two subjects. Raises InvarError when a disk cannot be read."""
    options = None
    if old.settings is not None and new.settings is not None:
        options = diff_settings(old.settings, new.settings)
    packages = None
    if old.lock is not None and new.lock is not None:
        packages = tuple(diff_image_packages(old.lock, new.lock))
    disks = [blocks_of(subject, store, report) for subject in (old, new)]
    image = None if disks[1] is None or disks[0] is None else image_delta(disks[0], disks[1])
    return Comparison(old, new, options, packages, diff_systems(old.system, new.system), image)


def image_delta(old: BlockMap | None, new: BlockMap) -> ImageDelta:
    """What a delta upload sends of an image whose parent is `old`."""
    return ImageDelta(len(changes(new, old)), len(new.digests))


def blocks_of(subject: Subject, store: Store, report: Report) -> BlockMap | None:
    """The block map of a subject's disk; None where there is none."""
    image = subject.image
    if image is None:
        return subject.blocks
    if image.is_relative_to(store.root):
        return block_map(store, image.parent.name, image, report)
    return map_blocks(image, report)


def _subject_data(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.label,
        "spec_digest": subject.system.spec_digest,
        "system_digest": subject.system_digest,
        "lock_digest": None if subject.lock is None else subject.lock.digest,
    }


def _option_data(change: OptionChange) -> dict[str, Any]:
    return {
        "path": change.path,
        "old": None if change.old is None else plain(change.old.value),
        "new": None if change.new is None else plain(change.new.value),
        "at": list(change.places),
        "added": list(change.added),
        "removed": list(change.removed),
    }
