"""What a configuration makes below /nix/store: small files, directories of links, directories of packages' programs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from invar.core.canonical import canonical_json
from invar.nix import NixError, NixString
from invar.nix.store_objects import Derivation, SourceObject, StoreObject, TextObject
from invar.nix.storepath import make_store_path
from invar.nixos.sources import source_entries


@dataclass(frozen=True, slots=True)
class Object:
    """One store object, in the shape of `StoreObject` in system/record.py, with what it refers to.

    `entries` maps a relative path ("" for the object itself) to a node: {"type": "file", "text", "executable"},
    {"type": "symlink", "target"} or {"type": "directory"}. `package` names the Debian packages whose programs it links
    to (then `entries` is empty). `references` are the store paths that its texts and links mention.
    """

    path: str
    entries: Mapping[str, Mapping[str, Any]]
    references: frozenset[str] = frozenset()
    package: tuple[str, ...] = ()


class Objects:
    """Every object made while a configuration is evaluated, by store path.

    `language` is the evaluator's own store: what `builtins.toFile` and paths in strings put there.
    """

    def __init__(self, language: Mapping[str, StoreObject] | None = None) -> None:
        self._objects: dict[str, Object] = {}
        self._language = {} if language is None else language

    def add(
        self,
        name: str,
        entries: Mapping[str, Mapping[str, Any]],
        references: Iterable[str] = (),
        *,
        package: tuple[str, ...] = (),
        identity: Any = None,
    ) -> str:
        """Register an object and return its store path, as a string whose context is that path.

        The path follows from all arguments; `identity` is anything else (plain data) that tells the object from others
        of the same entries. Raises NixError when `name` cannot be part of a store path.
        """
        referred = frozenset(references)
        path = store_path(name, [entries, sorted(referred), list(package), identity])
        if path not in self._objects:
            self._objects[path] = Object(path, entries, referred, package)
        return NixString(path, frozenset({path}))

    def get(self, path: str) -> Object | None:
        """The object at a store path, or that a path inside it belongs to.

        Raises NixError for a derivation, InvarError for a file that cannot be copied.
        """
        root = store_root(path)
        found = self._objects.get(root)
        if found is None and root in self._language:
            found = self._objects[root] = _of_language(root, self._language[root])
        return found

    def closure(self, paths: Iterable[str]) -> tuple[Object, ...]:
        """The objects at these store paths and everything that they refer to, sorted by path.

        Raises NixError when a path belongs to no object of this evaluation, or to one that has to be built.
        """
        found: dict[str, Object] = {}
        todo = [store_root(context_path(path)) for path in paths]
        while todo:
            path = todo.pop()
            if path in found:
                continue
            known = self.get(path)
            if known is None:
                raise NixError(
                    f"the configuration refers to {path}, which nothing in it makes",
                    hint="The native engine's store has what the configuration itself writes, and Debian's packages.",
                )
            found[path] = known
            todo.extend(store_root(context_path(reference)) for reference in known.references)
        return tuple(found[path] for path in sorted(found))


def store_path(name: str, content: Any) -> str:
    """/nix/store/HASH-NAME, made like the path of a source whose hash is that of the canonical JSON of `content`.

    Raises NixError when `name` cannot be part of a store path.
    """
    try:
        return make_store_path("source", hashlib.sha256(canonical_json(content)).digest(), name)
    except ValueError as error:
        raise NixError(str(error), hint="Names are letters, digits and +-._?= and don't begin with a dot.") from None


def store_root(path: str) -> str:
    """The store object that a path below /nix/store lies in."""
    return "/".join(path.split("/", 4)[:4])


def context_path(element: str) -> str:
    """The store path in an element of a string's context ("/nix/store/...", "!OUTPUT!DRV", "=DRV")."""
    if element.startswith("!"):
        return element.rsplit("!", 1)[1]
    return element.removeprefix("=")


def _of_language(path: str, stored: StoreObject) -> Object:
    if isinstance(stored, TextObject):
        node = {"type": "file", "text": stored.content.decode(), "executable": False}
        return Object(path, {"": node}, stored.references)
    if isinstance(stored, SourceObject):
        return Object(path, source_entries(stored))
    assert isinstance(stored, Derivation)
    raise NixError(
        f"{path} has to be built: the native engine runs no builders",
        hint="It takes packages from Debian as they are and writes files. Build with `--engine nix` for anything else.",
    )
