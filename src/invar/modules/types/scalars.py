"""Types of single values: booleans, numbers, strings, paths, packages, and those that accept anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from invar.modules.merge import Loc, join_strings, merge_default, merge_equal, merge_one, unite
from invar.modules.properties import Definition
from invar.modules.render import quote_string
from invar.modules.types.base import OptionType
from invar.nix.coerce import coerce_to_string
from invar.nix.ere import compiled_ere
from invar.nix.runtime import force
from invar.nix.values import NixString, Path, Value, context_of, type_name

STORE: Final = "/nix/store"
_STORE_PATH = re.compile(r"/nix/store/[0-9a-z]{32}-[0-9a-zA-Z+\-._?=]+\Z")

Check = Callable[[Value], bool]
Merge = Callable[[Loc, list[Definition]], Value]


class ScalarType(OptionType):
    """A type given by a check and a merge."""

    def __init__(
        self, name: str, description: str, check: Check, merge: Merge = merge_equal, kind: str | None = "noun"
    ) -> None:
        super().__init__()
        self.name = name
        self.description = description
        self.description_class = kind
        self.check = check  # type: ignore[method-assign, assignment]
        self.merge = merge  # type: ignore[method-assign, assignment]

    def merge_type(self, other: OptionType) -> OptionType | None:
        """Types of one name are one type."""
        return self if self.name == other.name else None


class EnumType(OptionType):
    """One of several values."""

    name = "enum"
    description_class = "conjunction"

    def __init__(self, values: list[Value]) -> None:
        super().__init__()
        self.values = [force(value) for value in values]
        self._strings = frozenset(value for value in self.values if isinstance(value, str))
        self._others = [value for value in self.values if not isinstance(value, str)]
        shown = [_show_choice(value) for value in self.values]
        if not shown:
            self.description = "impossible (empty enum)"
        elif len(shown) == 1:
            self.description = f"value {shown[0]} (singular enum)"
        else:
            self.description = f"one of {', '.join(shown)}"
        self.description_class = "conjunction" if len(shown) > 1 else "noun"

    def check(self, value: Value) -> bool:
        """Whether the value is among the choices."""
        if isinstance(value, str):
            return value in self._strings
        return any(value.__class__ is one.__class__ and value == one for one in self._others)

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """All definitions must be equal."""
        return merge_equal(loc, definitions)

    def merge_type(self, other: OptionType) -> OptionType | None:
        """Two enums make one of all their choices."""
        if not isinstance(other, EnumType):
            return None
        return EnumType(self.values + [value for value in other.values if not self.check(value)])

    def payload(self) -> dict[str, Value]:
        """The choices."""
        return {"values": self.values}


class SeparatedString(OptionType):
    """Strings joined with a separator."""

    name = "separatedString"
    description_class = "noun"

    def __init__(self, separator: str) -> None:
        super().__init__()
        self.separator = separator
        self.description = (
            f"strings concatenated with {quote_string(separator)}" if separator else "Concatenated string"
        )

    def check(self, value: Value) -> bool:
        """Whether it is a string."""
        return isinstance(value, str)

    def merge(self, loc: Loc, definitions: list[Definition]) -> Value:
        """All definitions, joined."""
        return join_strings(self.separator, [force(definition.value) for definition in definitions])

    def merge_type(self, other: OptionType) -> OptionType | None:
        """Only with the same separator."""
        return self if isinstance(other, SeparatedString) and other.separator == self.separator else None

    def payload(self) -> dict[str, Value]:
        """The separator."""
        return {"sep": self.separator}


def _show_choice(value: Value) -> str:
    if isinstance(value, str):
        return quote_string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return f"<{type_name(value)}>"


# --- checks ---------------------------------------------------------------------------------------------------------


def is_bool(value: Value) -> bool:
    """true or false."""
    return value is True or value is False


def is_int(value: Value) -> bool:
    """An integer (no boolean)."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_string(value: Value) -> bool:
    """A string."""
    return isinstance(value, str)


def is_string_like(value: Value) -> bool:
    """A string, a path, or a set that converts to a string."""
    return isinstance(value, (str, Path)) or (isinstance(value, dict) and ("outPath" in value or "__toString" in value))


def is_derivation(value: Value) -> bool:
    """A set with `type = "derivation"`."""
    return isinstance(value, dict) and "type" in value and force(value["type"]) == "derivation"


def path_text(value: Value) -> str | None:
    """The text of something string-like, else None."""
    if isinstance(value, str):
        return value
    if isinstance(value, Path):
        return value.path
    return str(coerce_to_string(value)) if is_string_like(value) else None


def is_absolute_path(value: Value) -> bool:
    """String-like and starting with a slash."""
    text = path_text(value)
    return text is not None and text[:1] == "/"


def is_store_path(value: Value) -> bool:
    """String-like and directly below the store."""
    text = path_text(value)
    return text is not None and _STORE_PATH.match(text) is not None


def is_in_store(value: Value) -> bool:
    """String-like and somewhere below the store."""
    text = path_text(value)
    return text is not None and re.match(r"/nix/store/[^.].*", text, re.DOTALL) is not None


def is_package(value: Value) -> bool:
    """A derivation, or the path of one."""
    return is_derivation(value) or is_store_path(value)


