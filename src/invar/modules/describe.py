"""What is to be said of one option: type, default, description, value, and each definition with place and priority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from invar.modules.render import quote_name, show_value
from invar.nix.builtins.data import to_json
from invar.nix.errors import NixError, NixMissingAttribute, did_you_mean, nearest
from invar.nix.runtime import force
from invar.nix.values import Value

PRIORITY_WORDS = {
    1500: "the option's default",
    1000: "mkDefault",
    100: "plain",
    60: "image media",
    50: "mkForce",
    10: "VM",
}


@dataclass(frozen=True, slots=True)
class DefinitionText:
    """One definition: where (`file:line`), how strong (lowest wins), whether it counts, and its value as text."""

    where: str
    priority: int
    used: bool
    value: str


@dataclass(frozen=True, slots=True)
class OptionText:
    """An option, everything as text; None where there is none. `fault` says why there is no value."""

    name: str
    type: str
    default: str | None
    example: str | None
    description: str | None
    declared: tuple[str, ...]
    value: str | None
    fault: str | None
    definitions: tuple[DefinitionText, ...]


def find_option(options: Value, path: Sequence[str]) -> Value:
    """The option, or set of options, at a path. Raises NixMissingAttribute."""
    here = force(options)
    seen: list[str] = []
    for name in path:
        if is_option(here) or name not in here:
            inside = {} if is_option(here) else here
            where = ".".join(map(quote_name, seen))
            what = f"the option '{where}' has no options below it" if is_option(here) else "no such option"
            near = [] if seen else [one for one in names_below(options, []) if one.endswith(f".{_joined(path)}")][:3]
            near += [_joined([*seen, *_continued(inside, one, path[len(seen) + 1 :])]) for one in nearest(name, inside)]
            raise NixMissingAttribute(f"{what}: '{'.'.join(path)}'", hint=did_you_mean(near[:3]))
        here = force(here[name])
        seen.append(name)
    return here


def _joined(path: Sequence[str]) -> str:
    return ".".join(quote_name(str(name)) for name in path)


def _continued(options: dict[str, Value], name: str, rest: Sequence[str]) -> list[str]:
    """`name` with as much of the rest of the path as is there below it, or something near it."""
    here, found = force(options[name]), [name]
    for step in rest:
        if is_option(here) or not (near := [step] if step in here else nearest(step, map(str, here), count=1)):
            break
        here = force(here[near[0]])
        found += near
    return found


def is_option(value: Value) -> bool:
    """Whether this is an option and not a set of options."""
    return isinstance(value, dict) and value.get("_type") == "option"


def names_below(options: Value, path: Sequence[str], *, hidden: bool = False) -> list[str]:
    """The full names of all options below a path, sorted. Raises NixError."""
    found: list[str] = []
    todo = [(list(path), find_option(options, path))]
    while todo:
        at, here = todo.pop()
        if is_option(here):
            if hidden or not _flag(here, "internal"):
                found.append(".".join(map(quote_name, at)))
        elif isinstance(here, dict):
            todo += [([*at, str(name)], force(value)) for name, value in here.items() if name != "_module"]
    return sorted(found)


def describe(option: Value) -> OptionText:
    """Everything about an option. Raises NixError where its declaration is wrong; a faulty value is told as `fault`."""
    value = fault = None
    definitions: list[DefinitionText] = []
    try:
        definitions = [_definition(force(one)) for one in force(option["definitionsWithPriorities"])]
        value = show_value(option["value"])
    except NixError as error:
        fault = str(error).splitlines()[0]
    declared = tuple(
        f"{force(one)['file']}:{force(one)['line']}" for one in force(option["declarationPositions"]) if one
    )
    return OptionText(
        ".".join(quote_name(str(name)) for name in force(option["loc"])),
        str(force(force(option["type"])["description"])),
        _literal(option, "defaultText") or _literal(option, "default"),
        _literal(option, "example"),
        _text(option, "description"),
        declared or tuple(str(force(file)) for file in force(option["declarations"])),
        value,
        fault,
        tuple(definitions),
    )


def option_json(option: Value) -> Any:
    """The value of an option as JSON text, or None where it has none that JSON can hold."""
    try:
        return str(to_json(option["value"], None))
    except NixError:
        return None


def _definition(one: dict[str, Value]) -> DefinitionText:
    position = force(one["position"])
    where = str(force(one["file"])) if position is None else f"{force(position['file'])}:{force(position['line'])}"
    return DefinitionText(where, int(force(one["priority"])), bool(force(one["used"])), show_value(one["value"]))


def _flag(option: dict[str, Value], name: str) -> bool:
    return name in option and force(option[name]) is True


def _literal(option: dict[str, Value], name: str) -> str | None:
    if name not in option:
        return None
    try:
        value = force(option[name])
        if isinstance(value, dict) and force(value.get("_type")) in (
            "literalExpression",
            "literalMD",
            "literalExample",
        ):
            return str(force(value["text"])).strip()
        return show_value(value)
    except NixError as error:
        return f"<{str(error).splitlines()[0]}>"


def _text(option: dict[str, Value], name: str) -> str | None:
    if name not in option or (value := force(option[name])) is None:
        return None
    return str(force(value["text"]) if isinstance(value, dict) else value).strip()
