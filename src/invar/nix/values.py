"""Nix values as Python objects: the classes that Python has no counterpart for, and the names of types.

null, booleans, integers, floats, strings without context, lists and attribute sets are plain Python values. An
attribute's position travels with its name: the names that a literal `{ a = 1; }` gives its attributes are fresh `str`
objects, registered in `site_names`, so that a set stays a plain `dict` and `//` or `mapAttrs` keep positions for free.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from `typing`: what evaluates cached code loads little of the standard library
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Value: TypeAlias = Any
else:
    Value = object
"""A Nix value, or a `Thunk` that becomes one."""

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1


class Pos:
    """A place in a source: `line` and `column` count from 1, columns in bytes, as Nix counts them."""

    __slots__ = ("column", "file", "line")

    def __init__(self, file: str, line: int, column: int) -> None:
        self.file = file
        self.line = line
        self.column = column

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pos):
            return NotImplemented
        return (self.file, self.line, self.column) == (other.file, other.line, other.column)

    def __hash__(self) -> int:
        return hash((self.file, self.line, self.column))

    def __repr__(self) -> str:
        return f"Pos({self.file!r}, {self.line}, {self.column})"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Thunk:
    """A value not yet evaluated: `code(data)` gives it. Once evaluated, `code` is None and `data` the value."""

    __slots__ = ("code", "data")

    code: Callable[[Any], Value] | None
    data: Any

    def __repr__(self) -> str:
        return "<thunk>" if self.code is not None else f"<thunk: {self.data!r}>"


class NixString(str):
    """A string with context: the store paths it refers to.

    Elements are `/nix/store/...` (a plain path), `!OUTPUT!DRV` (an output of a derivation) or `=DRV` (a derivation
    with all its outputs), as Nix 2 writes them.
    """

    __slots__ = ("context",)

    context: frozenset[str]

    def __new__(cls, text: str, context: frozenset[str]) -> NixString:
        made = super().__new__(cls, text)
        made.context = context
        return made

    def __add__(self, other: str) -> str:
        if not isinstance(other, str):
            return NotImplemented
        return NixString(str.__add__(self, other), self.context | context_of(other))

    def __radd__(self, other: str) -> str:
        if not isinstance(other, str):
            return NotImplemented
        return NixString(str.__add__(other, self), self.context | context_of(other))

    def __reduce__(self) -> Any:
        return NixString, (str(self), self.context)


class Path:
    """A path value: absolute and normalised."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"Path({self.path!r})"


class LambdaInfo:
    """What is known of a function's text. `formals` maps names to "has a default"; None where it takes any value."""

    __slots__ = ("argument", "ellipsis", "formals", "name", "pos")

    def __init__(
        self, name: str | None, argument: str | None, formals: dict[str, bool] | None, ellipsis: bool, pos: Pos | None
    ) -> None:
        self.name = name
        self.argument = argument
        self.formals = formals
        self.ellipsis = ellipsis
        self.pos = pos


class Lambda:
    """A function: `code(env, argument)` evaluates its body; `env` holds what it captured. See `Lambda2`, `Lambda3`."""

    __slots__ = ("code", "env")

    code: Callable[..., Value]
    env: Any

    @property
    def info(self) -> LambdaInfo | None:
        """Name, formals and position of what takes the next argument, or None where there is no text."""
        code, taken = self.code, 0
        if code is run_partial2 or code is run_partial31:
            code, taken = self.env[0].code, 1
        elif code is run_partial3:
            code, taken = self.env[0].code, 2
        infos: tuple[LambdaInfo, ...] = getattr(code, "infos", ())
        return infos[taken] if taken < len(infos) else None


class Lambda2(Lambda):
    """`a: b: body`, compiled as one: `code(env, a, b)`."""

    __slots__ = ()


class Lambda3(Lambda):
    """`a: b: c: body`, compiled as one: `code(env, a, b, c)`."""

    __slots__ = ()


def run_partial2(env: tuple[Lambda, Value], last: Value) -> Value:
    """Code of a two-argument function that has its first argument."""
    function, first = env
    return function.code(function.env, first, last)


def run_partial31(env: tuple[Lambda, Value], second: Value, last: Value) -> Value:
    """Code of a three-argument function that has its first argument."""
    function, first = env
    return function.code(function.env, first, second, last)


def run_partial3(env: tuple[Lambda, Value, Value], last: Value) -> Value:
    """Code of a three-argument function that has its first two arguments."""
    function, first, second = env
    return function.code(function.env, first, second, last)


class Primop:
    """A built-in function, perhaps partially applied: `fn` is called with `args` and the rest, unforced."""

    __slots__ = ("args", "arity", "fn", "name")

    def __init__(self, name: str, arity: int, fn: Callable[..., Value], args: tuple[Value, ...] = ()) -> None:
        self.name = name
        self.arity = arity
        self.fn = fn
        self.args = args

    def __repr__(self) -> str:
        return f"<primop {self.name}>"


class SiteNames:
    """Attribute names that know where they were written, by identity."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[str, Pos]] = {}

    def fresh(self, name: str, pos: Pos) -> str:
        """A `str` equal to `name` that is an object of its own, remembered as written at `pos`."""
        if len(name) > 1:
            made = name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
        else:
            made = "".ljust(1, name) if name else name
        if made is name or (len(made) == 1 and made is chr(ord(made))):
            return name
        self._places[id(made)] = (made, pos)
        return made

    def place(self, name: str) -> Pos | None:
        """Where this very name object was written."""
        found = self._places.get(id(name))
        return found[1] if found is not None else None


site_names = SiteNames()


def position_of(attrs: dict[str, Value], name: str) -> Pos | None:
    """Where `name` was defined in `attrs`, or None when it is absent or was made by code."""
    if name in attrs:
        for key in attrs:
            if key == name:
                return site_names.place(key)
    return None


def context_of(text: str) -> frozenset[str]:
    """The context of a string; empty for a plain one."""
    return text.context if isinstance(text, NixString) else frozenset()


def with_context(text: str, context: frozenset[str]) -> str:
    """`text` with exactly this context: a plain `str` when there is none."""
    return NixString(text, context) if context else text


TYPE_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "a Boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    NixString: "a string",
    Path: "a path",
    list: "a list",
    dict: "a set",
    Lambda: "a function",
    Lambda2: "a function",
    Lambda3: "a function",
    Thunk: "a thunk",
}


def type_name(value: Value) -> str:
    """The type of an evaluated value in Nix's words: "a set", "a string", "null" ..."""
    if isinstance(value, Primop):
        kind = "partially applied built-in function" if value.args else "built-in function"
        return f"the {kind} '{value.name}'"
    found = TYPE_NAMES.get(type(value))
    if found is None:
        found = "a set" if isinstance(value, dict) else "a string" if isinstance(value, str) else "an external value"
    if isinstance(value, NixString) and value.context:
        return "a string with context"
    return found
