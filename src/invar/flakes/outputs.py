"""The value of a flake: `outputs` called with `self` and the inputs, each evaluated when it is first asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping

from invar.core.errors import InvarError
from invar.flakes.inputs import sri
from invar.flakes.lockfile import Edge, Follows, Inputs, Locked, Provided, at
from invar.flakes.locking import Locker, Place
from invar.flakes.manifest import Manifest, read_manifest
from invar.flakes.provided import provided_object, provided_source
from invar.flakes.registry import provided_by_engine
from invar.flakes.source import Source
from invar.nix import Evaluator, NixString, NixTypeError, Thunk, Value, call, delay, force, type_name


class Outputs:
    """A locked flake's value and those of its inputs, one for each node of the graph.

    `places` maps the store path of every tree that is read to where it lies.
    """

    def __init__(self, evaluator: Evaluator, locker: Locker, root: Place, inputs: Inputs) -> None:
        self.places: dict[str, str] = {}
        self._evaluator = evaluator
        self._locker = locker
        self._root = root
        self._inputs = inputs
        self._values: dict[int, Thunk] = {}
        self._held: list[Edge] = []

    def value(self) -> Thunk:
        """The root flake: its outputs, with `inputs`, `outPath`, `rev` ... beside them."""
        if 0 not in self._values:
            self._values[0] = self._flake(self._root, self._inputs, ())
        return self._values[0]

    def manifest_of(self, place: Place) -> Manifest:
        """The flake.nix at a place, which is readable from now on."""
        self._mount(place.source)
        return read_manifest(self._evaluator, place.store_path)

    def _mount(self, source: Source) -> None:
        path = source.store_path
        self._evaluator.store_objects.setdefault(path, source.stored())
        self.places.setdefault(path, source.root)

    def _flake(self, place: Place, inputs: Inputs, way: tuple[str, ...]) -> Thunk:
        def make() -> Value:
            manifest = self.manifest_of(place)
            given: dict[str, Value] = {
                name: self._input((*way, name), declared.reference, inputs.get(name), place)
                for name, declared in manifest.inputs.items()
            }
            outputs = call(manifest.outputs, {**given, "self": result})
            if not isinstance(outputs, dict):
                raise NixTypeError(f"flake '{manifest.path}': outputs are {type_name(outputs)} while a set is expected")
            info = source_info(place.source)
            return {
                **outputs,
                **info,
                "outPath": _path(place),
                "inputs": given,
                "outputs": outputs,
                "sourceInfo": info,
                "_type": "flake",
            }

        result = delay(make)
        return result

    def _input(self, way: tuple[str, ...], reference: object, edge: Edge | None, by: Place) -> Value:
        if edge is None:
            name = provided_by_engine(reference) if isinstance(reference, Mapping) else None
            if name is None:
                raise InvarError(
                    f"flake.lock has no input '{'/'.join(way)}'",
                    where=str(self._root.real / "flake.lock"),
                    hint="run `invar flake lock`",
                )
            edge = Provided(name, {})
        if isinstance(edge, Follows):
            target = at(self._inputs, edge.path)
            if target is None:
                return self.value()
            way, edge = edge.path, target
        if id(edge) not in self._values:
            self._held.append(edge)
            self._values[id(edge)] = self._node(edge, way, by)
        return self._values[id(edge)]

    def _node(self, edge: Edge, way: tuple[str, ...], by: Place) -> Thunk:
        if isinstance(edge, Provided):
            source = provided_source(edge.name)
            self._evaluator.store_objects.setdefault(source.store_path, provided_object(edge.name))
            self.places.setdefault(source.store_path, source.root)
            return self._flake(Place(source), edge.inputs, way)
        assert isinstance(edge, Locked)
        node = edge

        def make() -> Value:
            place = self._locker.place(node.locked, self._parent(node, by), way)
            if node.flake:
                return force(self._flake(place, node.inputs, way))
            self._mount(place.source)
            info = source_info(place.source)
            return {**info, "outPath": _path(place), "sourceInfo": info}

        return delay(make)

    def _parent(self, node: Locked, by: Place) -> Place:
        """Whose directory a relative path starts at: the flake that lock names, else the one that has the input."""
        if node.parent is None:
            return by
        parent = at(self._inputs, node.parent)
        if parent is None:
            return self._root
        return self._locker.place(parent.locked, self._root, node.parent) if isinstance(parent, Locked) else by


def source_info(source: Source) -> dict[str, Value]:
    """What a flake knows of its tree: `outPath`, `narHash`, `lastModified`, `rev` ..."""
    known = source.attributes
    info: dict[str, Value] = {
        "outPath": NixString(source.store_path, frozenset({source.store_path})),
        "narHash": sri(source.nar_sha256),
    }
    if "lastModified" in known:
        seconds = int(known["lastModified"])
        info["lastModified"] = seconds
        info["lastModifiedDate"] = time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds))
    if "rev" in known:
        info["rev"] = str(known["rev"])
        info["shortRev"] = str(known["rev"])[:7]
    for name in ("revCount", "dirtyRev", "dirtyShortRev"):
        if name in known:
            info[name] = known[name]
    if known.get("type") == "git":
        info["submodules"] = bool(known.get("submodules", False))
    return info


def _path(place: Place) -> NixString:
    return NixString(place.store_path, frozenset({place.source.store_path}))
