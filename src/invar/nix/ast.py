"""The syntax tree of Nix, as the parser makes it. `at` is an offset into the source; `free` is filled by `resolve`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(slots=True, eq=False)
class Node:
    """Any expression."""

    at: int
    free: Any = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class Literal(Node):
    """An integer or a float."""

    value: int | float


@dataclass(slots=True, eq=False)
class String(Node):
    """A string: parts are texts and interpolated expressions. No parts: the empty string."""

    parts: list[str | Node]


@dataclass(slots=True, eq=False)
class PathLiteral(Node):
    """A path: `text` as written, absolute, relative or starting with `~`; `parts` follow where it is interpolated."""

    text: str
    parts: list[str | Node]


@dataclass(slots=True, eq=False)
class SearchPath(Node):
    """`<name>`."""

    name: str


@dataclass(slots=True, eq=False)
class Var(Node):
    """A variable. `binding` is filled by `resolve`."""

    name: str
    binding: Any = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class Select(Node):
    """`subject.path or default`."""

    subject: Node
    path: list[Name]
    default: Node | None


@dataclass(slots=True, eq=False)
class HasAttr(Node):
    """`subject ? path`."""

    subject: Node
    path: list[Name]


@dataclass(slots=True, eq=False)
class Call(Node):
    """`function argument ...`."""

    function: Node
    arguments: list[Node]


@dataclass(slots=True, eq=False)
class Formal:
    """One name of `{ a, b ? default }`."""

    at: int
    name: str
    default: Node | None
    variable: Any = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class Function(Node):
    """`argument: body` or `{ formals }@argument: body`. `name` is the attribute or variable it is bound to."""

    argument: str | None
    formals: list[Formal] | None
    ellipsis: bool
    body: Node
    name: str | None = field(default=None, init=False)
    variable: Any = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class ListLiteral(Node):
    """`[ items ]`."""

    items: list[Node]


@dataclass(slots=True, eq=False)
class Binding:
    """`name = value` in a set or a let; `inherited` for `inherit name`, whose value is looked up in the outer scope."""

    at: int
    name: str
    value: Node
    inherited: bool
    variable: Any = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class DynamicBinding:
    """`${name} = value`."""

    at: int
    name: Node
    value: Node


@dataclass(slots=True, eq=False)
class InheritFrom:
    """The source of `inherit (source) a b`: evaluated at most once, shared by its names."""

    source: Node
    variable: Any = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class Inherited(Node):
    """The value of one name of `inherit (source) name`."""

    origin: InheritFrom
    name: str


@dataclass(slots=True, eq=False)
class AttrSet(Node):
    """`{ ... }` or `rec { ... }`."""

    recursive: bool
    bindings: dict[str, Binding]
    dynamic: list[DynamicBinding]
    origins: list[InheritFrom]
    scope: Any = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class Let(Node):
    """`let ... in body`."""

    bindings: dict[str, Binding]
    origins: list[InheritFrom]
    body: Node
    scope: Any = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class With(Node):
    """`with subject; body`."""

    subject: Node
    body: Node
    variable: Any = field(default=None, init=False, repr=False)


@dataclass(slots=True, eq=False)
class If(Node):
    """`if condition then yes else no`."""

    condition: Node
    yes: Node
    no: Node


@dataclass(slots=True, eq=False)
class Assert(Node):
    """`assert condition; body`."""

    condition: Node
    body: Node


@dataclass(slots=True, eq=False)
class Not(Node):
    """`!operand`."""

    operand: Node


@dataclass(slots=True, eq=False)
class Negate(Node):
    """`-operand`."""

    operand: Node


@dataclass(slots=True, eq=False)
class Binary(Node):
    """`left operator right`; `at` is the operator's place."""

    operator: str
    left: Node
    right: Node


@dataclass(slots=True, eq=False)
class CurrentPosition(Node):
    """`__curPos`."""


Name: TypeAlias = str | Node
"""One step of an attribute path: a static name, or an expression that gives it."""
