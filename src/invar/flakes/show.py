"""What a flake has: its outputs as a tree with the kind of each, in the words of `nix flake show`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from invar.core.errors import InvarError
from invar.flakes.attributes import Attributes
from invar.nix import NixError, Value, force

TREES = frozenset({"apps", "checks", "devShells", "packages"})
"""Outputs with a set for each system."""

FLAT = {
    "nixosConfigurations": "nixos-configuration",
    "nixosModules": "nixos-module",
    "overlays": "nixpkgs-overlay",
    "templates": "template",
}
"""Outputs with names only, and the kind of what is there."""

PER_SYSTEM = frozenset({"defaultPackage", "devShell", "formatter", "defaultApp"})
SINGLE = {"overlay": "nixpkgs-overlay", "nixosModule": "nixos-module", "defaultTemplate": "template"}

Tree = dict[str, Any]
"""Nested names; a leaf is {"type": ..., "name"?: ..., "description"?: ..., "error"?: ...}."""


def outputs_tree(outputs: Value, *, legacy: bool = False) -> Tree:
    """The outputs of a flake. What fails to evaluate has an `error`. Names are sorted. Raises NixError."""
    value = force(outputs)
    return {str(name): _output(str(name), value[name], legacy) for name in sorted(value)}


def _output(name: str, value: Value, legacy: bool) -> Tree:
    if name in TREES:
        return _each(value, lambda of_system: _each(of_system, _app if name == "apps" else _derivation))
    if name == "legacyPackages":
        return _each(value, lambda _: {"type": "unknown"})
    if name in PER_SYSTEM:
        return _each(value, _app if name == "defaultApp" else _derivation)
    if name in FLAT:
        kind = FLAT[name]
        return _each(value, lambda one: _template(one) if kind == "template" else {"type": kind})
    return {"type": SINGLE.get(name, "unknown")}


def _each(value: Value, leaf: Callable[[Value], Tree]) -> Tree:
    def work() -> Tree:
        found = force(value)
        if not isinstance(found, dict):
            raise NixError("it is no attribute set")
        return {str(name): _or_error(lambda name=name: leaf(found[name])) for name in sorted(found)}  # type: ignore[misc]

    return _or_error(work)


def _or_error(work: Callable[[], Tree]) -> Tree:
    try:
        return work()
    except NixError as error:
        return {"type": "error", "error": error.message}
    except InvarError as error:
        return {"type": "error", "error": error.what}


def _derivation(value: Value) -> Tree:
    found = force(value)
    if not isinstance(found, dict) or "type" not in found or force(found["type"]) != "derivation":
        raise NixError("it is no derivation")
    leaf: Tree = {"type": "derivation", "name": str(force(found["name"]))}
    description = _description(found)
    return {**leaf, "description": description} if description else leaf


def _description(found: dict[Any, Value]) -> str | None:
    meta = force(found["meta"]) if "meta" in found else {}
    text = force(meta["description"]) if isinstance(meta, dict) and "description" in meta else None
    return str(text) if isinstance(text, str) else None


def _app(value: Value) -> Tree:
    found = force(value)
    if not isinstance(found, dict) or "type" not in found or force(found["type"]) != "app":
        raise NixError("it is no app")
    return {"type": "app"}


def _template(value: Value) -> Tree:
    found = force(value)
    return {"type": "template", "description": str(force(found["description"]))}


def tree_lines(tree: Tree, prefix: str = "") -> Iterator[str]:
    """The tree for people, a line an output."""
    names = list(tree)
    for name in names:
        last = name == names[-1]
        below = tree[name]
        branch = f"{prefix}{'└───' if last else '├───'}{name}"
        kind = below.get("type")
        if isinstance(kind, str):
            yield f"{branch}: {_leaf(kind, below)}"
        else:
            yield branch
            yield from tree_lines(below, prefix + ("    " if last else "│   "))


def _leaf(kind: str, leaf: Tree) -> str:
    if kind == "derivation":
        return f"package '{leaf['name']}'"
    if kind == "error":
        return f"error: {str(leaf['error']).splitlines()[0]}"
    words = {
        "nixos-configuration": "NixOS configuration",
        "nixos-module": "NixOS module",
        "nixpkgs-overlay": "Nixpkgs overlay",
        "template": f"template: {leaf.get('description')}",
    }
    return words.get(kind, kind)


def is_error(leaf: Tree) -> bool:
    """Whether a leaf could not be evaluated."""
    return leaf.get("type") == "error"


def leaves(tree: Tree, path: Attributes = ()) -> Iterator[tuple[Attributes, Tree]]:
    """Every output with its path."""
    for name, below in tree.items():
        if isinstance(below.get("type"), str):
            yield (*path, name), below
        else:
            yield from leaves(below, (*path, name))
