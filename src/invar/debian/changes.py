"""What changes between two locks: packages added, removed, upgraded, downgraded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from invar.debian.lock import Lock, LockedPackage
from invar.debian.version import version_key

Kind = Literal["added", "removed", "upgraded", "downgraded", "rebuilt"]


@dataclass(frozen=True, slots=True)
class Change:
    """One package that differs. `old` and `new` are versions; `security` when the new one comes from a security suite.

    "rebuilt" is the same version with another .deb, which an honest archive does not do.
    """

    name: str
    kind: Kind
    old: str | None
    new: str | None
    security: bool
    bytes: int

    def __str__(self) -> str:
        mark = " (security)" if self.security else ""
        versions = " → ".join(version for version in (self.old, self.new) if version)
        return f"{self.kind:<10} {self.name} {versions}{mark}"


def diff_locks(old: Lock | None, new: Lock) -> list[Change]:
    """Every package that differs between two locks, by name. `bytes` is the change of the download's size."""
    return _changes(old.packages if old else {}, new.packages)


def diff_image_packages(old: Lock | None, new: Lock) -> list[Change]:
    """The same for the packages that are in the image, without those of the tools."""
    return _changes(_image(old) if old else {}, _image(new))


def _image(lock: Lock) -> dict[str, LockedPackage]:
    return {name: lock.packages[name] for name in lock.image}


def _changes(old: Mapping[str, LockedPackage], new: Mapping[str, LockedPackage]) -> list[Change]:
    found = (_change(name, old.get(name), new.get(name)) for name in sorted({*old, *new}))
    return [change for change in found if change]


def _change(name: str, old: LockedPackage | None, new: LockedPackage | None) -> Change | None:
    if old is None and new is not None:
        return Change(name, "added", None, new.version, new.security, new.size)
    if old is not None and new is None:
        return Change(name, "removed", old.version, None, False, -old.size)
    if old is None or new is None or old.sha256 == new.sha256:
        return None
    kind: Kind = "rebuilt"
    if old.version != new.version:
        kind = "upgraded" if version_key(old.version) < version_key(new.version) else "downgraded"
    return Change(name, kind, old.version, new.version, new.security, new.size - old.size)