def any_value(value: Value) -> bool:
    """Everything."""
    return True


# --- the types ------------------------------------------------------------------------------------------------------


def _merge_or(loc: Loc, definitions: list[Definition]) -> Value:
    return any(force(definition.value) for definition in definitions)


def _merge_attrs(loc: Loc, definitions: list[Definition]) -> Value:
    if len(definitions) == 1:
        return definitions[0].value
    return unite([force(definition.value) for definition in definitions])


def _merge_single_line(loc: Loc, definitions: list[Definition]) -> Value:
    value = merge_equal(loc, definitions)
    return value if value[-1:] != "\n" else type(value)(value[:-1])


def _merge_package(loc: Loc, definitions: list[Definition]) -> Value:
    value = force(merge_one(loc, definitions))
    if isinstance(value, Path) or (isinstance(value, str) and not context_of(value)):
        return _stored_package(path_text(value) or "")
    return value


def _stored_package(path: str) -> dict[str, Value]:
    """What stands for a package of which only the store path is known."""
    package: dict[str, Value] = {
        "type": "derivation",
        "name": path[len(STORE) + 34 :],
        "outPath": NixString(path, frozenset({path})),
        "outputs": ["out"],
        "outputName": "out",
    }
    package["out"] = package
    return package


def path_with(in_store: bool | None, absolute: bool | None) -> OptionType:
    """Paths that are absolute or not, in the store or not; None leaves it open."""
    words = "absolute path" if absolute else "relative path" if absolute is False else "path"
    place = " in the Nix store" if in_store else " not in the Nix store" if in_store is False else ""

    def check(value: Value) -> bool:
        text = path_text(value)
        return (
            text is not None
            and (absolute is None or (text[:1] == "/") == absolute)
            and (in_store is None or is_in_store(value) == in_store)
        )

    return ScalarType("path", words + place, check)


bool_type: Final = ScalarType("bool", "boolean", is_bool)
bool_by_or: Final = ScalarType("boolByOr", "boolean (merged using or)", is_bool, _merge_or)
int_type: Final = ScalarType("int", "signed integer", is_int)
float_type: Final = ScalarType("float", "floating point number", lambda value: isinstance(value, float))
str_type: Final = ScalarType("str", "string", is_string)
non_empty_str: Final = ScalarType(
    "nonEmptyStr", "non-empty string", lambda value: isinstance(value, str) and value.strip(" \t\n") != ""
)
single_line_str: Final = ScalarType(
    "singleLineStr",
    "(optionally newline-terminated) single-line string",
    lambda value: isinstance(value, str) and re.fullmatch(r"[^\n\r]*\n?", value) is not None,
    _merge_single_line,
)
attrs_type: Final = ScalarType("attrs", "attribute set", lambda value: isinstance(value, dict), _merge_attrs, None)
path_type: Final = path_with(None, True)
path_in_store: Final = ScalarType("pathInStore", "path in the Nix store", is_in_store)
external_path: Final = ScalarType(
    "externalPath",
    "absolute path not in the Nix store",
    lambda value: is_absolute_path(value) and not is_in_store(value),
)
package_type: Final = ScalarType("package", "package", is_package, _merge_package)
shell_package: Final = ScalarType(
    "shellPackage", "package that is a shell", lambda value: is_derivation(value) and "shellPath" in value, merge_one
)
pkgs_type: Final = ScalarType(
    "pkgs",
    "Nixpkgs package set",
    lambda value: isinstance(value, dict) and "_type" in value and force(value["_type"]) == "pkgs",
    lambda loc, definitions: merge_one(loc, definitions, "A Nixpkgs pkgs set can not be merged with another pkgs set."),
)
raw_type: Final = ScalarType("raw", "raw value", any_value, merge_one)
unspecified_type: Final = ScalarType("unspecified", "unspecified value", any_value, merge_default)
lua_inline: Final = ScalarType(
    "luaInline",
    "inline Lua",
    lambda value: isinstance(value, dict) and "_type" in value and force(value["_type"]) == "lua-inline",
    merge_one,
)
attrs_type.empty_value = ({},)


def int_between(name: str, description: str, low: int | None, high: int | None) -> OptionType:
    """Integers from `low` to `high`, both included; None is no limit."""
    return ScalarType(
        name,
        description,
        lambda value: is_int(value) and (low is None or value >= low) and (high is None or value <= high),
        kind="nonRestrictiveClause" if ", meaning" in description else "noun",
    )


def number_where(name: str, description: str, holds: Check) -> OptionType:
    """Integers and floating point numbers for which `holds`."""
    return ScalarType(
        name,
        description,
        lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and holds(value),
        kind="nonRestrictiveClause" if ", meaning" in description else "conjunction",
    )


def between(low: Value, high: Value) -> str:
    """How a range reads."""
    return f"between {low} and {high} (both inclusive)"


def str_matching(pattern: str) -> OptionType:
    """Strings that a POSIX extended regular expression matches as a whole."""
    compiled = compiled_ere(pattern)
    return ScalarType(
        f"strMatching {quote_string(pattern)}",
        f"string matching the pattern {pattern}",
        lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None,
    )
