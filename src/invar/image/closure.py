"""The closure of an image that Nix built: store paths with versions (nix-closure.json), and what changes in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key

from invar.core.canonical import canonical_json
from invar.core.errors import InvarError
from invar.debian.changes import Change, Kind
from invar.nix.builtins.versions import compare_versions

CLOSURE_FILE = "nix-closure.json"

Versions = Mapping[str, tuple[str, ...]]
"""Package name → its versions, oldest first; a package may be there in several, "" is a name without one."""


@dataclass(frozen=True, slots=True)
class StorePath:
    """A path of the closure. `size` is that of its NAR in bytes; `references` are other paths of the closure."""

    path: str
    nar_hash: str
    size: int
    references: tuple[str, ...] = ()

    @property
    def name_and_version(self) -> tuple[str, str]:
        """As Nix takes them from the name."""
        return name_and_version(store_name(self.path))


@dataclass(frozen=True, slots=True)
class Closure:
    """Everything that a system refers to. `toplevel` is the NixOS system's own path, None where it is not known."""

    toplevel: str | None
    paths: tuple[StorePath, ...]

    @property
    def versions(self) -> dict[str, tuple[str, ...]]:
        """The versions that are there, by package name."""
        found: dict[str, set[str]] = {}
        for one in self.paths:
            name, version = one.name_and_version
            found.setdefault(name, set()).add(version)
        return {name: ordered(found[name]) for name in sorted(found)}


@dataclass(frozen=True, slots=True)
class ClosureChanges:
    """From one closure to another. `rebuilt` counts store paths of the same name and version, but with another hash."""

    packages: tuple[Change, ...]
    rebuilt: int


def encode_closure(paths: Sequence[StorePath]) -> bytes:
    """nix-closure.json: path, name, version, hash, size and references of each."""
    data = [
        {
            "path": one.path,
            "name": name,
            "version": version,
            "nar_hash": one.nar_hash,
            "bytes": one.size,
            "references": list(one.references),
        }
        for one in paths
        for name, version in [one.name_and_version]
    ]
    return canonical_json(data) + b"\n"


def decode_closure(data: bytes, where: str) -> tuple[StorePath, ...]:
    """The inverse; name and version are taken from the path. Raises InvarError, with `where`, for anything else."""
    try:
        return tuple(
            StorePath(
                str(one["path"]), str(one["nar_hash"]), int(one["bytes"]), tuple(map(str, one.get("references", ())))
            )
            for one in json.loads(data)
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvarError("this is no closure of Nix's", where=where, why=f"{type(error).__name__}: {error}") from error


def diff_closures(old: Closure, new: Closure) -> ClosureChanges:
    """Packages by name and version, and how many paths are only rebuilt. `bytes` is the change of the NARs' size."""
    before, after = _by_package(old), _by_package(new)
    rebuilt = sum(len(after[key] - before[key]) for key in before.keys() & after.keys())
    return ClosureChanges(tuple(diff_versions(old.versions, new.versions, _sizes(old), _sizes(new))), rebuilt)


def diff_versions(old: Versions, new: Versions, before: Mapping[str, int], after: Mapping[str, int]) -> list[Change]:
    """Every package whose versions differ, by name. `before` and `after` are sizes in bytes."""
    changes = []
    for name in sorted({*old, *new}):
        one, two = old.get(name), new.get(name)
        if one == two:
            continue
        kind: Kind = "added" if one is None else "removed" if two is None else "upgraded"
        if one and two and _newest_first(one) > _newest_first(two):
            kind = "downgraded"
        size = after.get(name, 0) - before.get(name, 0)
        changes.append(Change(name, kind, _listed(one), _listed(two), False, size))
    return changes


def ordered(versions: Iterable[str]) -> tuple[str, ...]:
    """Versions as `builtins.compareVersions` orders them, oldest first."""
    return tuple(sorted(versions, key=_ORDER))


def store_name(path: str) -> str:
    """The name in a store path: "/nix/store/HASH-nginx-1.2" is "nginx-1.2"."""
    base = path.rpartition("/")[2]
    return base.partition("-")[2] or base


def name_and_version(name: str) -> tuple[str, str]:
    """As `builtins.parseDrvName`: the version begins at the first dash that no letter follows."""
    found = re.match(r"(.*?)-([^a-zA-Z].*)$", name)
    return (found[1], found[2]) if found else (name, "")


_ORDER = cmp_to_key(compare_versions)


def _newest_first(versions: Sequence[str]) -> list[object]:
    return [_ORDER(one) for one in reversed(versions)]


def _listed(versions: Sequence[str] | None) -> str | None:
    return None if versions is None else ", ".join(versions)


def _by_package(closure: Closure) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for one in closure.paths:
        found.setdefault(one.name_and_version, set()).add(one.path)
    return found


def _sizes(closure: Closure) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in closure.paths:
        name = one.name_and_version[0]
        found[name] = found.get(name, 0) + one.size
    return found
