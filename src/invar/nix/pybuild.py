"""Python syntax nodes that carry Nix's line and column, so that a traceback of generated code tells Nix positions."""

from __future__ import annotations

import ast
from typing import Any

LOAD, STORE = ast.Load(), ast.Store()
AND, OR, NOT = ast.And(), ast.Or(), ast.Not()
IS, IS_NOT, EQ, NOT_EQ = ast.Is(), ast.IsNot(), ast.Eq(), ast.NotEq()
LT, LTE, GT, GTE, IN, NOT_IN = ast.Lt(), ast.LtE(), ast.Gt(), ast.GtE(), ast.In(), ast.NotIn()
ADD, SUB, MULT = ast.Add(), ast.Sub(), ast.Mult()
NO_ARGUMENTS: list[Any] = []


class Builder:
    """Makes nodes at `line`, `column` (column from 0, as Python counts)."""

    __slots__ = ("column", "line")

    def __init__(self) -> None:
        self.line = 1
        self.column = 0

    def name(self, name: str) -> ast.expr:
        """A variable read."""
        return ast.Name(name, LOAD, lineno=self.line, col_offset=self.column)

    def target(self, name: str) -> ast.Name:
        """A variable written."""
        return ast.Name(name, STORE, lineno=self.line, col_offset=self.column)

    def constant(self, value: Any) -> ast.expr:
        """A literal."""
        return ast.Constant(value, lineno=self.line, col_offset=self.column)

    def walrus(self, name: str, value: ast.expr) -> ast.expr:
        """`(name := value)`."""
        return ast.NamedExpr(self.target(name), value, lineno=self.line, col_offset=self.column)

    def attribute(self, value: ast.expr, name: str) -> ast.expr:
        """`value.name`."""
        return ast.Attribute(value, name, LOAD, lineno=self.line, col_offset=self.column)

    def subscript(self, value: ast.expr, key: ast.expr) -> ast.expr:
        """`value[key]`."""
        return ast.Subscript(value, key, LOAD, lineno=self.line, col_offset=self.column)

    def invoke(self, function: ast.expr, *arguments: ast.expr) -> ast.expr:
        """`function(arguments)`."""
        return ast.Call(function, list(arguments), NO_ARGUMENTS, lineno=self.line, col_offset=self.column)

    def run(self, name: str, *arguments: ast.expr) -> ast.expr:
        """`name(arguments)`, a function of the runtime."""
        return self.invoke(self.name(name), *arguments)

    def choose(self, test: ast.expr, yes: ast.expr, no: ast.expr) -> ast.expr:
        """`yes if test else no`."""
        return ast.IfExp(test, yes, no, lineno=self.line, col_offset=self.column)

    def compare(self, left: ast.expr, *rest: Any) -> ast.expr:
        """`left op right op right ...`."""
        return ast.Compare(left, list(rest[::2]), list(rest[1::2]), lineno=self.line, col_offset=self.column)

    def binary(self, left: ast.expr, operator: ast.operator, right: ast.expr) -> ast.expr:
        """`left operator right`."""
        return ast.BinOp(left, operator, right, lineno=self.line, col_offset=self.column)

    def logic(self, operator: ast.boolop, *operands: ast.expr) -> ast.expr:
        """`a and b`, `a or b`."""
        return ast.BoolOp(operator, list(operands), lineno=self.line, col_offset=self.column)

    def negation(self, operand: ast.expr) -> ast.expr:
        """`not operand`."""
        return ast.UnaryOp(NOT, operand, lineno=self.line, col_offset=self.column)

    def is_type(self, value: ast.expr, type_name: str) -> ast.expr:
        """`type(value) is type_name`."""
        return self.compare(self.run("type", value), IS, self.name(type_name))

    def tuple_of(self, items: list[ast.expr]) -> ast.expr:
        """`(items)`."""
        return ast.Tuple(items, LOAD, lineno=self.line, col_offset=self.column)

    def list_of(self, items: list[ast.expr]) -> ast.expr:
        """`[items]`."""
        return ast.List(items, LOAD, lineno=self.line, col_offset=self.column)

    def dict_of(self, keys: list[ast.expr], values: list[ast.expr]) -> ast.expr:
        """`{key: value}`."""
        return ast.Dict(list(keys), values, lineno=self.line, col_offset=self.column)

    def assign(self, name: str, value: ast.expr) -> ast.stmt:
        """`name = value`."""
        return ast.Assign([self.target(name)], value, lineno=self.line, col_offset=self.column)

    def set_attribute(self, name: str, attribute: str, value: ast.expr) -> ast.stmt:
        """`name.attribute = value`."""
        place = ast.Attribute(self.name(name), attribute, STORE, lineno=self.line, col_offset=self.column)
        return ast.Assign([place], value, lineno=self.line, col_offset=self.column)

    def statement(self, value: ast.expr) -> ast.stmt:
        """`value`, for what it does."""
        return ast.Expr(value, lineno=self.line, col_offset=self.column)

    def give(self, value: ast.expr) -> ast.stmt:
        """`return value`."""
        return ast.Return(value, lineno=self.line, col_offset=self.column)

    def when(self, test: ast.expr, body: list[ast.stmt], otherwise: list[ast.stmt] | None = None) -> ast.stmt:
        """`if test: body else: otherwise`."""
        return ast.If(test, body, otherwise or [], lineno=self.line, col_offset=self.column)

    def attempt(self, body: list[ast.stmt], exception: str, handler: list[ast.stmt]) -> ast.stmt:
        """`try: body except exception: handler`."""
        caught = ast.ExceptHandler(self.name(exception), None, handler, lineno=self.line, col_offset=self.column)
        return ast.Try(body, [caught], [], [], lineno=self.line, col_offset=self.column)

    def throw(self, value: ast.expr) -> ast.stmt:
        """`raise value from None`."""
        return ast.Raise(value, self.constant(None), lineno=self.line, col_offset=self.column)

    def function(self, name: str, parameters: list[str], body: list[ast.stmt], global_names: list[str]) -> ast.stmt:
        """`def name(parameters): global ...; body`."""
        place: Any = {"lineno": self.line, "col_offset": self.column}
        arguments = ast.arguments([], [ast.arg(p, **place) for p in parameters], None, [], [], None, [])
        if global_names:
            body = [ast.Global(global_names, **place), *body]
        return ast.FunctionDef(name, arguments, body, [], **place)
