"""Which Debian packages a name of `pkgs` means: nixpkgs' names by a curated map, all others are Debian's own."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

_DATA = Path(__file__).parent / "data"
_DEBIAN_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""Debian Policy, section 5.6.1. What Nix itself asks a set for (`_type`, `outPath`) is no such name."""


class Universe(Protocol):
    """The packages that a lock (or an archive's index) has."""

    def version(self, name: str) -> str | None:
        """The version of a Debian package, None when there is no such package."""

    def digest(self, name: str) -> str | None:
        """SHA-256 of the package's .deb in lower-case hex, None when there is no such package."""


class EmptyUniverse:
    """What is known before there is a lock: no versions at all."""

    def version(self, name: str) -> str | None:
        """None."""
        return None

    def digest(self, name: str) -> str | None:
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name of `pkgs` stands for.

    `debian` are the packages to install, the one that gives the version first. `main` is the program that `lib.getExe`
    finds. `shell` is set for login shells, `passthru` are further attributes.
    """

    name: str
    debian: tuple[str, ...]
    main: str
    shell: str | None
    passthru: tuple[tuple[str, Any], ...]


def meaning(name: str, universe: Universe) -> Meaning | None:
    """What `pkgs.NAME` means; None when neither the map, nor trixie, nor the universe has the name."""
    spec = curated().get(name)
    if spec is not None:
        passthru = tuple((key, value) for key, value in spec.items() if key not in {"debian", "main", "shell"})
        return Meaning(name, tuple(spec["debian"]), spec["main"], spec.get("shell"), passthru)
    if _DEBIAN_NAME.fullmatch(name) and (universe.version(name) is not None or name in debian_names()):
        return Meaning(name, (name,), name, None, ())
    return None


@cache
def curated() -> dict[str, dict[str, Any]]:
    """The map from nixpkgs' names: {"NAME": {"debian": [...], "main": PROGRAM, ...}}."""
    loaded: dict[str, dict[str, Any]] = json.loads((_DATA / "nixpkgs-names.json").read_bytes())
    return loaded


@cache
def debian_names() -> frozenset[str]:
    """The names of all binary packages of trixie's main. Read when first needed: it takes some 20 ms."""
    return frozenset(gzip.decompress((_DATA / "trixie-main.names.gz").read_bytes()).decode().split())
