"""Paths that several packages ship: overlayfs would silently show one of them, dpkg knows which, and so must we."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from invar.core.errors import InvarError
from invar.debian.deb import UnpackedDeb


@dataclass(frozen=True, slots=True)
class Collision:
    """A path that the packages `losers` ship as well as `winner`, which replaces them."""

    path: str
    winner: str
    losers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diversion:
    """Three lines of dpkg's diversions file: others' `path` goes to `target`, `package`'s (None: nobody's) stays."""

    path: str
    target: str
    package: str | None


def find_collisions(debs: Mapping[str, UnpackedDeb]) -> list[Collision]:
    """Every path, sorted, that is not a directory in each of the packages that ship it.

    Raises InvarError naming all paths for which no package replaces the others, or that are a directory in one and not
    in another.
    """
    first: dict[str, str] = {}
    shared: dict[str, list[str]] = {}
    for name, deb in debs.items():
        for path in deb.paths:
            if path in first:
                shared.setdefault(path, [first[path]]).append(name)
            else:
                first[path] = name
    collisions, wrong = [], []
    for path, names in sorted(shared.items()):
        kinds = {_is_directory(debs[name], path) for name in names}
        if kinds == {True}:
            continue
        winner = None if len(kinds) == 2 else _winner(names, debs)
        if winner is None:
            wrong.append(f"{path}: {', '.join(names)}")
        else:
            collisions.append(Collision(path, winner, tuple(name for name in names if name != winner)))
    if wrong:
        raise InvarError(
            "packages ship the same file and none replaces the other",
            why="\n".join(wrong),
            hint="they can't be installed together; leave one out",
        )
    return collisions


def read_diversions(text: str) -> list[Diversion]:
    """The contents of /var/lib/dpkg/diversions: three lines each (path, target, package or ":")."""
    lines = text.splitlines()
    return [
        Diversion(lines[at], lines[at + 1], None if lines[at + 2] == ":" else lines[at + 2])
        for at in range(0, len(lines) - len(lines) % 3, 3)
    ]


def diverted(diversions: Iterable[Diversion], debs: Mapping[str, UnpackedDeb]) -> list[tuple[Diversion, str]]:
    """The diversions that touch a file of a package other than the diverting one, with that package's name."""
    found = []
    for diversion in diversions:
        for name, deb in debs.items():
            if name != diversion.package and diversion.path in deb.paths:
                found.append((diversion, name))
    return found


def _winner(names: list[str], debs: Mapping[str, UnpackedDeb]) -> str | None:
    for name in names:
        replaced = _replaced(debs[name])
        if all(other == name or other in replaced for other in names):
            return name
    return None


def _replaced(deb: UnpackedDeb) -> set[str]:
    """Names in Replaces, without regard to versions: the lock's set satisfies the solver already."""
    return {re.split(r"[\s(:]", item.strip(), maxsplit=1)[0] for item in deb.fields.get("Replaces", "").split(",")}


def _is_directory(deb: UnpackedDeb, path: str) -> bool:
    return stat.S_ISDIR((deb.data / path.lstrip("/")).lstat().st_mode)
