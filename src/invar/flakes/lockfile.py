"""flake.lock, version 7: the graph of inputs with what each was and what it is locked to, read and written as Nix does.

After "Lock files" in the manual of `nix flake`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.nix.fetching import TreeAttributes

VERSION = 7
LOCK_FILE = "flake.lock"


@dataclass(frozen=True, slots=True)
class Follows:
    """An input that is another one: the way to it from the root, by names of inputs. Empty: the root itself."""

    path: tuple[str, ...]


@dataclass(slots=True)
class Locked:
    """An input as it is locked, with its own inputs.

    `original` is what was asked for; both are attributes of `fetchTree`. `parent` is set for a path relative to the
    input (its way from the root) whose flake.nix names it.
    """

    original: dict[str, Any]
    locked: dict[str, Any]
    flake: bool = True
    inputs: dict[str, Edge] = field(default_factory=dict)
    parent: tuple[str, ...] | None = None


@dataclass(slots=True)
class Provided:
    """An input that the native engine gives. `kept` is what a lock file made by Nix says of it."""

    name: str
    original: dict[str, Any]
    kept: Locked | None = None
    inputs: dict[str, Edge] = field(default_factory=dict)


Edge = Locked | Follows | Provided
Inputs = dict[str, Edge]


def read_lock_file(path: Path) -> Inputs:
    """The inputs of the root. A missing file has none. Raises InvarError for what is no lock file of version 5 to 7."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvarError(f"{path} cannot be read", why=str(error)) from None
    try:
        data = json.loads(text)
        version = data["version"]
        if version not in (5, 6, VERSION):
            raise InvarError(f"{path} has version {version}", why="Invar reads versions 5 to 7 of flake.lock")
        return _Reader(data["nodes"]).inputs(data["root"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else f"no {error}"
        raise InvarError(
            f"{path} is no lock file of flakes",
            why=what,
            hint="take it from version control, or delete it and run `invar flake lock`",
        ) from None


def lock_text(inputs: Inputs) -> str:
    """The file's text: what Nix would write for the same graph."""
    return json.dumps(lock_data(inputs), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def lock_data(inputs: Inputs) -> dict[str, Any]:
    """The file's content. What the native engine provides is in it only where Nix had locked it before."""
    return _Writer().data(inputs)


def at(inputs: Inputs, path: tuple[str, ...]) -> Edge | None:
    """The input at a way from the root, through what is followed; None for the root. Raises InvarError."""
    here: Edge | None = None
    below = inputs
    for index, name in enumerate(path):
        if name not in below:
            raise InvarError(
                f"an input follows '{'/'.join(path)}', which is no input",
                hint=f"known there: {', '.join(sorted(below)) or 'none'}",
            )
        here = below[name]
        seen = 0
        while isinstance(here, Follows):
            seen += 1
            if seen > 100 or here.path == path[: index + 1]:
                raise InvarError(f"the input '{'/'.join(path)}' follows itself")
            here = at(inputs, here.path)
        below = inputs if here is None else here.inputs
    return here


class _Reader:
    def __init__(self, nodes: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._made: dict[str, Locked] = {}

    def inputs(self, key: str) -> Inputs:
        found: Inputs = {}
        for name, target in self._nodes[key].get("inputs", {}).items():
            found[name] = Follows(tuple(target)) if isinstance(target, list) else self._locked(target)
        return found

    def _locked(self, key: str) -> Locked:
        if key in self._made:
            return self._made[key]
        node = self._nodes[key]
        parent = node.get("parent")
        made = Locked(
            dict(node["original"]),
            dict(node.get("locked") or node["original"]),
            bool(node.get("flake", True)),
            parent=tuple(parent) if parent is not None else None,
        )
        self._made[key] = made
        made.inputs = self.inputs(key)
        return made


class _Writer:
    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, Any]] = {}
        self._keys: dict[int, str] = {}

    def data(self, inputs: Inputs) -> dict[str, Any]:
        root: dict[str, Any] = {}
        self._nodes["root"] = root
        edges = self._edges(inputs)
        if edges:
            root["inputs"] = edges
        return {"nodes": self._nodes, "root": "root", "version": VERSION}

    def _edges(self, inputs: Inputs) -> dict[str, Any]:
        edges: dict[str, Any] = {}
        for name, edge in sorted(inputs.items()):
            if isinstance(edge, Follows):
                edges[name] = list(edge.path)
                continue
            node = edge.kept if isinstance(edge, Provided) else edge
            if node is not None:
                edges[name] = self._key(name, node)
        return edges

    def _key(self, name: str, node: Locked) -> str:
        if id(node) in self._keys:
            return self._keys[id(node)]
        key, number = name, 1
        while key in self._nodes:
            number += 1
            key = f"{name}_{number}"
        self._keys[id(node)] = key
        written: dict[str, Any] = {}
        self._nodes[key] = written
        edges = self._edges(node.inputs)
        if edges:
            written["inputs"] = edges
        if not node.flake:
            written["flake"] = False
        written["locked"] = node.locked
        written["original"] = node.original
        if node.parent is not None:
            written["parent"] = list(node.parent)
        return key


def same_original(one: TreeAttributes, other: TreeAttributes) -> bool:
    """Whether two inputs ask for the same. Nix before 2.14 left `dir` in the URL too."""
    return _plain(one) == _plain(other)


def _plain(attributes: TreeAttributes) -> dict[str, Any]:
    suffix = f"?dir={attributes['dir']}" if "dir" in attributes else ""
    if suffix and str(attributes.get("url", "")).endswith(suffix):
        return {**attributes, "url": str(attributes["url"]).removesuffix(suffix)}
    return dict(attributes)
