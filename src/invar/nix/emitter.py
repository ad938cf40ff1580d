"""Nix expressions to Python syntax: what each kind of node becomes where its value is needed, or may wait."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from invar.nix.ast import (
    Assert,
    AttrSet,
    Binary,
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
from invar.nix.emit_base import Hint, constant_of
from invar.nix.emit_calls import BUILTIN_CONSTANTS, CallEmitter
from invar.nix.emit_operators import ARITHMETIC, OperatorEmitter
from invar.nix.pybuild import AND, IN, IS_NOT, LTE
from invar.nix.resolve import Builtin, Overridable, Variable, WithLookup
from invar.nix.signatures import SIGNATURES
from invar.nix.values import INT_MAX, INT_MIN


class Emitter(CallEmitter, OperatorEmitter):
    """The whole of it: dispatch, literals, variables, selection."""

    def strict(self, node: Node) -> tuple[ast.expr, Hint]:
        return _STRICT[type(node)](self, node)

    def tail(self, node: Node) -> None:
        kind = type(node)
        if kind is If:
            self.tail_conditional(node)  # type: ignore[arg-type]
            return
        scope = _STATEMENTS.get(kind)
        if scope is not None:
            scope(self, node)
            self.tail(node.body)  # type: ignore[attr-defined]
            return
        value, _ = self.strict(node)
        self.add(self.at(node.at).give(value))

    def scoped(self, node: Let | With | Assert) -> tuple[ast.expr, Hint]:
        """let, with and assert where their value is an operand."""
        _STATEMENTS[type(node)](self, node)
        return self.strict(node.body)

    def lazy(self, node: Node) -> ast.expr:
        return self.lazy_labelled(node, None)

    def lazy_labelled(self, node: Node, label: tuple[str, int] | None) -> ast.expr:
        constant = constant_of(node)
        if constant is not None:
            return self.at(node.at).constant(constant[0])
        self.at(node.at)
        if isinstance(node, Function):
            return self.closure(node)
        if isinstance(node, Var):
            return self.lazy_variable(node, label)
        if isinstance(node, Inherited):
            return self.peek(node.origin.variable, node.name, self.thunk(node, label))
        if isinstance(node, Select) and self.can_peek(node):
            variable = node.subject.binding  # type: ignore[attr-defined]
            return self.peek(variable, str(node.path[0]), self.thunk(node, label))
        if isinstance(node, Binary) and self.can_compute(node):
            return self.computed(node, self.thunk(node, label))
        if isinstance(node, (ListLiteral, AttrSet)) and self.is_cheap(node):
            return self.strict(node)[0]
        if isinstance(node, PathLiteral) and not node.parts and not node.text.startswith("~"):
            return self.path(node)[0]
        if isinstance(node, Negate) and isinstance(node.operand, Literal):
            return self.negate(node)[0]
        if isinstance(node, Select) and (name := self.builtin_name(node)) is not None and name in SIGNATURES:
            return self.builtin_value(name)
        return self.thunk(node, label)

    def computed(self, node: Binary, otherwise: ast.expr) -> ast.expr:
        """Arithmetic of evaluated integers done at once, else a thunk."""
        build = self.at(node.at)
        tests: list[ast.expr] = []
        sides: list[ast.expr] = []
        for operand in (node.left, node.right):
            if isinstance(operand, Var):
                side = self.read(operand.binding)
                if not isinstance(side, ast.Constant):
                    tests.append(build.is_type(side, "int"))
            else:
                side = build.constant(operand.value)  # type: ignore[attr-defined]
            sides.append(side)
        if any(isinstance(side, ast.Constant) and type(side.value) is not int for side in sides):
            return otherwise
        result = build.walrus("_v", build.binary(sides[0], ARITHMETIC[node.operator][0], sides[1]))
        if isinstance(node.right, Literal) and node.operator != "*":
            tests.append(self._fits(node, result))
        else:
            tests.append(build.compare(build.constant(INT_MIN), LTE, result, LTE, build.constant(INT_MAX)))
        test = build.logic(AND, *tests) if len(tests) > 1 else tests[0]
        return build.choose(test, build.name("_v"), otherwise)

    def lazy_variable(self, node: Var, label: tuple[str, int] | None) -> ast.expr:
        """A variable as it is; one from `with` is looked at, or delayed."""
        bound = node.binding
        if isinstance(bound, Variable):
            return self.read(bound)
        if isinstance(bound, Builtin):
            return self.builtin_value(bound.name)
        if isinstance(bound, WithLookup):
            return self.peek(bound.subjects[0], node.name, self.thunk(node, label))
        return self.thunk(node, label)

    def variable(self, node: Var) -> tuple[ast.expr, Hint]:
        """A variable's value."""
        bound = node.binding
        build = self.at(node.at)
        if isinstance(bound, Variable):
            return self.force(bound)
        if isinstance(bound, Builtin):
            if bound.name in BUILTIN_CONSTANTS:
                return build.constant(BUILTIN_CONSTANTS[bound.name]), "" if bound.name == "null" else "bool"
            value = self.builtin_value(bound.name)
            if bound.name in SIGNATURES or bound.name == "builtins":
                return value, "set" if bound.name == "builtins" else "fn"
            return build.run("whnf", value), ""
        if isinstance(bound, WithLookup):
            subjects = [self.read(subject) for subject in bound.subjects]
            return build.run("with_lookup", build.constant(node.name), *subjects), ""
        assert isinstance(bound, Overridable)
        holder, _ = self.force(bound.holder)
        return self.member_of(holder, node.name), ""

    def literal(self, node: Literal) -> tuple[ast.expr, Hint]:
        """A number."""
        return self.at(node.at).constant(node.value), "num"

    def path(self, node: PathLiteral) -> tuple[ast.expr, Hint]:
        """A path; the linker makes the object, as it knows where the source lies."""
        name = next((known for known, text in self.unit.paths.items() if text == node.text), None)
        if name is None:
            name = self.unit.fresh("p")
            self.unit.paths[name] = node.text
        if not node.parts:
            build = self.at(node.at)
            return (build.run("whnf", build.name(name)) if node.text.startswith("~") else build.name(name)), ""
        parts = self.in_order([lambda part=part: self._path_part(part) for part in node.parts])  # type: ignore[misc]
        build = self.at(node.at)
        return build.run("interpolated_path", build.name(name), build.constant(node.text), build.tuple_of(parts)), ""

    def _path_part(self, part: str | Node) -> ast.expr:
        return self.build.constant(part) if isinstance(part, str) else self.strict(part)[0]

    def search_path(self, node: SearchPath) -> tuple[ast.expr, Hint]:
        """`<name>`."""
        build = self.at(node.at)
        return build.run("find_file", build.constant(node.name)), ""

    def current_position(self, node: CurrentPosition) -> tuple[ast.expr, Hint]:
        """`__curPos`."""
        line, column = self.unit.source.line_column(node.at)
        build = self.at(node.at)
        return build.run("current_position", build.constant(line), build.constant(column)), "set"

    def list_literal(self, node: ListLiteral) -> tuple[ast.expr, Hint]:
        """A list of values and thunks."""
        items = [self.lazy(item) for item in node.items]
        return self.at(node.at).list_of(items), "list"

    def function_value(self, node: Function) -> tuple[ast.expr, Hint]:
        """A function."""
        return self.closure(node), "fn"

    def inherited(self, node: Inherited) -> tuple[ast.expr, Hint]:
        """One name of `inherit (source)`."""
        subject, _ = self.force(node.origin.variable)
        self.at(node.at)
        return self.member_of(subject, node.name), ""

    def member_of(self, subject: ast.expr, name: str) -> ast.expr:
        """`subject.name` forced; Python's own errors for a missing one are translated when they surface."""
        build = self.build
        found = build.subscript(build.walrus("_s", subject), build.constant(name))
        test = build.compare(build.run("type", build.walrus("_v", found)), IS_NOT, build.name("Thunk"))
        evaluated = build.run("member", build.name("_s"), build.constant(name), build.name("_v"))
        return build.choose(test, build.name("_v"), evaluated)

    def select(self, node: Select) -> tuple[ast.expr, Hint]:
        """`subject.a.b or default`."""
        name = self.builtin_name(node)
        if name is not None and name in SIGNATURES and node.default is None:
            self.at(node.at)
            return self.builtin_value(name), "fn"
        if node.default is not None:
            return self.select_or(node)
        expression, _ = self.strict(node.subject)
        for step in node.path:
            if isinstance(step, str):
                self.at(node.at)
                expression = self.member_of(expression, step)
            else:
                subject = expression
                expression, key = self.in_order([lambda e=subject: e, lambda n=step: self.strict(n)[0]])  # type: ignore[misc]
                expression = self.at(node.at).run("select_dynamic", expression, key)
        return expression, ""

    def select_or(self, node: Select) -> tuple[ast.expr, Hint]:
        """Selection with a default."""
        assert node.default is not None
        found = self._path_operation("find_attr", node.subject, node.path, node.at)
        name = self.temporary()
        before = dict(self.facts)
        default = node.default
        (otherwise, _), added = self.apart(lambda: self.strict(default))
        self.facts = before
        build = self.at(node.at)
        test = build.compare(build.walrus(name, found), IS_NOT, build.name("MISSING"))
        if not added:
            return build.choose(test, build.name(name), otherwise), ""
        added.append(build.assign(name, otherwise))
        self.add(build.when(build.negation(test), added))
        return build.name(name), ""

    def has_attr(self, node: HasAttr) -> tuple[ast.expr, Hint]:
        """`subject ? a.b`."""
        if len(node.path) == 1 and isinstance(node.path[0], str):
            subject, _ = self.strict(node.subject)
            build = self.at(node.at)
            once, again = self.named(subject)
            inside = build.compare(build.constant(node.path[0]), IN, again)
            slow = build.run("has_attr", again, build.constant((node.path[0],)))
            return build.choose(build.is_type(once, "dict"), inside, slow), "bool"
        return self._path_operation("has_attr", node.subject, node.path, node.at), "bool"

    def _path_operation(self, operation: str, subject: Node, path: list[Name], at: int) -> ast.expr:
        dynamic = [step for step in path if not isinstance(step, str)]
        first, *keys = self.in_order(
            [lambda: self.strict(subject)[0], *(lambda n=step: self._key(n) for step in dynamic)]
        )
        build = self.at(at)
        names = iter(keys)
        steps = [build.constant(step) if isinstance(step, str) else next(names) for step in path]
        return build.run(operation, first, build.tuple_of(steps))

    def _key(self, node: Node) -> ast.expr:
        key, hint = self.strict(node)
        return key if hint == "str" else self.at(node.at).run("expect_string", key)


_STATEMENTS: dict[type, Callable[[Any, Any], None]] = {
    Let: Emitter.let,
    With: Emitter.with_scope,
    Assert: Emitter.assertion,
}
_STRICT: dict[type, Callable[[Any, Any], tuple[ast.expr, Hint]]] = {
    Literal: Emitter.literal,
    String: Emitter.string,
    PathLiteral: Emitter.path,
    SearchPath: Emitter.search_path,
    Var: Emitter.variable,
    Select: Emitter.select,
    HasAttr: Emitter.has_attr,
    Call: Emitter.call,
    Function: Emitter.function_value,
    ListLiteral: Emitter.list_literal,
    Inherited: Emitter.inherited,
    AttrSet: Emitter.attribute_set,
    Let: Emitter.scoped,
    With: Emitter.scoped,
    Assert: Emitter.scoped,
    If: Emitter.conditional,
    Not: Emitter.invert,
    Negate: Emitter.negate,
    Binary: Emitter.binary,
    CurrentPosition: Emitter.current_position,
}
