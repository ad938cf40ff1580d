"""Two subjects side by side: options, packages, system and disk. Pure, but for hashing the disks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from invar.aws.blocks import BLOCK, BlockMap, block_map, changes, map_blocks
from invar.core.events import Report
from invar.debian.changes import Change, diff_image_packages
from invar.engines.native import requests_of
from invar.fleet.subjects import Subject
from invar.image.closure import Versions, diff_closures, diff_versions, ordered
from invar.store.objects import Store
from invar.system.diff import SystemDiff, diff_systems
from invar.system.options import OptionChange, diff_settings
from invar.system.record import plain

_REPACKED = re.compile(r"[+~.](dfsg|ds|repack|really).*\Z")
_OUTPUT = re.compile(r"-[a-z]+\Z")


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
    packages without a lock, disks of what is not built; options and systems of what Nix builds.

    `rebuilt` counts a closure's store paths of the same name and version with another hash. Of two engines' images only
    the packages that both have by the same name are compared, by upstream version; `alone` counts those of each.
    """

    old: Subject
    new: Subject
    options: tuple[OptionChange, ...] | None
    packages: tuple[Change, ...] | None
    system: SystemDiff | None
    image: ImageDelta | None
    rebuilt: int = 0
    alone: tuple[int, int] | None = None

    @property
    def unlocked(self) -> tuple[str, ...]:
        """Packages that the new configuration asks for and its lock does not have."""
        lock, system = self.new.lock, self.new.system
        return () if lock is None or system is None else tuple(sorted(set(requests_of(system)) - set(lock.image)))

    @property
    def toplevels(self) -> tuple[str | None, str | None] | None:
        """The NixOS systems, where both are of Nix and they differ."""
        if self.old.closure is None or self.new.closure is None:
            return None
        found = self.old.closure.toplevel, self.new.closure.toplevel
        return None if found[0] == found[1] else found

    @property
    def mixed(self) -> bool:
        """Whether two engines built them."""
        return self.old.engine != self.new.engine

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        content = self.options or self.packages or self.system or (self.image and self.image.changed)
        return bool(content or self.rebuilt or self.toplevels or self.mixed)

    def to_data(self) -> dict[str, Any]:
        """As `--json` tells it."""
        return {
            "old": _subject_data(self.old),
            "new": _subject_data(self.new),
            "differs": self.differs,
            "options": None if self.options is None else [_option_data(change) for change in self.options],
            "packages": None if self.packages is None else plain(self.packages),
            "unlocked": list(self.unlocked),
            "system": None if self.system is None else plain(self.system),
            "toplevel": None if self.toplevels is None else dict(zip(("old", "new"), self.toplevels, strict=True)),
            "rebuilt": self.rebuilt,
            "alone": None if self.alone is None else dict(zip(("old", "new"), self.alone, strict=True)),
            "image": None
            if self.image is None
            else {"changed_blocks": self.image.changed, "blocks": self.image.total, "bytes": self.image.bytes},
        }


def compare(old: Subject, new: Subject, store: Store, report: Report) -> Comparison:
    """Compare two subjects. Raises InvarError when a disk cannot be read."""
    options = None
    if old.settings is not None and new.settings is not None:
        options = diff_settings(old.settings, new.settings)
    packages, rebuilt, alone = _packages(old, new)
    system = None
    if old.system is not None and new.system is not None:
        system = diff_systems(old.system, new.system)
    disks = [blocks_of(subject, store, report) for subject in (old, new)]
    image = None if disks[1] is None or disks[0] is None else image_delta(disks[0], disks[1])
    return Comparison(old, new, options, packages, system, image, rebuilt, alone)


def _packages(old: Subject, new: Subject) -> tuple[tuple[Change, ...] | None, int, tuple[int, int] | None]:
    """What changes, how many store paths are rebuilt, and how many packages only one of two engines' images has."""
    if old.closure is not None and new.closure is not None:
        changes = diff_closures(old.closure, new.closure)
        return changes.packages, changes.rebuilt, None
    if old.lock is not None and new.lock is not None:
        return tuple(diff_image_packages(old.lock, new.lock)), 0, None
    before, after = _upstream(old), _upstream(new)
    if before is None or after is None or old.engine == new.engine:
        return None, 0, None
    both = before.keys() & after.keys()
    common = diff_versions({name: before[name] for name in both}, {name: after[name] for name in both}, {}, {})
    return tuple(common), 0, (len(before) - len(both), len(after) - len(both))


def _upstream(subject: Subject) -> Versions | None:
    """Packages with the versions that their authors gave them: without Debian's epoch, revision and repacking."""
    if subject.closure is not None:
        return {name: found for name, versions in subject.closure.versions.items() if (found := _numbered(versions))}
    if subject.lock is None:
        return None
    return {one.name: (upstream_version(one.version),) for one in subject.lock.image_packages()}


def upstream_version(version: str) -> str:
    """Of a Debian version: `1:9.2p1+dfsg-2+deb12u3` is 9.2p1."""
    rest = version.partition(":")[2] or version
    return _REPACKED.sub("", rest.rpartition("-")[0] or rest)


def _numbered(versions: tuple[str, ...]) -> tuple[str, ...]:
    """Without the suffixes of further outputs (-bin, -lib, -man)."""
    return ordered({_OUTPUT.sub("", version) for version in versions if version})


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
        "engine": subject.engine,
        "spec_digest": subject.spec_digest,
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
