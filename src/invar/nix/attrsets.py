"""The members of a set or a let while they are parsed: attribute paths nest, literals of the same name merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invar.nix.ast import (
    AttrSet,
    Binding,
    DynamicBinding,
    Function,
    Inherited,
    InheritFrom,
    Let,
    Name,
    Node,
    Var,
)

if TYPE_CHECKING:
    from invar.nix.parser import Parser


class Members:
    """What is between the braces of a set, or between `let` and `in`."""

    def __init__(self, parser: Parser, at: int) -> None:
        self.parser = parser
        self.at = at
        self.set = AttrSet(at, False, {}, [], [])

    def parse_one(self) -> None:
        """`path = value;` or `inherit ...;`."""
        if self.parser.token.kind == "inherit":
            self._inherit()
            return
        at = self.parser.token.at
        path = self.parser.attribute_path()
        self.parser.take("=", "'.' or '='")
        value = self.parser.expression()
        self.parser.take(";")
        self._define(at, path, value)

    def attribute_set(self, *, recursive: bool) -> AttrSet:
        """The finished set."""
        self.set.recursive = recursive
        return self.set

    def let(self, body: Node) -> Node:
        """The finished let."""
        if self.set.dynamic:
            raise self.parser.fail("dynamic attributes not allowed in let", self.set.dynamic[0].at)
        return Let(self.at, self.set.bindings, self.set.origins, body)

    def _inherit(self) -> None:
        parser = self.parser
        parser.advance()
        origin: InheritFrom | None = None
        if parser.token.kind == "(":
            parser.advance()
            origin = InheritFrom(parser.expression())
            parser.take(")")
            self.set.origins.append(origin)
        while parser.token.kind != ";":
            at = parser.token.at
            name = parser.attribute_name()
            if not isinstance(name, str):
                raise parser.fail("dynamic attributes not allowed in inherit", at)
            if name in self.set.bindings:
                raise self._duplicate([name], self.set.bindings[name].at, at)
            value: Node = Inherited(at, origin, name) if origin is not None else Var(at, name)
            self.set.bindings[name] = Binding(at, name, value, inherited=origin is None)
        parser.advance()

    def _define(self, at: int, path: list[Name], value: Node) -> None:
        target = self.set
        for depth, name in enumerate(path[:-1]):
            inner = AttrSet(at, False, {}, [], [])
            if not isinstance(name, str):
                target.dynamic.append(DynamicBinding(at, name, inner))
                target = inner
                continue
            found = target.bindings.get(name)
            if found is None:
                target.bindings[name] = Binding(at, name, inner, inherited=False)
                target = inner
            elif isinstance(found.value, AttrSet) and not found.inherited:
                target = found.value
            else:
                raise self._duplicate(path[: depth + 1], found.at, at)
        last = path[-1]
        if not isinstance(last, str):
            target.dynamic.append(DynamicBinding(at, last, value))
            return
        found = target.bindings.get(last)
        if found is None:
            _name_functions(value, last)
            target.bindings[last] = Binding(at, last, value, inherited=False)
        elif isinstance(found.value, AttrSet) and isinstance(value, AttrSet):
            self._merge(found.value, value, path)
        else:
            raise self._duplicate(path, found.at, at)

    def _merge(self, target: AttrSet, other: AttrSet, path: list[Name]) -> None:
        for name, binding in other.bindings.items():
            found = target.bindings.get(name)
            if found is None:
                target.bindings[name] = binding
            elif isinstance(found.value, AttrSet) and isinstance(binding.value, AttrSet):
                self._merge(found.value, binding.value, [*path, name])
            else:
                raise self._duplicate([*path, name], found.at, binding.at)
        target.dynamic.extend(other.dynamic)
        target.origins.extend(other.origins)

    def _duplicate(self, path: list[Name], first: int, second: int) -> Exception:
        shown = ".".join(name if isinstance(name, str) else "${...}" for name in path)
        place = self.parser.source.pos(first)
        return self.parser.fail(f"attribute '{shown}' already defined at {place}", second)


def _name_functions(value: Node, name: str) -> None:
    while isinstance(value, Function):
        value.name = name
        value = value.body
