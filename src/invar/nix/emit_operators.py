"""Operators, conditions and strings as Python expressions with the common case inline."""

from __future__ import annotations

import ast
from typing import Any

from invar.nix.ast import Assert, AttrSet, Binary, If, ListLiteral, Literal, Negate, Node, Not, String, Var
from invar.nix.emit_base import EmitterBase, Hint, constant_of
from invar.nix.pybuild import ADD, AND, EQ, GT, GTE, IN, IS, IS_NOT, LT, LTE, MULT, NOT_EQ, OR, SUB
from invar.nix.resolve import Builtin, Variable
from invar.nix.unparse import unparse
from invar.nix.values import INT_MAX, INT_MIN

ARITHMETIC: dict[str, tuple[ast.operator, str]] = {"+": (ADD, "add"), "-": (SUB, "subtract"), "*": (MULT, "multiply")}
COMPARISONS: dict[str, ast.cmpop] = {"<": LT, "<=": LTE, ">": GT, ">=": GTE}
NUMERIC = ("int", "num")


class OperatorEmitter(EmitterBase):
    """The part of the emitter that knows operators."""

    def condition(self, node: Node) -> ast.expr:
        """An expression that is True or False."""
        expression, hint = self.strict(node)
        if hint == "bool":
            return expression
        build = self.at(node.at)
        once, again = self.named(expression)
        return build.choose(build.is_type(once, "bool"), again, build.run("not_bool", again))

    def binary(self, node: Binary) -> tuple[ast.expr, Hint]:
        """Any infix operator."""
        operator = node.operator
        if operator in ("&&", "||", "->"):
            return self.logical(node), "bool"
        if operator in ("==", "!="):
            return self.equality(node), "bool"
        if operator in COMPARISONS:
            return self.comparison(node), "bool"
        if operator in ARITHMETIC:
            return self.arithmetic(node)
        if operator == "//":
            return self.updated(node), "set"
        left, right = self.operands(node)[0]
        build = self.at(node.at)
        if operator == "++":
            first, first_again = self.named(left)
            second, second_again = self.named(right)
            both = build.compare(build.run("type", first), IS, build.run("type", second), IS, build.name("list"))
            joined = build.binary(first_again, ADD, second_again)
            return build.choose(both, joined, build.run("concatenate", first_again, second_again)), "list"
        return build.run("divide", left, right), "num"

    def updated(self, node: Binary) -> ast.expr:
        """`//`: what stands on the left is known to be a set before the right is evaluated."""

        def left() -> ast.expr:
            expression, hint = self.strict(node.left)
            if hint == "set" or isinstance(node.right, (AttrSet, Var)):
                return expression
            build = self.at(node.at)
            once, again = self.named(expression)
            return build.choose(build.is_type(once, "dict"), again, build.run("expect_set", again))

        first, second = self.in_order([left, lambda: self.strict(node.right)[0]])
        return self.at(node.at).run("update", first, second)

    def operands(self, node: Binary) -> tuple[list[ast.expr], list[Hint]]:
        """Both sides, evaluated from left to right."""
        hints: list[Hint] = []

        def side(part: Node) -> ast.expr:
            expression, hint = self.strict(part)
            hints.append(hint)
            return expression

        return self.in_order([lambda: side(node.left), lambda: side(node.right)]), hints

    def logical(self, node: Binary) -> ast.expr:
        """`&&`, `||`, `->`: the right side only if it decides."""
        left = self.condition(node.left)
        build = self.at(node.at)
        if node.operator == "->":
            left = build.negation(left)
        before = dict(self.facts)
        right, added = self.apart(lambda: self.condition(node.right))
        self.facts = before
        build = self.at(node.at)
        if not added:
            return build.logic(AND if node.operator == "&&" else OR, left, right)
        name = self.temporary()
        self.add(build.assign(name, left))
        added.append(build.assign(name, right))
        test = build.name(name)
        self.add(build.when(test if node.operator == "&&" else build.negation(test), added))
        return build.name(name)

    def equality(self, node: Binary) -> ast.expr:
        """`==` and `!=`, cheaper where one side is a literal."""
        (left, right), hints = self.operands(node)
        build = self.at(node.at)
        wanted = node.operator == "=="
        for literal_node, other, hint in ((node.right, left, hints[0]), (node.left, right, hints[1])):
            found = _comparable(literal_node)
            if found is None:
                continue
            (literal,) = found
            if literal is None or literal is True or literal is False:
                return build.compare(other, IS if wanted else IS_NOT, build.constant(literal))
            value = build.list_of([]) if literal == [] else build.constant(literal)
            if isinstance(literal, (int, float)) and hint not in NUMERIC:
                once, again = self.named(other)
                same = build.compare(once, EQ, value)
                result = build.logic(AND, same, build.compare(build.run("type", again), IS_NOT, build.name("bool")))
                return result if wanted else build.negation(result)
            return build.compare(other, EQ if wanted else NOT_EQ, value)
        if hints[0] in NUMERIC and hints[1] in NUMERIC:
            return build.compare(left, EQ if wanted else NOT_EQ, right)
        if hints[0] == "" and hints[1] == "":
            first, left = self.named(left)
            second, right = self.named(right)
            same = build.compare(build.run("type", first), IS, build.run("type", second))
            simple = build.compare(build.run("type", left), IN, build.name("SIMPLE"))
            quick = build.compare(left, EQ, right)
            result = build.choose(build.logic(AND, same, simple), quick, build.run("equal", left, right))
            return result if wanted else build.negation(result)
        result = build.run("equal", left, right)
        return result if wanted else build.negation(result)

    def comparison(self, node: Binary) -> ast.expr:
        """`<`, `<=`, `>`, `>=`. Nix has only `<`: of `a > b` and `a <= b` it evaluates b first, as it does here."""
        if node.operator in (">", "<="):
            node = Binary(node.at, "<" if node.operator == ">" else ">=", node.right, node.left)
        (left, right), hints = self.operands(node)
        build = self.at(node.at)
        operator = COMPARISONS[node.operator]
        if hints[0] in NUMERIC and hints[1] in NUMERIC:
            return build.compare(left, operator, right)
        first, left = self.named(left)
        second, right = self.named(right)
        if hints[1] in NUMERIC and isinstance(right, ast.Constant):
            test = build.is_type(first, "int")
            self.learn(node.left, "num")
        elif hints[0] in NUMERIC and isinstance(left, ast.Constant):
            test = build.is_type(second, "int")
            self.learn(node.right, "num")
        else:
            test = build.compare(build.run("type", first), IS, build.run("type", second), IS, build.name("int"))
        slow = build.run("less", left, right)
        if node.operator == ">=":
            slow = build.negation(slow)
        return build.choose(test, build.compare(left, operator, right), slow)

    def arithmetic(self, node: Binary) -> tuple[ast.expr, Hint]:
        """`+`, `-`, `*`; `+` also joins strings and paths."""
        if node.operator == "+" and isinstance(node.left, String):
            return self.joined([node.left, node.right], node.at), "str"
        (left, right), hints = self.operands(node)
        build = self.at(node.at)
        operator, slow = ARITHMETIC[node.operator]
        if node.operator == "+" and hints[0] == "str":
            return build.binary(left, ADD, self.as_string(right, hints[1])), "str"
        if node.operator == "+" and hints[0] not in NUMERIC:
            slow = "add_any"
        if node.operator == "+" and hints[1] == "str":
            once, again = self.named(left)
            text, text_again = self.named(right)
            joined = build.binary(again, ADD, text)
            if not isinstance(text, (ast.Name, ast.Constant)):
                return build.run("add_any", left, right), ""
            return build.choose(build.is_type(once, "str"), joined, build.run(slow, again, text_again)), ""
        first, left_again = self.named(left)
        second, right_again = self.named(right)
        numeric = hints[0] in NUMERIC and hints[1] in NUMERIC
        result = self.temporary()
        value = build.walrus(
            result, build.binary(left_again if not numeric else first, operator, second if numeric else right_again)
        )
        fits = self._fits(node, value)
        if numeric:
            test = fits
        elif hints[1] in NUMERIC and isinstance(right_again, ast.Constant) and type(right_again.value) is int:
            test = build.logic(AND, build.is_type(first, "int"), fits)
        elif hints[0] in NUMERIC and isinstance(left_again, ast.Constant) and type(left_again.value) is int:
            test = build.logic(AND, build.is_type(second, "int"), fits)
        else:
            both = build.compare(build.run("type", first), IS, build.run("type", second), IS, build.name("int"))
            test = build.logic(AND, both, fits)
        if node.operator != "+":
            self.learn(node.left, "num")
            self.learn(node.right, "num")
        hint = "num" if node.operator != "+" or hints[0] in NUMERIC else ""
        return build.choose(test, build.name(result), build.run(slow, left_again, right_again)), hint

    def _fits(self, node: Binary, value: ast.expr) -> ast.expr:
        """Whether an integer result is one of 64 bits, looking only at the side where it can go wrong."""
        build = self.build
        literal = node.right if isinstance(node.right, Literal) else node.left if node.operator == "+" else None
        if isinstance(literal, Literal) and type(literal.value) is int and node.operator != "*":
            if node.operator == "+":
                return build.compare(value, LTE, build.constant(INT_MAX))
            return build.compare(value, GTE, build.constant(INT_MIN))
        return build.compare(build.constant(INT_MIN), LTE, value, LTE, build.constant(INT_MAX))

    def learn(self, node: Node, hint: Hint) -> None:
        """Note what is known of a variable once the operation that was just emitted has succeeded."""
        if isinstance(node, Var) and isinstance(node.binding, Variable) and self.facts.get(node.binding) == "":
            self.facts[node.binding] = hint

    def invert(self, node: Not) -> tuple[ast.expr, Hint]:
        """`!operand`."""
        operand = self.condition(node.operand)
        return self.at(node.at).negation(operand), "bool"

    def negate(self, node: Negate) -> tuple[ast.expr, Hint]:
        """`-operand`."""
        if isinstance(node.operand, Literal):
            value = node.operand.value
            return self.at(node.at).constant(-value if value else 0 - value), "num"
        operand, _ = self.strict(node.operand)
        return self.at(node.at).run("negate", operand), "num"

    def string(self, node: String) -> tuple[ast.expr, Hint]:
        """A string with interpolations; contexts follow from `+` of strings."""
        return self.joined([node], node.at), "str"

    def joined(self, nodes: list[Node], at: int) -> ast.expr:
        """Strings and what is coerced to one, one after the other."""
        pieces: list[Any] = []
        for node in nodes:
            pieces += node.parts if isinstance(node, String) else [node]
        texts = self.in_order([lambda piece=piece: self._piece(piece, at) for piece in pieces])  # type: ignore[misc]
        if not texts:
            return self.at(at).constant("")
        build = self.at(at)
        whole = texts[0]
        for text in texts[1:]:
            whole = build.binary(whole, ADD, text)
        return whole

    def _piece(self, piece: str | Node, at: int) -> ast.expr:
        if isinstance(piece, str):
            return self.at(at).constant(piece)
        expression, hint = self.strict(piece)
        self.at(piece.at)
        return self.as_string(expression, hint)

    def as_string(self, expression: ast.expr, hint: Hint) -> ast.expr:
        """An evaluated expression coerced to a string, as interpolation does."""
        if hint == "str":
            return expression
        build = self.build
        once, again = self.named(expression)
        return build.choose(build.is_type(once, "str"), again, build.run("interpolate", again))

    def conditional(self, node: If) -> tuple[ast.expr, Hint]:
        """`if` as an expression where neither branch needs statements, else through a temporary."""
        test = self.condition(node.condition)
        before = dict(self.facts)
        (yes, yes_hint), yes_block = self.apart(lambda: self.strict(node.yes))
        after_yes, self.facts = self.facts, before
        (no, no_hint), no_block = self.apart(lambda: self.strict(node.no))
        self.facts = {v: hint if after_yes[v] == hint else "" for v, hint in self.facts.items() if v in after_yes}
        build = self.at(node.at)
        hint = yes_hint if yes_hint == no_hint else "num" if {yes_hint, no_hint} == set(NUMERIC) else ""
        if not yes_block and not no_block:
            return build.choose(test, yes, no), hint
        name = self.temporary()
        yes_block.append(build.assign(name, yes))
        no_block.append(build.assign(name, no))
        self.add(build.when(test, yes_block, no_block))
        return build.name(name), hint

    def tail_conditional(self, node: If) -> None:
        """`if` whose branches return."""
        test = self.condition(node.condition)
        before = dict(self.facts)
        _, yes_block = self.apart(lambda: self.tail(node.yes))
        self.facts = before
        self.add(self.at(node.at).when(test, yes_block))
        self.tail(node.no)

    def assertion(self, node: Assert) -> None:
        """`assert` as a statement; the body comes behind it."""
        test = self.condition(node.condition)
        build = self.at(node.at)
        failed = build.statement(build.run("assertion_failed", build.constant(unparse(node.condition))))
        self.add(build.when(build.negation(test), [failed]))


def _comparable(node: Node) -> tuple[Any] | None:
    """A literal that Python's own `==` or `is` compares as Nix does, as (value,)."""
    found: tuple[Any] | None = constant_of(node)
    if found is not None:
        return found
    if isinstance(node, Var) and isinstance(node.binding, Builtin):
        return {"null": (None,), "true": (True,), "false": (False,)}.get(node.binding.name)
    if isinstance(node, ListLiteral) and not node.items:
        return ([],)
    return None
