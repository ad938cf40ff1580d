"""Syntax trees back to text, as `nix-instantiate --parse` prints them: everything parenthesised, names sorted."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from invar.nix.ast import (
    Assert,
    AttrSet,
    Binary,
    Binding,
    Call,
    CurrentPosition,
    Function,
    HasAttr,
    If,
    Inherited,
    Let,
    ListLiteral,
    Literal,
    Name,
    Negate,
    Node,
    Not,
    PathLiteral,
    SearchPath,
    Select,
    String,
    Var,
    With,
)
from invar.nix.operators import canonical_path
from invar.nix.printer import format_float, quote

_PLAIN = re.compile(r"[a-zA-Z_][a-zA-Z0-9_'\-]*")
_RESERVED = frozenset({"if", "then", "else", "assert", "with", "let", "in", "rec", "inherit"})
_AS_CALLS = {"-": "__sub", "*": "__mul", "/": "__div"}


def unparse(node: Node) -> str:
    """One line of Nix that means the same."""
    return _UNPARSE[type(node)](node)


def absolute_paths(node: Node, base_dir: str) -> None:
    """Make the relative paths in a tree absolute, as Nix's parser does at once."""
    if isinstance(node, PathLiteral):
        path = canonical_path(os.path.join(base_dir, os.path.expanduser(node.text)))  # noqa: PTH111, PTH118
        node.text = path + "/" if node.text.endswith("/") and path != "/" else path
    for child in _children(node):
        absolute_paths(child, base_dir)


def _children(part: object) -> Iterator[Node]:
    if isinstance(part, list | tuple | dict):
        inner: Iterable[object] = part.values() if isinstance(part, dict) else part
    else:
        inner = (getattr(part, field.name) for field in fields(part)) if is_dataclass(part) else ()
    for one in inner:
        if isinstance(one, Node):
            yield one
        else:
            yield from _children(one)


def attribute_name(name: str) -> str:
    """A name as it stands in an attribute path."""
    return name if _PLAIN.fullmatch(name) and name not in _RESERVED else quote(name)


def _path(path: Iterable[Name]) -> str:
    return ".".join(attribute_name(s) if isinstance(s, str) else f'"${{{unparse(s)}}}"' for s in path)


def _string(node: String) -> str:
    texts = [part for part in node.parts if isinstance(part, str)]
    if len(texts) == len(node.parts):
        return quote("".join(texts))
    return "(" + " + ".join(quote(p) if isinstance(p, str) else unparse(p) for p in node.parts) + ")"


def _path_literal(node: PathLiteral) -> str:
    if not node.parts:
        return node.text
    parts = [node.text, *(quote(p) if isinstance(p, str) else unparse(p) for p in node.parts)]
    return "(" + " + ".join(parts) + ")"


def _select(node: Select) -> str:
    text = f"({unparse(node.subject)}).{_path(node.path)}"
    return f"{text} or ({unparse(node.default)})" if node.default is not None else text


def _call(node: Call) -> str:
    arguments = [unparse(argument) for argument in node.arguments]
    function = node.function
    while isinstance(function, Call):
        arguments = [*map(unparse, function.arguments), *arguments]
        function = function.function
    return "(" + " ".join([unparse(function), *arguments]) + ")"


def _function(node: Function) -> str:
    head = ""
    if node.formals is not None:
        formals = sorted(node.formals, key=lambda formal: formal.name)
        shown = [f.name if f.default is None else f"{f.name} ? {unparse(f.default)}" for f in formals]
        head = "{ " + ", ".join([*shown, *(["..."] if node.ellipsis else [])]) + " }"
        if node.argument is not None:
            head += " @ "
    return f"({head}{node.argument or ''}: {unparse(node.body)})"


def _bindings(bindings: Iterable[Binding]) -> str:
    shown = []
    for binding in sorted(bindings, key=lambda b: b.name):
        if binding.inherited:
            shown.append(f"inherit {attribute_name(binding.name)} ; ")
        else:
            shown.append(f"{attribute_name(binding.name)} = {unparse(binding.value)}; ")
    return "".join(shown)


def _attr_set(node: AttrSet) -> str:
    dynamic = "".join(f'"${{{unparse(d.name)}}}" = {unparse(d.value)}; ' for d in node.dynamic)
    return f"{'rec ' if node.recursive else ''}{{ {_bindings(node.bindings.values())}{dynamic}}}"


def _let(node: Let) -> str:
    return f"(let {_bindings(node.bindings.values())}in {unparse(node.body)})"


def _binary(node: Binary) -> str:
    left, right = unparse(node.left), unparse(node.right)
    if node.operator in _AS_CALLS:
        return f"({_AS_CALLS[node.operator]} {left} {right})"
    if node.operator in ("<", ">=", ">", "<="):
        if node.operator in (">", "<="):
            left, right = right, left
        less = f"(__lessThan {left} {right})"
        return less if node.operator in ("<", ">") else f"(! {less})"
    return f"({left} {node.operator} {right})"


_UNPARSE: dict[type, Callable[[Any], str]] = {
    Literal: lambda node: format_float(node.value) if isinstance(node.value, float) else str(node.value),
    String: _string,
    PathLiteral: _path_literal,
    SearchPath: lambda node: f"(__findFile __nixPath {quote(node.name)})",
    Var: lambda node: node.name,
    Select: _select,
    HasAttr: lambda node: f"(({unparse(node.subject)}) ? {_path(node.path)})",
    Call: _call,
    Function: _function,
    ListLiteral: lambda node: "[ " + "".join(f"({unparse(item)}) " for item in node.items) + "]",
    Inherited: lambda node: f"({unparse(node.origin.source)}).{attribute_name(node.name)}",
    AttrSet: _attr_set,
    Let: _let,
    With: lambda node: f"(with {unparse(node.subject)}; {unparse(node.body)})",
    If: lambda node: f"(if {unparse(node.condition)} then {unparse(node.yes)} else {unparse(node.no)})",
    Assert: lambda node: f"assert {unparse(node.condition)}; {unparse(node.body)}",
    Not: lambda node: f"(! {unparse(node.operand)})",
    Negate: lambda node: f"(__sub 0 {unparse(node.operand)})",
    Binary: _binary,
    CurrentPosition: lambda node: "__curPos",
}
