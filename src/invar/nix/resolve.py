"""Names to bindings before any code is written: variables, builtins, `with` look-ups; and what each node captures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

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
    InheritFrom,
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
from invar.nix.errors import NixUndefined, did_you_mean, nearest
from invar.nix.lexer import Source


@dataclass(slots=True, eq=False)
class Variable:
    """One bound name. `top` when no function encloses it: it has one value per evaluation of the file."""

    name: str
    uid: int
    top: bool
    value: Node | None = None
    uses: int = 0
    closed: bool = False
    spelled: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.spelled = f"{self.name}_{self.uid}"


@dataclass(frozen=True, slots=True)
class Builtin:
    """A name of the base environment; `name` without a leading `__`."""

    name: str


@dataclass(frozen=True, slots=True)
class WithLookup:
    """A name to be looked up at run time in the subjects of the enclosing `with`, innermost first."""

    subjects: tuple[Variable, ...]


@dataclass(frozen=True, slots=True)
class Overridable:
    """A name of a recursive set with `__overrides`: looked up in the finished set."""

    holder: Variable


Bound: TypeAlias = Variable | Builtin | WithLookup | Overridable


@dataclass(slots=True, eq=False)
class Scope:
    """Names visible from here outwards."""

    parent: Scope | None
    names: dict[str, Any]
    subject: Variable | None = None


NOTHING: frozenset[Variable] = frozenset()


def resolve(root: Node, source: Source, is_builtin: Callable[[str], str | None], scoped: Iterable[str] = ()) -> None:
    """Fill `binding`, `variable` and `free` in the whole tree.

    `is_builtin` gives the builtin that a free name stands for; `scoped` are names given by `scopedImport`. Raises
    NixUndefined for a name that nothing defines.
    """
    resolver = _Resolver(source, is_builtin)
    scope = None
    if scoped:
        given = {name: resolver.variable(name, top=True) for name in scoped}
        for variable in given.values():
            variable.spelled = f"scoped {variable.name}"
        scope = Scope(None, given)
    resolver.visit(root, scope, top=True)
    _find_closed_functions(resolver.variables)


class _Resolver:
    def __init__(self, source: Source, is_builtin: Callable[[str], str | None]) -> None:
        self.source = source
        self.is_builtin = is_builtin
        self.variables: list[Variable] = []

    def variable(self, name: str, *, top: bool, value: Node | None = None) -> Variable:
        made = Variable(name, len(self.variables), top, value)
        self.variables.append(made)
        return made

    def visit(self, node: Node, scope: Scope | None, top: bool) -> frozenset[Variable]:
        free = _VISITS[type(node)](self, node, scope, top)
        node.free = free
        return free

    def visit_all(self, nodes: Iterable[Any], scope: Scope | None, top: bool) -> frozenset[Variable]:
        """Union over those of `nodes` that are nodes (texts are skipped)."""
        found = NOTHING
        for node in nodes:
            if isinstance(node, Node):
                free = self.visit(node, scope, top)
                found = found | free if found and free else found or free
        return found

    def leaf(self, node: Node, scope: Scope | None, top: bool) -> frozenset[Variable]:
        return NOTHING

    def var(self, node: Var, scope: Scope | None, top: bool) -> frozenset[Variable]:
        bound = self.lookup(node, scope)
        node.binding = bound
        if isinstance(bound, Variable):
            bound.uses += 1
            return frozenset((bound,))
        if isinstance(bound, WithLookup):
            for subject in bound.subjects:
                subject.uses += 1
            return frozenset(bound.subjects)
        if isinstance(bound, Overridable):
            bound.holder.uses += 1
            return frozenset((bound.holder,))
        return NOTHING

    def lookup(self, node: Var, scope: Scope | None) -> Bound:
        name = node.name
        subjects: list[Variable] = []
        here = scope
        while here is not None:
            if here.subject is not None:
                subjects.append(here.subject)
            elif name in here.names:
                found: Bound = here.names[name]
                return found
            here = here.parent
        builtin = self.is_builtin(name)
        if builtin is not None:
            return Builtin(builtin)
        if subjects:
            return WithLookup(tuple(subjects))
        visible: set[str] = set()
        here = scope
        while here is not None:
            visible.update(here.names)
            here = here.parent
        hint = did_you_mean(nearest(name, visible))
        raise NixUndefined(f"undefined variable '{name}'", self.source.pos(node.at), hint)

    def parts(self, node: String | PathLiteral, scope: Scope | None, top: bool) -> frozenset[Variable]:
        return self.visit_all(node.parts, scope, top)

    def select(self, node: Select, scope: Scope | None, top: bool) -> frozenset[Variable]:
        children: list[Name] = [node.subject, *node.path]
        if node.default is not None:
            children.append(node.default)
        return self.visit_all(children, scope, top)

    def has_attr(self, node: HasAttr, scope: Scope | None, top: bool) -> frozenset[Variable]:
        return self.visit_all([node.subject, *node.path], scope, top)

    def call(self, node: Call, scope: Scope | None, top: bool) -> frozenset[Variable]:
        return self.visit_all([node.function, *node.arguments], scope, top)

    def function(self, node: Function, scope: Scope | None, top: bool) -> frozenset[Variable]:
        names: dict[str, Variable] = {}
        if node.argument is not None:
            names[node.argument] = node.variable = self.variable(node.argument, top=False)
        for formal in node.formals or ():
            names[formal.name] = formal.variable = self.variable(formal.name, top=False)
        inner = Scope(scope, names)
        defaults = [formal.default for formal in node.formals or () if formal.default is not None]
        return self.visit_all([*defaults, node.body], inner, False).difference(names.values())

    def list_literal(self, node: ListLiteral, scope: Scope | None, top: bool) -> frozenset[Variable]:
        return self.visit_all(node.items, scope, top)

    def bindings(
        self,
        bindings: Iterable[Binding],
        origins: list[InheritFrom],
        outer: Scope | None,
        inner: Scope | None,
        top: bool,
    ) -> frozenset[Variable]:
        found = NOTHING
        for origin in origins:
            origin.variable = self.variable("origin", top=top, value=origin.source)
            found |= self.visit(origin.source, inner, top)
        for binding in bindings:
            found |= self.visit(binding.value, outer if binding.inherited else inner, top)
        return found.difference(origin.variable for origin in origins)

    def inherited(self, node: Inherited, scope: Scope | None, top: bool) -> frozenset[Variable]:
        node.origin.variable.uses += 1
        return frozenset((node.origin.variable,))

    def attr_set(self, node: AttrSet, scope: Scope | None, top: bool) -> frozenset[Variable]:
        inner = scope
        bound: list[Variable] = []
        if node.recursive and "__overrides" in node.bindings:
            holder = node.scope = self.variable("overridden", top=top)
            bound.append(holder)
            inner = Scope(scope, dict.fromkeys(node.bindings, Overridable(holder)))
        elif node.recursive:
            inner = self._scope_of(node.bindings, scope, top)
            bound.extend(binding.variable for binding in node.bindings.values())
        found = self.bindings(node.bindings.values(), node.origins, scope, inner, top)
        for dynamic in node.dynamic:
            found |= self.visit_all([dynamic.name, dynamic.value], inner, top)
        return found.difference(bound)

    def let(self, node: Let, scope: Scope | None, top: bool) -> frozenset[Variable]:
        inner = self._scope_of(node.bindings, scope, top)
        found = self.bindings(node.bindings.values(), node.origins, scope, inner, top) | self.visit(
            node.body, inner, top
        )
        return found.difference(binding.variable for binding in node.bindings.values())

    def _scope_of(self, bindings: dict[str, Binding], scope: Scope | None, top: bool) -> Scope:
        for binding in bindings.values():
            value = None if binding.inherited else binding.value
            binding.variable = self.variable(binding.name, top=top, value=value)
        return Scope(scope, {name: binding.variable for name, binding in bindings.items()})

    def with_scope(self, node: With, scope: Scope | None, top: bool) -> frozenset[Variable]:
        node.variable = self.variable("with", top=top)
        found = self.visit(node.subject, scope, top)
        inner = Scope(scope, {}, node.variable)
        return found | self.visit(node.body, inner, top).difference((node.variable,))

    def if_then_else(self, node: If, scope: Scope | None, top: bool) -> frozenset[Variable]:
        return self.visit_all([node.condition, node.yes, node.no], scope, top)

    def assertion(self, node: Assert, scope: Scope | None, top: bool) -> frozenset[Variable]:
        return self.visit_all([node.condition, node.body], scope, top)

    def unary(self, node: Not | Negate, scope: Scope | None, top: bool) -> frozenset[Variable]:
        return self.visit(node.operand, scope, top)

    def binary(self, node: Binary, scope: Scope | None, top: bool) -> frozenset[Variable]:
        return self.visit_all([node.left, node.right], scope, top)


def _find_closed_functions(variables: list[Variable]) -> None:
    """Mark variables whose value is a function that captures nothing but top-level names and other such functions."""
    candidates = {variable for variable in variables if isinstance(variable.value, Function)}
    changed = True
    while changed:
        changed = False
        for variable in list(candidates):
            assert variable.value is not None
            if any(not free.top and free not in candidates for free in variable.value.free):
                candidates.discard(variable)
                changed = True
    for variable in candidates:
        variable.closed = True


_VISITS: dict[type, Callable[[Any, Any, Scope | None, bool], frozenset[Variable]]] = {
    Var: _Resolver.var,
    String: _Resolver.parts,
    PathLiteral: _Resolver.parts,
    Select: _Resolver.select,
    HasAttr: _Resolver.has_attr,
    Call: _Resolver.call,
    Function: _Resolver.function,
    ListLiteral: _Resolver.list_literal,
    Inherited: _Resolver.inherited,
    AttrSet: _Resolver.attr_set,
    Let: _Resolver.let,
    With: _Resolver.with_scope,
    If: _Resolver.if_then_else,
    Assert: _Resolver.assertion,
    Not: _Resolver.unary,
    Negate: _Resolver.unary,
    Binary: _Resolver.binary,
    Literal: _Resolver.leaf,
    SearchPath: _Resolver.leaf,
    CurrentPosition: _Resolver.leaf,
}
