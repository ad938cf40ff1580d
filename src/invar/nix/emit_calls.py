"""Calls and functions: of what is known by name with its arguments evaluated early, of the rest by their arity."""

from __future__ import annotations

import ast
from typing import Any

from invar.nix.ast import Call, Function, Node, Select, Var
from invar.nix.emit_base import ARITY_LIMIT, FunctionCode, Hint, captured_by, constant_of
from invar.nix.emit_bindings import BindingEmitter
from invar.nix.pybuild import IS_NOT
from invar.nix.resolve import Builtin, Variable
from invar.nix.signatures import SIGNATURES
from invar.nix.strictness import cheap_result, evaluation_plan, first_needed, sort_key

CHECKS: dict[str, tuple[Hint, str, str]] = {
    "f": ("fn", "Lambda", "expect_function"),
    "l": ("list", "list", "expect_list"),
    "i": ("int", "int", "expect_int"),
    "s": ("str", "str", "expect_string"),
    "a": ("set", "dict", "expect_set"),
}
"""By letter of a signature: what is known of such a value, its usual Python type, what checks any other."""

BUILTIN_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}


class CallEmitter(BindingEmitter):
    """Application, builtins by name, and the bodies of functions."""

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


def _flattened(node: Call) -> tuple[Node, list[Node]]:
    """`(f a) b` as f with both arguments."""
    function, arguments = node.function, node.arguments
    while isinstance(function, Call):
        arguments = [*function.arguments, *arguments]
        function = function.function
    return function, arguments
