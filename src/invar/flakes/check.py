"""Whether all outputs of a flake are what their names say, and whether its configurations evaluate to systems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.flakes.attributes import Attributes, find, show
from invar.flakes.flake import Flake, open_flake
from invar.flakes.show import Tree, is_error, leaves, outputs_tree
from invar.flakes.target import configuration_part, open_target
from invar.nix import Lambda, NixError, Value, force, type_name
from invar.nix.values import Primop
from invar.nixos.names import EmptyUniverse, Universe


@dataclass(frozen=True, slots=True)
class Checked:
    """One output: its path, its kind, and what is wrong with it."""

    path: str
    kind: str
    error: InvarError | None


def check_flake(flake: Flake, report: Report, universe_at: Callable[[Path], Universe]) -> Iterator[Checked]:
    """Every output, evaluated; configurations and their images down to the System, under their locks."""
    tree: Tree = flake.explained(lambda: outputs_tree(_outputs(flake)))
    for path, leaf in leaves(tree):
        yield Checked(show(path), str(leaf["type"]), _fault(flake, path, leaf, report, universe_at))


def _outputs(flake: Flake) -> Value:
    return force(flake.value)["outputs"]


def _fault(
    flake: Flake, path: Attributes, leaf: Tree, report: Report, universe_at: Callable[[Path], Universe]
) -> InvarError | None:
    try:
        if is_error(leaf):
            flake.explained(lambda: find(flake.value, [path], what=flake.name))
            return InvarError(flake.readable(str(leaf["error"])), where=show(path))
        flake.explained(lambda: _expect(flake, path, str(leaf["type"])))
        if flake.explained(lambda: _is_configuration(flake, path)):
            again = open_flake(flake.reference, flake.settings, report)
            target = open_target(again, f".{show(path)}")
            universe = universe_at(target.lock) if target.lock.exists() else EmptyUniverse()
            target.evaluate(universe, report)
    except InvarError as error:
        return error
    return None


def _is_configuration(flake: Flake, path: Attributes) -> bool:
    return configuration_part(find(flake.value, [path], what=flake.name).value) is not None


def _expect(flake: Flake, path: Attributes, kind: str) -> None:
    """What Nix asks of an output of a kind. Raises NixError."""
    value = find(flake.value, [path], what=flake.name).value
    if kind == "nixpkgs-overlay" and not isinstance(value, (Lambda, Primop)):
        raise NixError(f"overlay '{show(path)}' is {type_name(value)} while a function is expected")
    if kind == "nixos-module" and not isinstance(value, (Lambda, Primop, dict)) and type_name(value) != "a path":
        raise NixError(f"module '{show(path)}' is {type_name(value)} while a function, a set or a path is expected")
    if kind == "nixos-configuration" and configuration_part(value) is None:
        raise NixError(f"'{show(path)}' is {type_name(value)} and no NixOS configuration")
