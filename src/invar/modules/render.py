"""Option paths, values and definitions as text, for messages and for `showOption` and `showDefs`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from invar.modules.functions import is_function
from invar.modules.properties import Definition
from invar.nix.errors import NixError
from invar.nix.runtime import force, function_args
from invar.nix.values import Path, Pos, Value

UNKNOWN_FILE = "<unknown-file>"

_IDENTIFIER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_'-]*\Z")
_KEYWORDS = frozenset({"assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"})
_MAX_LINES = 5
_MAX_WIDTH = 160
_MAX_DEPTH = 5
_MAX_DEFINITIONS = 10


def show_option(loc: Sequence[str]) -> str:
    """An option's path as one would write it; `*`, `<name>` and such stay bare."""
    return ".".join(part if part == "*" or (part[:1] == "<" and part[-1:] == ">") else quote_name(part) for part in loc)


def quote_name(name: str) -> str:
    """An attribute name, quoted when it needs to be."""
    if _IDENTIFIER.match(name) and name not in _KEYWORDS:
        return name
    return quote_string(name)


def quote_string(text: str) -> str:
    """A Nix string literal on one line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


def show_value(value: Value, depth: int = 0) -> str:
    """A Nix value as text, forced no deeper than it is shown; a value that fails shows as `<error>`."""
    try:
        value = force(value)
        return _show_forced(value, depth)
    except NixError:
        return "<error>"


def _show_forced(value: Value, depth: int) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return quote_string(value)
    if isinstance(value, Path):
        return value.path
    if isinstance(value, list):
        return _enclosed("[", [show_value(item, depth + 1) for item in value], "]", depth)
    if is_function(value):
        arguments = function_args(value)
        return f"<function, args: {{{', '.join(sorted(arguments))}}}>" if arguments else "<function>"
    if isinstance(value, dict):
        if "type" in value and force(value["type"]) == "derivation":
            return f"<derivation {force(value['name']) if 'name' in value else '???'}>"
        items = [f"{quote_name(name)} = {show_value(value[name], depth + 1)};" for name in sorted(value)]
        return _enclosed("{", items, "}", depth)
    return f"<{type(value).__name__.lower()}>"


def _enclosed(opening: str, items: list[str], closing: str, depth: int) -> str:
    if not items:
        return f"{opening} {closing}"
    if depth >= _MAX_DEPTH:
        return f"{opening} ... {closing}"
    line = f"{opening} {' '.join(items)} {closing}"
    if len(line) <= 72 and "\n" not in line:
        return line
    indented = "\n".join("  " + item.replace("\n", "\n  ") for item in items)
    return f"{opening}\n{indented}\n{closing}"


def show_place(file: str, position: Pos | None) -> str:
    """`file:line` of a definition; both the module and the file where it is written when they are not the same."""
    if position is None or not position.file:
        return f"`{file}'"
    written = f"`{position.file}:{position.line}'"
    if file in (position.file, UNKNOWN_FILE):
        return written
    return f"`{file}' (written in {written})"


def show_definitions(definitions: Iterable[Definition]) -> str:
    """A line "- In `file:line': value" for each definition, each starting with a line break."""
    shown = list(definitions)
    lines = []
    for definition in shown[:_MAX_DEFINITIONS]:
        value = show_value(definition.value).split("\n")
        if len(value) > _MAX_LINES:
            value = [*value[:_MAX_LINES], "..."]
        value = [line if len(line) <= _MAX_WIDTH else line[: _MAX_WIDTH - 3] + "..." for line in value]
        separator = "\n    " if len(value) > 1 else " "
        lines.append(f"\n- In {show_place(definition.file, definition.position())}:{separator}" + "\n    ".join(value))
    if len(shown) > _MAX_DEFINITIONS:
        lines.append(f"\n- and {len(shown) - _MAX_DEFINITIONS} more")
    return "".join(lines)


def show_files(files: Iterable[str]) -> str:
    """File names in quotes, joined with "and"."""
    return " and ".join(f"`{file}'" for file in files)
