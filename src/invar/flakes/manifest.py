"""What a flake.nix says before anything of it is called: its description, its inputs, and what `outputs` takes.

After "Flake format" and "Flake inputs" in the manual of `nix flake`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from invar.nix import (
    Evaluator,
    NixError,
    NixTypeError,
    Path,
    Value,
    did_you_mean,
    force,
    function_args,
    nearest,
    position_of,
    type_name,
)
from invar.nix.input_urls import parse_input_url

KNOWN = frozenset({"description", "inputs", "outputs", "nixConfig", "edition"})
SCALARS = (str, int, bool)


@dataclass(frozen=True, slots=True)
class Input:
    """One input as it is declared. `reference` are attributes of `fetchTree`; None where it only `follows`.

    `follows` is a way of input names from the flake that declares it. `inputs` are those of this input's own inputs
    that are declared here.
    """

    reference: Mapping[str, Any] | None
    flake: bool = True
    follows: tuple[str, ...] | None = None
    inputs: Mapping[str, Input] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A flake.nix. `value` is the whole set, `settings` its `nixConfig`."""

    path: str
    description: str | None
    inputs: Mapping[str, Input]
    outputs: Value
    settings: Mapping[str, Any]


def read_manifest(evaluator: Evaluator, directory: str) -> Manifest:
    """The manifest of the flake at `directory`, a path that the evaluator can read. Raises NixError."""
    path = f"{directory}/flake.nix"
    if not evaluator.exists(path):
        raise NixError(f"path '{path}' does not exist: there is no flake.nix", hint=_untracked(evaluator, path))
    value = evaluator.import_file(path)
    if not isinstance(value, dict):
        raise NixTypeError(f"file '{path}' must be an attribute set, not {type_name(value)}")
    for name in value:
        if name not in KNOWN:
            raise NixError(
                f"flake '{path}' has an unsupported attribute '{name}'",
                position_of(value, name),
                hint=did_you_mean(nearest(name, KNOWN)),
            )
    if "outputs" not in value:
        raise NixError(f"flake '{path}' lacks attribute 'outputs'")
    outputs = force(value["outputs"])
    formals = function_args(outputs)
    if formals is None:
        raise NixTypeError(
            f"flake '{path}': 'outputs' is {type_name(outputs)} while a function is expected",
            position_of(value, "outputs"),
        )
    inputs = _inputs(force(value["inputs"]) if "inputs" in value else {}, path)
    for name in formals:
        if name != "self" and name not in inputs:
            inputs[name] = Input({"type": "indirect", "id": name})
    description = _expect(value["description"], str, f"flake '{path}': description") if "description" in value else None
    settings = force(value["nixConfig"]) if "nixConfig" in value else {}
    return Manifest(path, description, inputs, outputs, settings)


def _untracked(evaluator: Evaluator, path: str) -> str | None:
    try:
        evaluator.place(path)
    except NixError as error:
        return error.hint
    return None


def _inputs(value: Value, path: str) -> dict[str, Input]:
    declared = _expect(value, dict, f"flake '{path}': inputs")
    return {str(name): _input(str(name), force(declared[name]), path, top=True) for name in sorted(declared)}


def _input(name: str, value: Value, path: str, *, top: bool) -> Input:
    where = f"flake '{path}': input '{name}'"
    declared = _expect(value, dict, where)
    reference: dict[str, Any] = {}
    url: str | None = None
    flake, follows = True, None
    inputs: dict[str, Input] = {}
    for key in declared:
        item = force(declared[key])
        if key == "url":
            url = item.path if isinstance(item, Path) else str(_expect(item, str, f"{where}: url"))
        elif key == "flake":
            flake = _expect(item, bool, f"{where}: flake")
        elif key == "follows":
            follows = tuple(part for part in str(_expect(item, str, f"{where}: follows")).split("/") if part)
        elif key == "inputs":
            inside = _expect(item, dict, f"{where}: inputs")
            inputs = {str(one): _input(str(one), force(inside[one]), path, top=False) for one in sorted(inside)}
        elif isinstance(item, SCALARS):
            reference[str(key)] = str(item) if isinstance(item, str) else item
        elif isinstance(item, Path):
            reference[str(key)] = item.path
        else:
            raise NixTypeError(
                f"{where}: attribute '{key}' is {type_name(item)} while a string, Boolean, or integer is expected",
                position_of(declared, key),
            )
    if "type" in reference:
        if url is not None:
            reference["url"] = url
        return Input(reference, flake, None, inputs)
    if reference:
        unexpected = min(reference)
        raise NixError(
            f"{where}: unexpected attribute '{unexpected}'",
            position_of(declared, unexpected),
            hint=did_you_mean(nearest(unexpected, ("url", "flake", "follows", "inputs", "type"))),
        )
    if url is not None:
        return Input(input_reference(url), flake, follows, inputs)
    if follows is None and top:
        return Input({"type": "indirect", "id": name}, flake, None, inputs)
    return Input(None, flake, follows, inputs)


def input_reference(url: str) -> dict[str, Any]:
    """Attributes of an input's URL; "./x" and "/x" are paths. Raises NixError."""
    if url.startswith(("./", "../", "/")) or url in (".", ".."):
        url = f"path:{url}"
    return parse_input_url(url)


def _expect(value: Value, kind: type, what: str) -> Any:
    found = force(value)
    if not isinstance(found, kind):
        wanted = {str: "a string", bool: "a Boolean", dict: "a set"}[kind]
        raise NixTypeError(f"{what} is {type_name(found)} while {wanted} is expected")
    return found
