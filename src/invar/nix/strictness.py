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
from invar.nix.resolve import Builtin, Variable

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


def evaluation_plan(name: str, plan: str, arguments: list[Node]) -> list[str]:
    """What a call of a builtin evaluates in any case: its signature's plan, and what these arguments add to it."""
    if name == "replaceStrings" and (texts := _texts(arguments[0])) is not None and texts == _texts(arguments[1]):
        return ["l0", "l1", "v2"]  # nothing can fail before the text is evaluated
    return plan.split()


def _texts(node: Node) -> int | None:
    """How many elements a list of plain, non-empty string literals has; None for anything else."""
    if not isinstance(node, ListLiteral):
        return None
    if all(
        isinstance(item, String) and len(item.parts) <= 1 and all(_is_text(p) for p in item.parts)
        for item in node.items
    ):
        return len(node.items)
    return None


def _is_text(part: object) -> bool:
    return isinstance(part, str)


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
    """ "argument" for `x: x`; "value" where a call just makes a small list or set and cannot fail; else "".

    "integer" where a call with an integer costs less than putting it off, though it may fail.
    """
    if function.formals is not None:
        return ""
    body = function.body
    if isinstance(body, Var) and body.binding is function.variable:
        return "argument"
    if isinstance(body, AttrSet):
        plain = not body.dynamic and not body.recursive and not body.origins
        return "value" if plain and len(body.bindings) <= SMALL else ""
    if isinstance(body, ListLiteral):
        return "value" if len(body.items) <= SMALL else ""
    return "integer" if _is_simple_text(body, function.variable) or _is_sum(body, function.variable) else ""


def _is_simple_text(node: Node, integer: object) -> bool:
    """`toString` of an integer, or a string with some of these in it."""
    if isinstance(node, String):
        return all(isinstance(part, str) or _is_simple_text(part, integer) for part in node.parts)
    if not isinstance(node, Call) or not isinstance(node.function, Var) or len(node.arguments) != 1:
        return False
    bound = node.function.binding
    return isinstance(bound, Builtin) and bound.name == "toString" and _is_sum(node.arguments[0], integer)


def _is_sum(node: Node, integer: object) -> bool:
    """Sums and products of an integer and literals."""
    if isinstance(node, Binary):
        return node.operator in ("+", "-", "*") and _is_sum(node.left, integer) and _is_sum(node.right, integer)
    if isinstance(node, Var):
        return node.binding is integer
    return isinstance(node, Literal) and type(node.value) is int
