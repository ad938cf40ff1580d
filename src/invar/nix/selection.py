"""From a value to what a command line asks of it: `-A` paths, `--arg` values for functions, a printed form."""

from __future__ import annotations

from invar.nix.errors import NixError, NixMissingAttribute, NixTypeError, did_you_mean, nearest
from invar.nix.printer import print_value
from invar.nix.runtime import call, force, function_args
from invar.nix.values import Value, position_of, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal, TypeAlias

    Style: TypeAlias = Literal["nix", "json", "xml"]
else:
    Style = str


def split_path(path: str) -> list[str]:
    """ "a.b.\"c.d\"" as its parts; empty parts are left out, as Nix does. Raises NixError."""
    parts: list[str] = []
    part, quoted, seen_quote = "", False, False
    for char in path:
        if char == '"':
            quoted = not quoted
            seen_quote = True
        elif char == "." and not quoted:
            if part or seen_quote:
                parts.append(part)
            part, seen_quote = "", False
        else:
            part += char
    if quoted:
        raise NixError(f"missing closing quote in selection path '{path}'")
    if part or seen_quote:
        parts.append(part)
    return parts


def select(value: Value, path: str, arguments: Mapping[str, Value]) -> Value:
    """The value at a path of attributes and list indices; functions on the way are called with `arguments`.

    Raises NixError.
    """
    for step in split_path(path):
        value = with_arguments(force(value), arguments)
        if step.isdigit():
            if not isinstance(value, list):
                raise NixTypeError(
                    f"the expression selected by the selection path '{path}' should be a list but is {type_name(value)}"
                )
            if int(step) >= len(value):
                raise NixError(f"list index {step} in selection path '{path}' is out of range")
            value = value[int(step)]
        elif not isinstance(value, dict):
            raise NixTypeError(
                f"the expression selected by the selection path '{path}' should be a set but is {type_name(value)}"
            )
        elif step not in value:
            raise NixMissingAttribute(
                f"attribute '{step}' in selection path '{path}' not found",
                hint=did_you_mean(nearest(step, map(str, value))),
            )
        else:
            value = value[step]
    return force(value)


def with_arguments(value: Value, arguments: Mapping[str, Value]) -> Value:
    """A function with formals is called with those of `arguments` that it takes, as nix-instantiate does."""
    if isinstance(value, dict) and "__functor" in value:
        return with_arguments(force(call(value["__functor"], value)), arguments)
    formals = function_args(value)
    if not formals:
        return value
    given = {name: arguments[name] for name in formals if name in arguments}
    missing = [name for name, optional in formals.items() if not optional and name not in given]
    if missing:
        raise NixError(
            f"cannot evaluate a function that has an argument without a value ('{missing[0]}')",
            pos=position_of(formals, missing[0]),
            hint="Give it with '--arg' or '--argstr'.",
        )
    return call(value, dict(arguments) if _takes_anything(value) else given)


def _takes_anything(function: Value) -> bool:
    info = getattr(function, "info", None)
    return info is not None and bool(info.ellipsis)


def shown(value: Value, style: Style, *, strict: bool, locations: bool = True, like_nix: bool = False) -> str:
    """A value as text, with a line end. Raises NixError."""
    if style == "nix":
        return f"{print_value(value, strict=strict, like_nix=like_nix)}\n"
    from invar.nix.builtins.data import to_json, to_xml  # few commands need it

    if style == "json":
        return f"{to_json(value, None)}\n"
    return to_xml(value, locations=locations, strict=strict)
