"""let, rec, sets and formals: in which order names are bound, and which thunks must exist before they are filled."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from invar.nix.ast import (
    AttrSet,
    Binary,
    Binding,
    Formal,
    Function,
    Inherited,
    InheritFrom,
    Let,
    ListLiteral,
    Literal,
    Node,
    Select,
    String,
    Var,
    With,
)
from invar.nix.emit_base import EmitterBase, FunctionCode, Hint, captured_by, constant_of
from invar.nix.pybuild import GT, IN, IS, IS_NOT, NOT_EQ, NOT_IN
from invar.nix.resolve import Variable
from invar.nix.strictness import first_needed

CONSTRUCTED = ("", "Lambda", "Lambda2", "Lambda3")
EAGER_THUNKS = 3
"""A set or list within an expression that is not needed yet is built at once if this many thunks are enough for it."""


@dataclass(slots=True)
class Group:
    """Names that are bound together and may refer to each other."""

    values: dict[Variable, tuple[Node, tuple[str, int] | None]]
    state: dict[Variable, int] = field(default_factory=dict)
    allocated: set[Variable] = field(default_factory=set)


class BindingEmitter(EmitterBase):
    """The part of the emitter that binds names."""

    def let(self, node: Let) -> None:
        """Bind the names of a let; its body comes behind."""
        values = self._of_origins(node.origins)
        for binding in node.bindings.values():
            values[binding.variable] = (binding.value, None)
        needed = first_needed(node.body)
        if needed not in values or needed is None or not self._may_come_last(needed, values):
            self.bind(values)
            return
        value, _ = values.pop(needed)
        self.bind(values)
        expression, hint = self.strict(value)
        self.add(self.at(value.at).assign(self.assign_name(needed), expression))
        self.facts[needed] = hint

    def _may_come_last(self, needed: Variable, values: dict[Variable, tuple[Node, tuple[str, int] | None]]) -> bool:
        """Whether a variable that the body evaluates first can be evaluated at once: nothing else captures it."""
        value, _ = values[needed]
        if isinstance(value, (Function, Inherited)) or constant_of(value) is not None:
            return False
        return not any(needed in other.free for variable, (other, _) in values.items() if variable.uses)

    def with_scope(self, node: With) -> None:
        """Bind the subject of a `with`; its body comes behind."""
        if node.variable.uses:
            subject = self.lazy(node.subject)
            self.add(self.at(node.at).assign(self.assign_name(node.variable), subject))

    def attribute_set(self, node: AttrSet) -> tuple[ast.expr, Hint]:
        """A set as a dict display, dynamic names put in one by one behind it."""
        if node.scope is not None:
            return self._overridable_set(node), "set"
        values = self._of_origins(node.origins)
        if node.recursive:
            for binding in node.bindings.values():
                values[binding.variable] = (binding.value, _label(binding))
        self.bind(values, keep=node.recursive)
        if node.recursive:
            members = [self.read(binding.variable) for binding in node.bindings.values()]
        else:
            members = [self.member_value(binding) for binding in node.bindings.values()]
        return self._with_dynamic(node, self.display(node, members)), "set"

    def member_value(self, binding: Binding) -> ast.expr:
        """The value of one attribute, a thunk where it is not cheap."""
        return self.lazy_labelled(binding.value, _label(binding))

    def display(self, node: AttrSet, members: list[ast.expr]) -> ast.expr:
        """`{key: value, ...}`, with name objects that know their place."""
        keys = []
        for binding in node.bindings.values():
            build = self.at(binding.at)
            keys.append(build.name(self.unit.key(binding.name, binding.at)))
        return self.at(node.at).dict_of(keys, members)

    def _with_dynamic(self, node: AttrSet, display: ast.expr) -> ast.expr:
        if not node.dynamic:
            return display
        name = self.temporary()
        self.add(self.build.assign(name, display))
        for dynamic in node.dynamic:
            key, _ = self.strict(dynamic.name)
            value = self.lazy(dynamic.value)
            build = self.at(dynamic.at)
            self.add(build.statement(build.run("define_dynamic", build.name(name), key, value)))
        return self.at(node.at).name(name)

    def _overridable_set(self, node: AttrSet) -> ast.expr:
        holder = self.assign_name(node.scope)
        build = self.at(node.at)
        self.add(build.assign(holder, build.run("new", build.name("Thunk"))))
        self.bind(self._of_origins(node.origins))
        members = [self.member_value(binding) for binding in node.bindings.values()]
        plain = self._with_dynamic(node, self.display(node, members))
        build = self.at(node.at)
        self.add(build.set_attribute(holder, "data", plain))
        self.add(build.set_attribute(holder, "code", build.constant(None)))
        overridden = build.run("override_attrs", build.attribute(build.name(holder), "data"))
        self.add(build.set_attribute(holder, "data", overridden))
        return build.attribute(build.name(holder), "data")

    def _of_origins(self, origins: Iterable[InheritFrom]) -> dict[Variable, tuple[Node, tuple[str, int] | None]]:
        return {origin.variable: (origin.source, None) for origin in origins}

    def bind(self, values: dict[Variable, tuple[Node, tuple[str, int] | None]], *, keep: bool = False) -> None:
        """Statements that assign every variable that is used (or all, to `keep` them)."""
        group = Group({v: value for v, value in values.items() if v.uses or keep})
        for variable in group.values:
            if variable not in group.state:
                self._bind_one(group, variable)

    def _bind_one(self, group: Group, variable: Variable) -> None:
        node, label = group.values[variable]
        if variable.closed:
            assert isinstance(node, Function)
            group.state[variable] = 2
            self.emit_function(node)
            return
        if constant_of(variable.value) is not None:
            group.state[variable] = 2
            return
        group.state[variable] = 1
        delayed = isinstance(node, Function) or self.is_delayed(node)
        for needed in sorted(node.free, key=lambda v: v.uid):
            if needed not in group.values or (delayed and (needed.top or needed.closed)):
                continue
            if needed not in group.state:
                self._bind_one(group, needed)
            elif group.state[needed] == 1 and needed not in group.allocated:
                self._allocate(group, needed)
        self._assign(group, variable, node, label)
        group.state[variable] = 2

    def _allocate(self, group: Group, variable: Variable) -> None:
        """Make an empty thunk or function, to be filled when its turn comes."""
        group.allocated.add(variable)
        node, _ = group.values[variable]
        kind = CONSTRUCTED[self.unit.code_of(node).arity] if isinstance(node, Function) else "Thunk"
        build = self.at(node.at)
        self.add(build.assign(self.assign_name(variable), build.run("new", build.name(kind))))
        if isinstance(node, Function):
            self.facts[variable] = "fn"

    def _assign(self, group: Group, variable: Variable, node: Node, label: tuple[str, int] | None) -> None:
        if variable not in group.allocated:
            value = self.lazy_labelled(node, label)
            self.add(self.at(node.at).assign(self.assign_name(variable), value))
            if isinstance(value, (ast.List, ast.Dict)):
                self.facts[variable] = "list" if isinstance(value, ast.List) else "set"
            elif isinstance(node, Function):
                self.facts[variable] = "fn"
            return
        name = self.spelled(variable)
        captured = captured_by(node)
        if isinstance(node, Function):
            code, slot = self.emit_function(node).name, "env"
        else:
            code, slot = self.thunk_code(node, label), "data"
        build = self.at(node.at)
        self.add(build.set_attribute(name, "code", build.name(code)))
        self.add(build.set_attribute(name, slot, self.environment(captured)))

    def is_delayed(self, node: Node) -> bool:
        """Whether `lazy` makes a thunk of this in any case, so that it reads no variable yet."""
        if isinstance(node, Select):
            return not self.can_peek(node)
        if isinstance(node, Binary):
            return not self.can_compute(node)
        if isinstance(node, (ListLiteral, AttrSet)):
            return not self.is_cheap(node)
        return not isinstance(node, (Var, Inherited, Literal, String))

    def can_peek(self, node: Select) -> bool:
        """Whether `variable.name` may be looked at without evaluating anything."""
        return (
            isinstance(node.subject, Var)
            and isinstance(node.subject.binding, Variable)
            and node.default is None
            and len(node.path) == 1
            and isinstance(node.path[0], str)
        )

    def can_compute(self, node: Binary) -> bool:
        """Whether this is arithmetic of a variable and a literal, cheaper to do than to delay."""
        if node.operator not in ("+", "-", "*"):
            return False
        operands = (node.left, node.right)
        variables = [o for o in operands if isinstance(o, Var) and isinstance(o.binding, Variable)]
        literals = [o for o in operands if isinstance(o, Literal) and type(o.value) is int]
        return bool(variables) and len(variables) + len(literals) == 2

    def is_cheap(self, node: Node) -> bool:
        """Whether a list or set is built at once where it is not needed yet."""
        return _thunks_for(node, self, EAGER_THUNKS) <= EAGER_THUNKS

    def open_formals(self, code: FunctionCode, node: Function, argument: str) -> None:
        """Bind the formals of `{ a, b ? default, ... }` from the argument."""
        build = self.at(node.at)
        formals = node.formals or []
        is_set = build.compare(build.run("type", build.name(argument)), IS_NOT, build.name("dict"))
        opened = build.assign(argument, build.run("expect_set", build.name(argument)))
        self.add(build.when(is_set, [opened]))
        if node.variable is not None:
            self.facts[node.variable] = "set"
        required = [formal for formal in formals if formal.default is None]
        if required:
            taken: list[ast.stmt] = []
            for formal in required:
                value = build.subscript(build.name(argument), build.constant(formal.name))
                used = formal.variable.uses
                taken.append(build.assign(formal.variable.spelled, value) if used else build.statement(value))
            error = build.run("missing_argument", build.name(code.name), build.name(argument))
            self.add(build.attempt(taken, "KeyError", [build.throw(error)]))
        self._defaults([formal for formal in formals if formal.default is not None], argument, node)
        if not node.ellipsis:
            build = self.at(node.at)
            count = build.run("len", build.name(argument))
            compare = NOT_EQ if len(required) == len(formals) else GT
            test = build.compare(count, compare, build.constant(len(required)))
            check = build.run("check_formals", build.name(code.name), build.name(argument))
            self.add(build.when(test, [build.statement(check)]))

    def _defaults(self, formals: list[Formal], argument: str, node: Function) -> None:
        formals = [formal for formal in formals if formal.variable.uses]
        later = {formal.variable for formal in formals}
        filled: list[Formal] = []
        for formal in formals:
            default = formal.default
            assert default is not None
            given = self.at(formal.at).subscript(self.build.name(argument), self.build.constant(formal.name))
            test = self.build.compare(self.build.constant(formal.name), IN, self.build.name(argument))
            if any(variable in later for variable in default.free):
                otherwise = self.build.run("new", self.build.name("Thunk"))
                filled.append(formal)
            else:
                otherwise = self.lazy(default)
            build = self.at(formal.at)
            self.add(build.assign(formal.variable.spelled, build.choose(test, given, otherwise)))
            later.discard(formal.variable)
        for formal in filled:
            default = formal.default
            assert default is not None
            code = self.thunk_code(default)
            build = self.at(formal.at)
            absent = build.compare(build.constant(formal.name), NOT_IN, build.name(argument))
            name = formal.variable.spelled
            fill = [
                build.set_attribute(name, "code", build.name(code)),
                build.set_attribute(name, "data", self.environment(captured_by(default))),
            ]
            self.add(build.when(absent, fill))

    def lazy_labelled(self, node: Node, label: tuple[str, int] | None) -> ast.expr:
        """`lazy`, with the trace label of a thunk if one is made."""
        raise NotImplementedError

    def peek(self, variable: Variable, name: str, otherwise: ast.expr) -> ast.expr:
        """The attribute of a variable if that is an evaluated set which has it, else a thunk."""
        build = self.build
        test = build.compare(build.run("type", self.read(variable)), IS, build.name("dict"))
        found = build.invoke(build.attribute(self.read(variable), "get"), build.constant(name))
        there = build.compare(build.walrus("_v", found), IS_NOT, build.constant(None))
        return build.choose(
            ast.BoolOp(ast.And(), [test, there], lineno=build.line, col_offset=build.column),
            build.name("_v"),
            otherwise,
        )


def _label(binding: Binding) -> tuple[str, int]:
    return f"while evaluating the attribute '{binding.name}'", binding.at


def _thunks_for(node: Node, emitter: BindingEmitter, budget: int) -> int:
    """How many thunks building a list or set makes, counting no further than just above the budget."""
    if isinstance(node, ListLiteral):
        parts = node.items
    elif isinstance(node, AttrSet):
        if node.recursive or node.dynamic or node.origins:
            return budget + 1
        parts = [binding.value for binding in node.bindings.values()]
    else:
        if constant_of(node) is not None or isinstance(node, (Var, Function)):
            return 0
        return 1
    count = 0
    for part in parts:
        count += _thunks_for(part, emitter, budget - count)
        if count > budget:
            break
    return count
