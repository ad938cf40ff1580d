"""What every part of the emitter stands on: the unit being compiled, blocks, temporaries, facts, closure conversion.

Functions and thunks become flat, module-level Python functions. What they capture is handed to them as their first
argument: the value itself when it is one, a tuple when there are more. So no Python closure is made at run time.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from invar.nix.ast import Function, Literal, Node, String
from invar.nix.lexer import Source
from invar.nix.pybuild import IS_NOT, Builder
from invar.nix.resolve import Variable

ARITY_LIMIT = 3
CONSTRUCTORS = ("", "closure", "closure2", "closure3")

Hint = str
"""What is known of a value: "" that it is evaluated and no more; else its type ("num", "str", "list" ...)."""


@dataclass(slots=True)
class FunctionCode:
    """A curried run of functions `a: b: body`, compiled as one Python function."""

    name: str
    parameters: list[Function]
    emitted: bool = False

    @property
    def arity(self) -> int:
        return len(self.parameters)


@dataclass(slots=True)
class Unit:
    """One source being compiled: the Python functions so far, and what the linker must provide for them."""

    source: Source
    functions: list[ast.stmt] = field(default_factory=list)
    keys: dict[tuple[str, int], str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    builtins: dict[str, None] = field(default_factory=dict)
    primops: dict[str, int] = field(default_factory=dict)
    top_names: dict[str, None] = field(default_factory=dict)
    labels: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    infos: dict[str, Any] = field(default_factory=dict)
    traits: dict[str, tuple[str, Any]] = field(default_factory=dict)
    closed_functions: dict[str, tuple[str, int]] = field(default_factory=dict)
    function_codes: dict[int, FunctionCode] = field(default_factory=dict)
    count: int = 0

    def fresh(self, prefix: str) -> str:
        """A new module-level name. Those of Nix variables end in a number after `_`; these do not."""
        self.count += 1
        return f"{prefix}{self.count}"

    def key(self, name: str, at: int) -> str:
        """The global that holds the name object of the attribute written at `at`."""
        found = self.keys.get((name, at))
        if found is None:
            found = self.keys[name, at] = self.fresh("k")
        return found

    def code_of(self, node: Function) -> FunctionCode:
        """The Python function for `node` and the functions that are its body, as far as they can be joined."""
        found = self.function_codes.get(id(node))
        if found is None:
            run = [node]
            while len(run) < ARITY_LIMIT and run[-1].formals is None and isinstance(body := run[-1].body, Function):
                run.append(body)
            found = self.function_codes[id(node)] = FunctionCode(self.fresh("f"), run)
        return found


def captured_by(node: Node) -> list[Variable]:
    """What a thunk or function of `node` must be handed, in a fixed order."""
    wanted = (v for v in node.free if not v.top and not v.closed and constant_of(v.value) is None)
    return sorted(wanted, key=lambda v: v.uid)


def constant_of(node: Node | None) -> Any:
    """The value of a literal as (value,), or None for anything else."""
    if isinstance(node, Literal):
        return (node.value,)
    if isinstance(node, String) and all(isinstance(part, str) for part in node.parts):
        return ("".join(map(str, node.parts)),)
    return None


class EmitterBase:
    """Emits the body of one Python function."""

    def __init__(self, unit: Unit, facts: dict[Variable, Hint], *, top: bool) -> None:
        self.unit = unit
        self.build = Builder()
        self.block: list[ast.stmt] = []
        self.facts = facts
        self.top = top
        self.global_names: set[str] = set()
        self.temporaries = 0

    def strict(self, node: Node) -> tuple[ast.expr, Hint]:
        """An expression for `node`'s value in weak head normal form, after statements put into the block."""
        raise NotImplementedError

    def lazy(self, node: Node) -> ast.expr:
        """An expression for `node` as a value or a thunk; it neither fails nor needs statements."""
        raise NotImplementedError

    def tail(self, node: Node) -> None:
        """Statements that return `node`'s value."""
        raise NotImplementedError

    def inner(self, *, top: bool) -> EmitterBase:
        """An emitter for a function inside of this one, which starts with the facts known here."""
        return type(self)(self.unit, dict(self.facts), top=top)

    def at(self, offset: int) -> Builder:
        """The builder, placed at a source offset."""
        line, column = self.unit.source.line_column(offset)
        self.build.line, self.build.column = line, column - 1
        return self.build

    def temporary(self) -> str:
        """A new local name."""
        self.temporaries += 1
        return f"_{self.temporaries}"

    def add(self, statement: ast.stmt) -> None:
        """Put a statement into the current block."""
        self.block.append(statement)

    def apart(self, make: Callable[[], Any]) -> tuple[Any, list[ast.stmt]]:
        """`make()` with a block of its own, which is given back."""
        outer, self.block = self.block, []
        made = make()
        added, self.block = self.block, outer
        return made, added

    def in_order(self, makers: Iterable[Callable[[], ast.expr]]) -> list[ast.expr]:
        """Expressions to be evaluated in this order, even where a later one needs statements before it."""
        done: list[ast.expr] = []
        for make in makers:
            expression, added = self.apart(make)
            if added:
                for index, earlier in enumerate(done):
                    if not isinstance(earlier, (ast.Name, ast.Constant)):
                        name = self.temporary()
                        self.add(self.build.assign(name, earlier))
                        done[index] = self.build.name(name)
                self.block.extend(added)
            done.append(expression)
        return done

    def named(self, expression: ast.expr) -> tuple[ast.expr, ast.expr]:
        """The expression to evaluate once, and one that reads its value again."""
        if isinstance(expression, (ast.Name, ast.Constant)):
            return expression, expression
        name = self.temporary()
        return self.build.walrus(name, expression), self.build.name(name)

    def spelled(self, variable: Variable) -> str:
        """The Python name of a variable."""
        if variable.top:
            self.unit.top_names[variable.spelled] = None
        return variable.spelled

    def assign_name(self, variable: Variable) -> str:
        """The Python name of a variable that this function writes."""
        if variable.top:
            self.global_names.add(variable.spelled)
        return self.spelled(variable)

    def read(self, variable: Variable) -> ast.expr:
        """A variable as it is, thunk or value."""
        if variable.closed:
            assert isinstance(variable.value, Function)
            return self.closed_function(variable.value)
        constant = constant_of(variable.value)
        if constant is not None:
            return self.build.constant(constant[0])
        return self.build.name(self.spelled(variable))

    def force(self, variable: Variable) -> tuple[ast.expr, Hint]:
        """A variable evaluated; the Python variable keeps the value."""
        constant = constant_of(variable.value)
        if constant is not None:
            return self.read(variable), "str" if isinstance(constant[0], str) else "num"
        if variable.closed:
            return self.read(variable), "fn"
        known = self.facts.get(variable)
        if known is not None:
            return self.read(variable), known
        self.facts[variable] = ""
        build = self.build
        name = self.spelled(variable)
        evaluated = build.walrus(self.assign_name(variable), build.run("evaluate", build.name(name)))
        test = build.compare(build.run("type", build.name(name)), IS_NOT, build.name("Thunk"))
        return build.choose(test, build.name(name), evaluated), ""

    def function_definition(self, name: str, parameters: list[str], captured: list[Variable]) -> None:
        """Close this emitter's block as a Python function of the unit; `parameters` come behind what it captures."""
        build = self.build
        if len(captured) == 1:
            first = captured[0].spelled
        else:
            first = "_env"
            if captured:
                targets: Any = ast.Tuple(
                    [build.target(v.spelled) for v in captured],
                    ast.Store(),
                    lineno=build.line,
                    col_offset=build.column,
                )
                unpack = ast.Assign([targets], build.name("_env"), lineno=build.line, col_offset=build.column)
                self.block.insert(0, unpack)
        self.unit.functions.append(build.function(name, [first, *parameters], self.block, sorted(self.global_names)))

    def environment(self, captured: list[Variable]) -> ast.expr:
        """What a thunk or function that captures these is handed."""
        if not captured:
            return self.build.constant(None)
        if len(captured) == 1:
            return self.build.name(captured[0].spelled)
        return self.build.tuple_of([self.build.name(v.spelled) for v in captured])

    def thunk_code(self, node: Node, label: tuple[str, int] | None = None) -> str:
        """The Python function that evaluates `node`."""
        name = self.unit.fresh("t")
        if label is not None:
            self.unit.labels[name] = (label[0], *self.unit.source.line_column(label[1]))
        inner = self.inner(top=self.top)
        inner.tail(node)
        inner.at(node.at)
        inner.function_definition(name, [], captured_by(node))
        return name

    def thunk(self, node: Node, label: tuple[str, int] | None = None) -> ast.expr:
        """A thunk of `node`."""
        code = self.thunk_code(node, label)
        build = self.at(node.at)
        return build.run("thunk", build.name(code), self.environment(captured_by(node)))

    def emit_function(self, node: Function) -> FunctionCode:
        """The Python function of `node`, emitted if it was not yet."""
        code = self.unit.code_of(node)
        if not code.emitted:
            code.emitted = True
            inner = self.inner(top=False)
            inner.function_body(code)
            inner.at(node.at)
        return code

    def function_body(self, code: FunctionCode) -> None:
        """Parameters, formals and body of a function."""
        raise NotImplementedError

    def closed_function(self, node: Function) -> ast.expr:
        """The one value of a function that captures nothing."""
        code = self.unit.code_of(node)
        found = self.unit.closed_functions.get(code.name)
        if found is None:
            found = self.unit.closed_functions[code.name] = (self.unit.fresh("c"), code.arity)
        return self.build.name(found[0])

    def closure(self, node: Function) -> ast.expr:
        """A function value."""
        code = self.emit_function(node)
        build = self.at(node.at)
        captured = captured_by(node)
        if not captured:
            return self.closed_function(node)
        return build.run(CONSTRUCTORS[code.arity], build.name(code.name), self.environment(captured))
