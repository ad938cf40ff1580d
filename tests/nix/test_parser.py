"""The grammar: what is printed parses back to the same; precedences; what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from invar.nix import NixSyntaxError
from invar.nix.lexer import Source
from invar.nix.parser import parse
from invar.nix.unparse import unparse

sys.path.insert(0, str(Path(__file__).parent))
from cases import cases

EXPRESSIONS = [expression for expression, _ in cases("values.txt")]


def parsed(text: str, *, pipes: bool = False) -> str:
    features = frozenset({"pipe-operators"} if pipes else ())
    return unparse(parse(Source.of("test", text), features=features))


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda e: e[:60])
def test_printed_syntax_is_a_fixed_point(expression: str) -> None:
    once = parsed(expression)
    if "assert" not in expression and "/${" not in expression:  # Nix itself prints these so that they don't read back
        again = parsed(once)
        assert parsed(again) == again


PRECEDENCE = {
    "1 + 2 * 3": "(1 + (__mul 2 3))",
    "a ++ b ++ c": "(a ++ (b ++ c))",
    "a // b // c": "(a // (b // c))",
    "a -> b -> c": "(a -> (b -> c))",
    "a - b - c": "(__sub (__sub a b) c)",
    "!a && b": "((! a) && b)",
    "!a == b": "((! a) == b)",
    "!a ? b": "(! ((a) ? b))",
    "-a.b c": "(__sub 0 ((a).b c))",
    "a || b && c": "(a || (b && c))",
    "a == b || c < d": "((a == b) || (__lessThan c d))",
    "f x.y or z w": "(f (x).y or (z) w)",
    "a ? b // c": "(((a) ? b) // c)",
    "a: b: a + b": "(a: (b: (a + b)))",
    "with a; b + c": "(with a; (b + c))",
    "a > b": "(__lessThan b a)",
    "a <= b": "(! (__lessThan b a))",
}


@pytest.mark.parametrize(("text", "expected"), PRECEDENCE.items(), ids=PRECEDENCE)
def test_precedence(text: str, expected: str) -> None:
    assert parsed(text) == expected


def test_pipes_need_their_switch() -> None:
    assert parsed("1 |> f |> g", pipes=True) == "(g (f 1))"
    assert parsed("g <| f <| 1", pipes=True) == "(g (f 1))"
    with pytest.raises(NixSyntaxError, match="pipe"):
        parsed("1 |> f")


REFUSED = [
    "",
    "{",
    "}",
    "a b c )",
    "{ a, , b }: a",
    "let x = 1; x",
    "if a then b",
    "a ? ",
    "a.",
    "./a/",
    '"${"',
    "''a",
    "[ 1 - 2",
    "inherit x;",
    "{ inherit (x) ${y}; }",
    "a == b == c",
    "/* open",
    "x: ",
    "a @ b: c",
    "rec x",
    "$",
    "1 + + 2",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_nix_is_refused_with_a_place(text: str) -> None:
    with pytest.raises(NixSyntaxError) as caught:
        parsed(text)
    assert caught.value.pos is not None


def test_columns_count_bytes() -> None:
    with pytest.raises(NixSyntaxError) as caught:
        parsed('"ä€" )')
    assert caught.value.pos is not None
    assert caught.value.pos.column == 9
