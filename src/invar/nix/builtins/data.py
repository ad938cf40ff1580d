"""Builtins that read and write data formats: JSON, TOML, XML."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from invar.nix.builtins.registry import Registry
from invar.nix.coerce import CopyPath, coerce_to_string, concat_context, is_derivation
from invar.nix.errors import NixError, NixInfiniteRecursion, NixStackOverflow, NixTypeError, add_context
from invar.nix.printer import format_float
from invar.nix.runtime import evaluate, expect_plain
from invar.nix.values import INT_MAX, INT_MIN, Lambda, Path, Pos, Thunk, Value, position_of, type_name, with_context

if TYPE_CHECKING:
    from invar.nix.evaluator import Evaluator

primops = Registry()


@primops.add("fromJSON", 1)
def from_json(text: Value) -> Value:
    """The value of a JSON text."""
    source = str(expect_plain(text))
    try:
        return json.loads(source, parse_int=_json_int, parse_constant=_json_constant)
    except ValueError as error:
        raise NixError(f"JSON parse error: {error}") from None


def _json_int(digits: str) -> int | float:
    number = int(digits)
    if INT_MAX < number < 2**64:
        raise NixError(f"unsigned json number {number} outside of Nix integer range")
    return number if INT_MIN <= number <= INT_MAX else float(number)


def _json_constant(name: str) -> float:
    raise ValueError(f"invalid literal '{name}'")


@primops.add("fromTOML", 1)
def from_toml(text: Value) -> Value:
    """The value of a TOML text. Dates and times are an error, as in Nix."""
    import tomllib  # few evaluations need it

    try:
        return _from_toml(tomllib.loads(str(expect_plain(text))))
    except tomllib.TOMLDecodeError as error:
        raise NixError(f"while parsing a TOML string: {error}") from None


def _from_toml(value: Any) -> Value:
    if isinstance(value, dict):
        return {name: _from_toml(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_from_toml(item) for item in value]
    if isinstance(value, (bool, int, float, str)):
        return value
    raise NixError("while parsing a TOML string: Dates and times are not supported")


def to_json(value: Value, copy_path: CopyPath | None) -> str:
    """A value as JSON without white space, names sorted; the string's context is that of all strings within."""
    writer = _JsonWriter(copy_path)
    writer.write(value)
    return with_context("".join(writer.pieces), concat_context(writer.contexts))


class _JsonWriter:
    def __init__(self, copy_path: CopyPath | None) -> None:
        self.copy_path = copy_path
        self.pieces: list[str] = []
        self.contexts: list[str] = []
        self.inside: set[int] = set()

    def write(self, value: Value) -> None:
        value = evaluate(value) if type(value) is Thunk else value
        if isinstance(value, str):
            self.pieces.append(_json_string(value, self.contexts))
        elif isinstance(value, dict):
            if "__toString" in value:
                self.pieces.append(_json_string(coerce_to_string(value, copy_path=self.copy_path), self.contexts))
            elif "outPath" in value:
                self.write(value["outPath"])
            else:
                self._container(value)
        elif isinstance(value, list):
            self._container(value)
        elif type(value) is Path:
            self.pieces.append(_json_string(coerce_to_string(value, copy_path=self.copy_path), self.contexts))
        elif value is None or value is True or value is False:
            self.pieces.append("null" if value is None else "true" if value else "false")
        elif type(value) is int:
            self.pieces.append(str(value))
        elif type(value) is float:
            self.pieces.append(json_float(value))
        else:
            raise NixTypeError(f"cannot convert {type_name(value)} to JSON")

    def _container(self, value: Any) -> None:
        if id(value) in self.inside:
            raise NixInfiniteRecursion("infinite recursion encountered")
        self.inside.add(id(value))
        put = self.pieces.append
        separator = ""
        if isinstance(value, list):
            put("[")
            for item in value:
                put(separator)
                self.write(item)
                separator = ","
            put("]")
        else:
            put("{")
            for name in sorted(value):
                put(f"{separator}{_json_string(str(name), self.contexts)}:")
                try:
                    self.write(value[name])
                except NixError as error:
                    raise add_context(error, f"while evaluating attribute '{name}'", position_of(value, name)) from None
                separator = ","
            put("}")
        self.inside.discard(id(value))


def _json_string(text: str, contexts: list[str]) -> str:
    if type(text) is not str:
        contexts.append(text)
    return json.dumps(str(text), ensure_ascii=False)


def json_float(value: float) -> str:
    """The shortest text that reads back as the same double; exponents from 1e15 on, as Nix's JSON library writes."""
    if value != value or value in (float("inf"), float("-inf")):
        return "null"
    text = repr(value)
    if text.endswith(".0") and abs(value) >= 1e15:
        digits = text.lstrip("-")[:-2]
        significant = digits.rstrip("0")
        fraction = f".{significant[1:]}" if len(significant) > 1 else ""
        return f"{'-' if value < 0 else ''}{significant[0]}{fraction}e+{len(digits) - 1}"
    return text


def to_xml(value: Value, *, locations: bool = False, copy_path: CopyPath | None = None, strict: bool = True) -> str:
    """A value as `builtins.toXML` writes it; `locations` adds where attributes and functions were written."""
    contexts: list[str] = []
    writer = _XmlWriter(locations, copy_path, strict, contexts)
    lines = ["<?xml version='1.0' encoding='utf-8'?>", "<expr>"]
    writer.write(value, 1, lines.append)
    return with_context("\n".join([*lines, "</expr>", ""]), concat_context(contexts))


