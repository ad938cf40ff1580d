"""Values as text, the way `nix-instantiate --eval` prints them: lazily or strictly, also as JSON and XML."""

from __future__ import annotations

import re
from typing import Any

from invar.nix.runtime import deep_force
from invar.nix.values import Lambda, Path, Primop, Thunk, Value

_ESCAPED = re.compile(r'["\\\n\r\t]|\$(?=\{)')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "$": "\\$"}
_PLAIN = re.compile(r"[a-zA-Z_][a-zA-Z0-9_'\-]*")
_RESERVED = frozenset({"if", "then", "else", "assert", "with", "let", "in", "rec", "inherit", "or"})


def quote(text: str) -> str:
    """A Nix string literal of `text`."""
    return '"' + _ESCAPED.sub(lambda m: _ESCAPES[m.group()], str(text)) + '"'


def format_float(value: float) -> str:
    """A float with six significant digits, as C's `%g` and Nix print it."""
    return f"{value:g}"


def print_value(value: Value, *, strict: bool = False) -> str:
    """`value` on one line. Not yet evaluated parts are `<CODE>` unless `strict`; cycles are «repeated»."""
    if strict:
        value = deep_force(value)
    return "".join(_Printer().pieces(value))


class _Printer:
    def __init__(self) -> None:
        self.inside: set[int] = set()
        self.out: list[str] = []

    def pieces(self, value: Value) -> list[str]:
        self._print(value)
        return self.out

    def _print(self, value: Value) -> None:
        if type(value) is Thunk:
            if value.code is not None:
                self.out.append("<CODE>")
                return
            value = value.data
        if isinstance(value, (list, dict)):
            self._container(value)
        else:
            self.out.append(print_scalar(value))

    def _container(self, value: Any) -> None:
        if value and id(value) in self.inside:
            self.out.append("«repeated»")
            return
        self.inside.add(id(value))
        if isinstance(value, list):
            self.out.append("[ ")
            for item in value:
                self._print(item)
                self.out.append(" ")
            self.out.append("]")
        else:
            self.out.append("{ ")
            for name in sorted(value):
                self.out.append(f"{attribute_name(name)} = ")
                self._print(value[name])
                self.out.append("; ")
            self.out.append("}")
        self.inside.discard(id(value))


def attribute_name(name: str) -> str:
    """A name as it stands before `=`."""
    return str(name) if _PLAIN.fullmatch(name) and name not in _RESERVED else quote(name)


def print_scalar(value: Value) -> str:
    """Anything but lists and sets."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(value)
    if type(value) is float:
        return format_float(value)
    if type(value) is Path:
        return value.path
    if isinstance(value, Lambda):
        return "<LAMBDA>"
    if isinstance(value, Primop):
        return "<PRIMOP-APP>" if value.args else "<PRIMOP>"
    return str(value)
