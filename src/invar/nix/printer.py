"""Values as text, the way `nix-instantiate --eval` prints them: lazily or strictly, also as JSON and XML."""

from __future__ import annotations

from invar.nix.runtime import deep_force
from invar.nix.stack import with_big_stack
from invar.nix.values import Lambda, Path, Primop, Thunk, Value, site_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("${", "\\${"))
_RESERVED = frozenset({"if", "then", "else", "assert", "with", "let", "in", "rec", "inherit"})


def quote(text: str) -> str:
    """A Nix string literal of `text`."""
    text = str(text)
    for char, escaped in _ESCAPES:
        text = text.replace(char, escaped)
    return f'"{text}"'


def format_float(value: float) -> str:
    """A float with six significant digits, as C's `%g` and Nix print it."""
    return f"{value:g}"


def print_value(value: Value, *, strict: bool = False, like_nix: bool = False) -> str:
    """`value` on one line. Not yet evaluated parts are `<CODE>` unless `strict`; what was printed is «repeated».

    The compiler builds small inner lists, sets and functions at once where Nix would wait: with `like_nix` these are
    `<CODE>` too.
    """
    if strict:
        value = deep_force(value)
    if isinstance(value, (list, dict)):
        return "".join(with_big_stack(_Printer(like_nix and not strict).pieces, value))
    return "".join(_Printer(like_nix).pieces(value))


class _Printer:
    def __init__(self, like_nix: bool) -> None:
        self.like_nix = like_nix
        self.seen: set[int] = set()
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
        if value and id(value) in self.seen:
            self.out.append("«repeated»")
            return
        self.seen.add(id(value))
        if isinstance(value, list):
            self.out.append("[ ")
            for item in value:
                self._member(item, in_literal=True)
                self.out.append(" ")
            self.out.append("]")
        else:
            places = {name: site_names.place(name) for name in value} if self.like_nix else {}
            self.out.append("{ ")
            for name in sorted(value):
                self.out.append(f"{attribute_name(name)} = ")
                self._member(value[name], in_literal=places.get(name) is not None)
                self.out.append("; ")
            self.out.append("}")

    def _member(self, value: Value, *, in_literal: bool) -> None:
        """One element. A set whose names have no place was made by a builtin: Nix has evaluated it as well."""
        hidden = self.like_nix and in_literal and value != [] and isinstance(value, (list, dict, Lambda))
        if hidden and not (isinstance(value, dict) and value and not any(map(site_names.place, value))):
            self.out.append("<CODE>")
        else:
            self._print(value)


def attribute_name(name: str) -> str:
    """A name as it stands before `=`."""
    return str(name) if is_identifier(name) and name not in _RESERVED else quote(name)


def is_identifier(name: str) -> bool:
    """Whether it could be a variable, were it no keyword."""
    return name.isascii() and name[:1] not in ("-", "'") and name.replace("-", "_").replace("'", "_").isidentifier()


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