XML_DEPTH = 10_000
"""Indentation makes the text of a value grow with the square of its depth."""


class _XmlWriter:
    def __init__(self, locations: bool, copy_path: CopyPath | None, strict: bool, contexts: list[str]) -> None:
        self.locations = locations
        self.copy_path = copy_path
        self.strict = strict
        self.contexts = contexts
        self.seen_derivations: set[str] = set()

    def write(self, value: Value, depth: int, put: Callable[[str], None]) -> None:
        if depth > XML_DEPTH:
            raise NixStackOverflow("stack overflow; max-call-depth exceeded", hint="The value may be infinite.")
        indent = "  " * depth
        if type(value) is Thunk:
            if value.code is not None and not self.strict:
                put(f"{indent}<unevaluated />")
                return
            value = evaluate(value)
        if isinstance(value, list):
            put(f"{indent}<list>")
            for item in value:
                self.write(item, depth + 1, put)
            put(f"{indent}</list>")
        elif isinstance(value, dict):
            self._set(value, depth, put)
        elif isinstance(value, Lambda):
            self._function(value, depth, put)
        else:
            put(indent + self._scalar(value))

    def _scalar(self, value: Value) -> str:
        if value is None:
            return "<null />"
        if value is True or value is False:
            return f'<bool value="{"true" if value else "false"}" />'
        if isinstance(value, str):
            self.contexts.append(value)
            return f"<string value={_attribute(value)} />"
        if type(value) is int:
            return f'<int value="{value}" />'
        if type(value) is float:
            return f'<float value="{format_float(value)}" />'
        if type(value) is Path:
            return f"<path value={_attribute(value.path)} />"
        return "<unevaluated />"

    def _set(self, value: dict[str, Value], depth: int, put: Callable[[str], None]) -> None:
        indent = "  " * depth
        if not is_derivation(value):
            put(f"{indent}<attrs>")
            self._attributes(value, depth + 1, put)
            put(f"{indent}</attrs>")
            return
        drv_path = self._path_attribute(value, "drvPath")
        out_path = self._path_attribute(value, "outPath")
        shown = (f" drvPath={_attribute(drv_path)}" if drv_path is not None else "") + (
            f" outPath={_attribute(out_path)}" if out_path is not None else ""
        )
        put(f"{indent}<derivation{shown}>")
        if drv_path is not None and drv_path not in self.seen_derivations:
            self.seen_derivations.add(str(drv_path))
            self._attributes(value, depth + 1, put)
        else:
            put(f"{indent}  <repeated />")
        put(f"{indent}</derivation>")

    def _path_attribute(self, value: dict[str, Value], name: str) -> str | None:
        if name not in value:
            return None
        found = evaluate(value[name]) if type(value[name]) is Thunk else value[name]
        return found if isinstance(found, str) else None

    def _attributes(self, value: dict[str, Value], depth: int, put: Callable[[str], None]) -> None:
        indent = "  " * depth
        for name in sorted(value):
            put(f"{indent}<attr{self._location(position_of(value, name), name)}>")
            self.write(value[name], depth + 1, put)
            put(f"{indent}</attr>")

    def _location(self, pos: Pos | None, name: str | None = None) -> str:
        """Attributes in the order of their names, as Nix writes them."""
        named = "" if name is None else f" name={_attribute(name)}"
        if not self.locations or pos is None:
            return named
        return f' column="{pos.column}" line="{pos.line}"{named} path={_attribute(pos.file)}'

    def _function(self, value: Lambda, depth: int, put: Callable[[str], None]) -> None:
        indent = "  " * depth
        info = value.info
        put(f"{indent}<function{self._location(info.pos) if info else ''}>")
        if info is not None and info.formals is not None:
            name = f" name={_attribute(info.argument)}" if info.argument else ""
            ellipsis = ' ellipsis="1"' if info.ellipsis else ""
            put(f"{indent}  <attrspat{ellipsis}{name}>")
            for formal in sorted(info.formals):
                put(f"{indent}    <attr name={_attribute(formal)} />")
            put(f"{indent}  </attrspat>")
        elif info is not None:
            put(f"{indent}  <varpat name={_attribute(info.argument or '')} />")
        put(f"{indent}</function>")


_XML_ESCAPES = str.maketrans({'"': "&quot;", "<": "&lt;", ">": "&gt;", "&": "&amp;", "\n": "&#xA;"})


def _attribute(text: str) -> str:
    return f'"{str(text).translate(_XML_ESCAPES)}"'


def bound_builtins(evaluator: Evaluator) -> Registry:
    """All of them; some may put paths into the store."""
    bound = Registry(primops)
    copy_path = evaluator.copy_path

    @bound.add("toJSON", 1)
    def builtin_to_json(value: Value) -> str:
        return to_json(value, copy_path)

    @bound.add("toXML", 1)
    def builtin_to_xml(value: Value) -> str:
        return to_xml(value, copy_path=copy_path)

    @bound.add("toPath", 1)
    def to_path(value: Value) -> str:
        text = coerce_to_string(value)
        if not text.startswith("/"):
            raise NixError(f"string '{text}' doesn't represent an absolute path")
        return text

    return bound
