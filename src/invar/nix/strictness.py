"""What the text of a function or a let tells before it runs: which variable it needs first, how it compares."""

from __future__ import annotations

from invar.nix.ast import (
    Assert,
    AttrSet,
    Binary,
    Call,
    Function,
    HasAttr,
    If,
    Let,
    ListLiteral,
    Literal,
    Negate,
    Node,
    Not,
    Select,
    String,
    Var,
    With,
)
from invar.nix.resolve import Variable

SMALL = 4


def first_needed(node: Node) -> Variable | None:
    """The variable that evaluating `node` evaluates before anything else: it may as well be evaluated already."""
    while True:
        if isinstance(node, Var):
            return node.binding if isinstance(node.binding, Variable) else None
        if isinstance(node, Binary):
            first, second = (node.right, node.left) if node.operator in (">", "<=") else (node.left, node.right)
            node = second if isinstance(first, Literal) else first
        elif isinstance(node, (Select, HasAttr)):
            node = node.subject
        elif isinstance(node, (If, Assert)):
            node = node.condition
        elif isinstance(node, (Not, Negate)):
            node = node.operand
        elif isinstance(node, Call):
            node = node.function
        elif isinstance(node, String):
            pieces = [part for part in node.parts if not isinstance(part, str)]
            if not pieces:
                return None
            node = pieces[0]
        elif isinstance(node, With):
            node = node.body
        elif isinstance(node, Let):
            found = first_needed(node.body)
            if found is None or not any(b.variable is found for b in node.bindings.values()):
                return found
            if found.value is None:
                return None
            node = found.value
        else:
            return None


def sort_key(function: Function) -> tuple[str, tuple[str, ...]] | None:
    """("<", ("key",)) for `a: b: a.key < b.key`, ("<", ()) for `a: b: a < b`; None for any other comparator."""
    inner = function.body
    if function.formals is not None or not isinstance(inner, Function) or inner.formals is not None:
        return None
    body = inner.body
    if not isinstance(body, Binary) or body.operator not in ("<", ">"):
        return None
    left, right = _selection(body.left), _selection(body.right)
    if left is None or right is None or left[1] != right[1]:
        return None
    if (left[0], right[0]) == (function.variable, inner.variable):
        return body.operator, left[1]
    if (left[0], right[0]) == (inner.variable, function.variable):
        return "<" if body.operator == ">" else ">", left[1]
    return None


def _selection(node: Node) -> tuple[object, tuple[str, ...]] | None:
    if isinstance(node, Var):
        return node.binding, ()
    if isinstance(node, Select) and isinstance(node.subject, Var) and node.default is None:
        names = [step for step in node.path if isinstance(step, str)]
        if len(names) == len(node.path):
            return node.subject.binding, tuple(names)
    return None


def cheap_result(function: Function) -> str:
    """ "argument" for `x: x`; "value" where a call just makes a small list or set and cannot fail; else ""."""
    if function.formals is not None:
        return ""
    body = function.body
    if isinstance(body, Var) and body.binding is function.variable:
        return "argument"
    if isinstance(body, AttrSet):
        plain = not body.dynamic and not body.recursive and not body.origins
        return "value" if plain and len(body.bindings) <= SMALL else ""
    return "value" if isinstance(body, ListLiteral) and len(body.items) <= SMALL else ""
