"""What the fetching builtins ask of the world: the `Fetcher` that an evaluator is given, and what it answers.

The language itself never touches the network. `invar.store.fetchers` has the implementation; without one, every
fetch is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from invar.nix.errors import NixEvalError

TreeAttributes: TypeAlias = Mapping[str, str | int | bool]
"""What `fetchTree` is given and a flake's lock records: `type` ("git", "tarball" ...) and what that type needs."""

LOCKED_BY_REVISION = frozenset({"git", "hg", "github", "gitlab", "sourcehut"})


class FetchError(NixEvalError):
    """Something could not be fetched, or was not what its hash says."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file on this machine: its absolute path, and its SHA-256 (32 bytes)."""

    source: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class FetchedTree:
    """A file tree (or one file) on this machine: its absolute path, and the SHA-256 (32 bytes) of its NAR.

    `locked` are attributes that fetch exactly this again: those asked for, with `narHash` (SRI) and as known `rev`,
    `lastModified` (seconds since 1970) and `revCount`. A git work tree with changes has no `rev`.
    """

    source: str
    nar_sha256: bytes
    locked: TreeAttributes


class Fetcher(Protocol):
    """Gets files and trees, each verified against the hash it is asked for before it is stored under its own.

    Both raise FetchError for what is wrong out there (no such file, another hash), InvarError for what is wrong here.
    """

    def file(self, url: str, sha256: bytes | None) -> FetchedFile:
        """One file; with `sha256` it is not fetched again when it is in the store already."""
        ...

    def tree(self, attributes: TreeAttributes) -> FetchedTree:
        """A tree; with `narHash` it is not fetched again when it is in the store already."""
        ...


class NoFetcher:
    """Refuses everything."""

    def file(self, url: str, sha256: bytes | None) -> FetchedFile:
        """Raises FetchError."""
        raise FetchError(f"cannot fetch '{url}': this evaluation has no way to the network")

    def tree(self, attributes: TreeAttributes) -> FetchedTree:
        """Raises FetchError."""
        where = attributes.get("url") or attributes.get("path") or attributes["type"]
        raise FetchError(f"cannot fetch '{where}': this evaluation has no way to the network")


class DeferredFetcher:
    """A fetcher that is made when something is fetched: most evaluations fetch nothing."""

    def __init__(self, make: Callable[[], Fetcher]) -> None:
        self._make = make
        self._made: Fetcher | None = None

    def file(self, url: str, sha256: bytes | None) -> FetchedFile:
        """As the fetcher behind it."""
        return self._fetcher().file(url, sha256)

    def tree(self, attributes: TreeAttributes) -> FetchedTree:
        """As the fetcher behind it."""
        return self._fetcher().tree(attributes)

    def _fetcher(self) -> Fetcher:
        if self._made is None:
            self._made = self._make()
        return self._made


def is_locked(attributes: TreeAttributes) -> bool:
    """Whether these attributes can only ever mean one tree."""
    return "narHash" in attributes or (attributes["type"] in LOCKED_BY_REVISION and "rev" in attributes)
