"""From what flake.nix files declare and what flake.lock had to the graph of inputs, locked. The rules are Nix's own.

What is locked stays while the flake asks for the same; an input's own inputs come from its own flake.lock first;
`follows` and inputs declared for an input go over what that input itself says.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.flakes.inputs import Sources, locked_attributes
from invar.flakes.lockfile import LOCK_FILE, Edge, Follows, Inputs, Locked, Provided, at, read_lock_file, same_original
from invar.flakes.manifest import Input, Manifest
from invar.flakes.registry import provided_by_engine
from invar.flakes.source import Source

Way = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a flake is: a tree, and the directory in it ("" for its top)."""

    source: Source
    directory: str = ""

    @property
    def real(self) -> Path:
        """The directory on this machine."""
        return Path(self.source.root) / self.directory

    @property
    def store_path(self) -> str:
        """The directory as the language sees it."""
        return f"{self.source.store_path}/{self.directory}" if self.directory else self.source.store_path


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller asks beside the flake itself.

    `update`: inputs (ways from the root) to lock anew, None for all. `overrides` replace inputs. `provided`: the native
    engine gives nixpkgs and nixos-generators.
    """

    update: frozenset[Way] | None = frozenset()
    overrides: Mapping[Way, Mapping[str, Any]] = field(default_factory=dict)
    provided: bool = True


@dataclass(frozen=True, slots=True)
class _Declared:
    """An input with the flake that declares it: its way from the root, and where it is."""

    input: Input
    by: Way
    place: Place


class Locker:
    """One computation. `manifest_of` reads the flake.nix of a place."""

    def __init__(self, sources: Sources, wishes: Wishes, manifest_of: Callable[[Place], Manifest]) -> None:
        self._sources = sources
        self._wishes = wishes
        self._manifest_of = manifest_of
        self._over: dict[Way, _Declared] = {}

    def lock(self, root: Place, manifest: Manifest, old: Inputs) -> Inputs:
        """The locked inputs of the flake at `root`. Raises InvarError or NixError for what cannot be had."""
        for way, reference in self._wishes.overrides.items():
            self._over[way] = _Declared(Input(dict(reference)), (), root)
        inputs = self._inputs(manifest.inputs, old, (), root, (root,))
        for way in self._over:
            if way in self._wishes.overrides and way[0] not in inputs:
                raise InvarError(
                    f"there is no input '{way[0]}' to override", hint=f"inputs: {', '.join(inputs) or 'none'}"
                )
        _check(inputs, inputs)
        return inputs

    def _inputs(
        self, declared: Mapping[str, Input], old: Inputs, prefix: Way, place: Place, stack: tuple[Place, ...]
    ) -> Inputs:
        for name, one in declared.items():
            self._declare_inside(one, prefix, (*prefix, name), place)
        made: Inputs = {}
        for name, one in declared.items():
            way = (*prefix, name)
            asked = self._over.get(way, _Declared(one, prefix, place))
            made[name] = self._edge(way, asked, old.get(name), stack)
        return made

    def _declare_inside(self, one: Input, by: Way, way: Way, place: Place) -> None:
        for name, inner in one.inputs.items():
            if inner.reference is not None or inner.follows is not None:
                self._over.setdefault((*way, name), _Declared(inner, by, place))
            self._declare_inside(inner, by, (*way, name), place)

    def _edge(self, way: Way, asked: _Declared, old: Edge | None, stack: tuple[Place, ...]) -> Edge:
        if asked.input.follows is not None:
            return Follows((*asked.by, *asked.input.follows))
        reference = dict(asked.input.reference or {"type": "indirect", "id": way[-1]})
        before = old.kept if isinstance(old, Provided) else old
        stays = (
            isinstance(before, Locked)
            and not self._updating(way)
            and way not in self._wishes.overrides
            and same_original(before.original, reference)
            and before.flake == asked.input.flake
        )
        known = before if stays and isinstance(before, Locked) else None
        name = provided_by_engine(reference) if self._wishes.provided else None
        if name is not None and way not in self._wishes.overrides:
            return self._provided(name, way, reference, known)
        if known is not None:
            return self._kept(known, way, asked, stack)
        place = self.place(reference, asked.place, way)
        relative = place.source is asked.place.source
        locked = reference if relative else locked_attributes(place.source)
        if place.directory and not relative:
            locked["dir"] = place.directory
        node = Locked(reference, dict(locked), asked.input.flake, parent=asked.by if relative else None)
        if asked.input.flake:
            inner = before.inputs if isinstance(before, Locked) else read_lock_file(place.real / LOCK_FILE)
            node.inputs = self._below(place, inner, way, stack)
        return node

    def _provided(self, name: str, way: Way, reference: dict[str, Any], known: Locked | None) -> Provided:
        inputs: Inputs = {}
        if name == "nixos-generators":
            for inner in ("nixlib", "nixpkgs"):
                over = self._over.get((*way, inner))
                if over is None:
                    inputs[inner] = Provided("nixpkgs", {"type": "indirect", "id": "nixpkgs"})
                else:
                    inputs[inner] = self._edge((*way, inner), over, None, ())
        return Provided(name, reference, known, inputs)

    def _kept(self, known: Locked, way: Way, asked: _Declared, stack: tuple[Place, ...]) -> Locked:
        """An input that stays; its own inputs too, unless something declared or asked for is not in them yet."""
        node = Locked(known.original, known.locked, known.flake, parent=known.parent)
        inside = {over: declared for over, declared in self._over.items() if over[: len(way)] == way and over != way}
        agree = all(self._agrees(known, over[len(way) :], declared) for over, declared in inside.items())
        update = self._wishes.update or frozenset()
        if (agree and not any(one[: len(way)] == way for one in update)) or not known.flake:
            node.inputs = known.inputs
        else:
            node.inputs = self._below(self.place(known.locked, asked.place, way), known.inputs, way, stack)
        return node

    def _agrees(self, node: Locked, rest: Way, declared: _Declared) -> bool:
        inputs: Inputs = node.inputs
        for step in rest[:-1]:
            inner = inputs.get(step)
            if not isinstance(inner, Locked):
                return False
            inputs = inner.inputs
        edge = inputs.get(rest[-1])
        if declared.input.follows is not None:
            return edge == Follows((*declared.by, *declared.input.follows))
        return isinstance(edge, Locked) and same_original(edge.original, declared.input.reference or {})

    def _below(self, place: Place, old: Inputs, way: Way, stack: tuple[Place, ...]) -> Inputs:
        if any(place.real == other.real for other in stack):
            raise InvarError(
                f"the input '{'/'.join(way)}' is a flake that it is itself an input of", where=str(place.real)
            )
        return self._inputs(self._manifest_of(place).inputs, old, way, place, (*stack, place))

    def place(self, reference: Mapping[str, Any], by: Place, way: Way) -> Place:
        """Where an input is; a relative path is in the tree of the flake that declares it. Raises InvarError."""
        path = str(reference.get("path", ""))
        if reference["type"] == "path" and not path.startswith("/"):
            directory = posixpath.normpath(posixpath.join(by.directory, path))
            if directory.startswith(".."):
                raise InvarError(
                    f"the input '{'/'.join(way)}' is '{path}', which leads out of the flake's tree",
                    where=str(by.real / "flake.nix"),
                    hint="name it by an absolute path, or by git+file:",
                )
            return Place(by.source, "" if directory == "." else directory)
        return Place(self._sources.get(reference, name="/".join(way)), str(reference.get("dir", "")))

    def _updating(self, way: Way) -> bool:
        return self._wishes.update is None or way in self._wishes.update


def unknown_updates(update: frozenset[Way], inputs: Inputs) -> list[Way]:
    """Those of the ways that lead to no input."""
    missing = []
    for way in sorted(update):
        try:
            at(inputs, way)
        except InvarError:
            missing.append(way)
    return missing


def _check(inputs: Inputs, root: Inputs) -> None:
    for edge in inputs.values():
        if isinstance(edge, Follows):
            at(root, edge.path)
        else:
            _check(edge.inputs, root)
