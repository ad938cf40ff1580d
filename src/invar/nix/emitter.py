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
from invar.nix.emit_base import ARITY_LIMIT, FunctionCode, Hint, captured_by, constant_of
from invar.nix.emit_bindings import BindingEmitter
from invar.nix.emit_operators import ARITHMETIC, OperatorEmitter
from invar.nix.pybuild import AND, IN, IS_NOT, LTE
from invar.nix.resolve import Builtin, Overridable, Variable, WithLookup
from invar.nix.signatures import SIGNATURES
from invar.nix.strictness import cheap_result, evaluation_plan, first_needed, sort_key
from invar.nix.values import INT_MAX, INT_MIN

CHECKS: dict[str, tuple[Hint, str, str]] = {
    "f": ("fn", "Lambda", "expect_function"),
    "l": ("list", "list", "expect_list"),
    "i": ("int", "int", "expect_int"),
    "s": ("str", "str", "expect_string"),
    "a": ("set", "dict", "expect_set"),
}
"""By letter of a signature: what is known of such a value, its usual Python type, what checks any other."""

BUILTIN_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}


class Emitter(BindingEmitter, OperatorEmitter):
    """The whole of it: dispatch, variables, selection, calls, functions."""

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
        build = self.at(node.at)
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
        del build
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

    def builtin_value(self, name: str) -> ast.expr:
        """A builtin as a value."""
        if name in BUILTIN_CONSTANTS:
            return self.build.constant(BUILTIN_CONSTANTS[name])
        self.unit.builtins[name] = None
        return self.build.name(f"builtins.{name}")

    def builtin_name(self, node: Node) -> str | None:
        """The builtin that `map` or `builtins.map` denotes."""
        if isinstance(node, Var) and isinstance(node.binding, Builtin):
            return node.binding.name
        if (
            isinstance(node, Select)
            and isinstance(node.subject, Var)
            and node.subject.binding == Builtin("builtins")
            and len(node.path) == 1
            and isinstance(node.path[0], str)
        ):
            return node.path[0]
        return None

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

    def call(self, node: Call) -> tuple[ast.expr, Hint]:
        """Application: of a function known by name, of a builtin, or of whatever the function part is."""
        function, arguments = _flattened(node)
        direct = self._direct_call(function, arguments, node.at)
        if direct is not None:
            expression, hint, taken = direct
        else:
            expression, hint, taken = *self.strict(function), 0
        while taken < len(arguments):
            chunk = arguments[taken : taken + ARITY_LIMIT]
            expression, hint = self._apply(expression, chunk, node.at), ""
            taken += len(chunk)
        return expression, hint

    def _direct_call(self, function: Node, arguments: list[Node], at: int) -> tuple[ast.expr, Hint, int] | None:
        name = self.builtin_name(function)
        if name is not None and name in SIGNATURES:
            arity, hint, plan = SIGNATURES[name]
            if len(arguments) < arity:
                return None
            self.unit.primops[name] = arity
            given = self._planned_arguments(arguments[:arity], evaluation_plan(name, plan, arguments))
            build = self.at(at)
            result = build.run(f"call.{name}", *given)
            if hint == "any":
                test = build.compare(build.run("type", build.walrus("_v", result)), IS_NOT, build.name("Thunk"))
                result = build.choose(test, build.name("_v"), build.run("evaluate", build.name("_v")))
            return result, "" if hint in ("any", "whnf") else hint, arity
        literal: Node | None = None
        if isinstance(function, Function):
            literal = function
        elif isinstance(function, Var) and isinstance(function.binding, Variable):
            literal = function.binding.value
        if not isinstance(literal, Function):
            return None
        code = self.unit.code_of(literal)
        if len(arguments) < code.arity:
            return None
        if literal is function:
            self.emit_function(literal)
            environment = self.environment(captured_by(literal))
        elif function.binding.closed:  # type: ignore[attr-defined]
            environment = self.build.constant(None)
        else:
            environment = self.at(at).attribute(self.read(function.binding), "env")  # type: ignore[attr-defined]
        needed = self._needed_argument(code)
        given = self._arguments(arguments[: code.arity], [index == needed for index in range(code.arity)])
        return self.at(at).run(code.name, environment, *given), "", code.arity

    def _arguments(self, nodes: list[Node], strict: list[bool]) -> list[ast.expr]:
        """Arguments of a call, some of them evaluated before it."""

        def one(index: int) -> ast.expr:
            return self.strict(nodes[index])[0] if strict[index] else self.lazy(nodes[index])

        return self.in_order([lambda index=index: one(index) for index in range(len(nodes))])  # type: ignore[misc]

    def _planned_arguments(self, nodes: list[Node], plan: list[str]) -> list[ast.expr]:
        """Arguments of a builtin, evaluated and checked in the order that its signature tells."""
        order = [int(step[1]) for step in plan]

        def one(place: int) -> ast.expr:
            node = nodes[order[place]]
            expression, hint = self.strict(node)
            harmless = all(
                isinstance(nodes[later], Function) or constant_of(nodes[later]) is not None
                for later in order[place + 1 :]
            )
            check = CHECKS.get(plan[place][0])
            if harmless or check is None or hint == check[0]:
                return expression
            build = self.at(node.at)
            once, again = self.named(expression)
            return build.choose(build.is_type(once, check[1]), again, build.run(check[2], again))

        # A thunk or closure that stands before an evaluated argument is made before it: it knows nothing of that.
        early = {
            index: self.lazy(node)
            for index, node in enumerate(nodes)
            if index not in order and index < max(order, default=0)
        }
        evaluated = self.in_order([lambda place=place: one(place) for place in range(len(plan))])  # type: ignore[misc]
        if order != sorted(order):
            for place, expression in enumerate(evaluated):
                if not isinstance(expression, (ast.Name, ast.Constant)):
                    name = self.temporary()
                    self.add(self.build.assign(name, expression))
                    evaluated[place] = self.build.name(name)
        return [
            evaluated[order.index(index)] if index in order else early[index] if index in early else self.lazy(node)
            for index, node in enumerate(nodes)
        ]

    def _needed_argument(self, code: FunctionCode) -> int | None:
        """The argument that the function evaluates before anything else."""
        last = code.parameters[-1]
        if last.formals is not None:
            return code.arity - 1
        needed = first_needed(last.body)
        return next((i for i, function in enumerate(code.parameters) if function.variable is needed), None)

    def _apply(self, function: ast.expr, arguments: list[Node], at: int) -> ast.expr:
        given = [self.lazy(argument) for argument in arguments]
        count = len(arguments)
        build = self.at(at)
        kind = ("", "Lambda", "Lambda2", "Lambda3")[count]
        test = build.is_type(build.walrus("_f", function), kind)
        callee = build.choose(test, build.name("_f"), build.run(f"adapt{count}", build.name("_f")))
        code = build.walrus("_c", build.attribute(build.walrus("_f", callee), "code"))
        return build.invoke(code, build.attribute(build.name("_f"), "env"), *given)

    def function_body(self, code: FunctionCode) -> None:
        parameters: list[str] = []
        infos: list[Any] = []
        for function in code.parameters:
            argument = function.variable.spelled if function.variable is not None else "_arg"
            parameters.append(argument)
            formals = function.formals
            names = None if formals is None else tuple((f.name, f.default is not None) for f in formals)
            place = self.unit.source.line_column(function.at)
            infos.append((function.name, function.argument, names, function.ellipsis, place))
            if formals is not None:
                self.open_formals(code, function, argument)
        self.unit.infos[code.name] = tuple(infos)
        traits = cheap_result(code.parameters[-1]), sort_key(code.parameters[0]) if code.arity == 2 else None
        if any(traits):
            self.unit.traits[code.name] = traits
        name = code.parameters[0].name
        self.unit.labels[code.name] = (f"while calling '{name}'" if name else "while calling a function", 0, 0)
        self.tail(code.parameters[-1].body)
        self.function_definition(code.name, parameters, captured_by(code.parameters[0]))


def _flattened(node: Call) -> tuple[Node, list[Node]]:
    """`(f a) b` as f with both arguments."""
    function, arguments = node.function, node.arguments
    while isinstance(function, Call):
        arguments = [*function.arguments, *arguments]
        function = function.function
    return function, arguments


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
