"""What a wrong program is told: Nix's words, the place, a caret, a suggestion, the trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from invar.nix import (
    Evaluator,
    NixError,
    NixInfiniteRecursion,
    NixMissingAttribute,
    NixStackOverflow,
    NixSyntaxError,
    NixThrow,
    NixTypeError,
    NixUndefined,
    Primop,
    add_context,
    call,
    deep_force,
    force,
    render,
)


def error_of(expression: str) -> NixError:
    """The error of evaluating everything in `expression`."""
    evaluator = Evaluator()
    with pytest.raises(NixError) as caught:
        deep_force(evaluator.eval_string(expression, base_dir="/"))
    return caught.value


MESSAGES: list[tuple[str, type[NixError], str, str]] = [
    ("1 + ", NixSyntaxError, "syntax error, unexpected end of file", "1:5"),
    ("let a = 1", NixSyntaxError, "syntax error, unexpected end of file, expecting ';'", "1:10"),
    ("{ a = 1 }", NixSyntaxError, "syntax error, unexpected '}', expecting ';'", "1:9"),
    ("[ 1 2", NixSyntaxError, "syntax error, unexpected end of file, expecting ']'", "1:6"),
    ('"abc', NixSyntaxError, "syntax error, unexpected end of file, expecting '\"'", "1:5"),
    ("1 < 2 < 3", NixSyntaxError, "syntax error, unexpected '<'", "1:7"),
    ("{ a = 1; a = 2; }", NixSyntaxError, "attribute 'a' already defined at «string»:1:3", "1:10"),
    ("{ a.b = 1; a.b.c = 2; }", NixSyntaxError, "attribute 'a.b' already defined at «string»:1:3", "1:12"),
    ("{ x, x }: x", NixSyntaxError, "duplicate formal function argument 'x'", "1:6"),
    ("{ x }@x: x", NixSyntaxError, "duplicate formal function argument 'x'", "1:7"),
    ('let ${"a" + "b"} = 1; in 2', NixSyntaxError, "dynamic attributes not allowed in let", "1:5"),
    ("9223372036854775808", NixSyntaxError, "invalid integer '9223372036854775808'", "1:1"),
    ("let abc = 1; in abd", NixUndefined, "undefined variable 'abd'", "1:17"),
    ("with { abc = 1; }; abd", NixUndefined, "undefined variable 'abd'", "1:20"),
    ("{ abc = 1; }.abd", NixMissingAttribute, "attribute 'abd' missing", "1:1"),
    ('{ abc = 1; }.${"abd"}', NixMissingAttribute, "attribute 'abd' missing", "1:1"),
    ("builtins.nope 1", NixMissingAttribute, "attribute 'nope' missing", "1:1"),
    ('builtins.getAttr "a" { }', NixMissingAttribute, "attribute 'a' missing for call to 'getAttr'", "1:1"),
    ("1 2", NixTypeError, "attempt to call something which is not a function but an integer", "1:1"),
    ('1 + "a"', NixTypeError, "cannot add a string to an integer", "1:3"),
    ('1 - "a"', NixTypeError, "value is a string while an integer was expected", "1:3"),
    ('"a" + 1', NixTypeError, "cannot coerce an integer to a string", "1:7"),
    ('"${x: x}"', NixTypeError, "cannot coerce a function to a string", "1:4"),
    ("true + 1", NixTypeError, "cannot coerce a Boolean to a string", "1:6"),
    ('1 < "a"', NixTypeError, "cannot compare an integer with a string", "1:3"),
    ("if 1 then 2 else 3", NixTypeError, "value is an integer while a Boolean was expected", "1:4"),
    ("[ 1 ] ++ 2", NixTypeError, "value is an integer while a list was expected", "1:7"),
    ("{ } // 1", NixTypeError, "value is an integer while a set was expected", "1:5"),
    ("(x: x.a) [ ]", NixTypeError, "value is a list while a set was expected", "1:5"),
    ("({ a }: a) 3", NixTypeError, "value is an integer while a set was expected", "1:2"),
    ("({ a }: a) { }", NixTypeError, "anonymous function at «string»:1:2 called without required argument 'a'", "1:2"),
    (
        "let f = { a }: a; in f { a = 1; b = 2; }",
        NixTypeError,
        "'f' at «string»:1:9 called with unexpected argument 'b'",
        "1:9",
    ),
    ('throw "x"', NixThrow, "x", "1:1"),
    ('abort "x"', NixError, "evaluation aborted with the following error message: 'x'", "1:1"),
    ("assert 1 == 2; 3", NixError, "assertion '(1 == 2)' failed", "1:1"),
    ("let x = x; in x", NixInfiniteRecursion, "infinite recursion encountered", "1:9"),
    ("rec { a = b; b = a; }.a", NixInfiniteRecursion, "infinite recursion encountered", "1:11"),
    ("let f = x: f (x + 1); in f 1", NixStackOverflow, "stack overflow; max-call-depth exceeded", ""),
    (
        "builtins.toXML (let x = { a = [ x x ]; }; in x)",
        NixStackOverflow,
        "stack overflow; max-call-depth exceeded",
        "",
    ),
    ("1 / 0", NixError, "division by zero", "1:3"),
    ("9223372036854775807 + 1", NixError, "integer overflow in adding 9223372036854775807 + 1", "1:21"),
    ("(x: x * x) 4000000000", NixError, "integer overflow in multiplying 4000000000 * 4000000000", "1:7"),
    ("(x: x - 2) (-9223372036854775807)", NixError, "integer overflow in subtracting -9223372036854775807 - 2", "1:7"),
    ("builtins.head [ ]", NixError, "list index 0 is out of bounds", "1:1"),
    ("builtins.elemAt [ 1 ] 3", NixError, "list index 3 is out of bounds", "1:1"),
    ('builtins.substring (-1) 2 "a"', NixError, "negative start position in 'substring'", "1:1"),
    (
        'builtins.fromJSON "9223372036854775808"',
        NixError,
        "unsigned json number 9223372036854775808 outside of Nix integer range",
        "1:1",
    ),
    (
        'builtins.flakeRefToString { type = "github"; }',
        NixError,
        "attribute 'owner' is missing in call to 'flakeRefToString'",
        "1:1",
    ),
    ('builtins.match "(" "a"', NixError, "invalid regular expression '('", "1:1"),
    ('builtins.match "\\\\d" "1"', NixError, "invalid regular expression '\\d'", "1:1"),
    ('builtins.match "a{,2}" "a"', NixError, "invalid regular expression 'a{,2}'", "1:1"),
    ("<nope>", NixThrow, "file 'nope' was not found in the Nix search path (add it using $NIX_PATH or -I)", "1:1"),
    ("import /no/such/file.nix", NixError, "getting status of '/no/such/file.nix': No such file or directory", "1:1"),
    ("builtins.readFile /no/such", NixError, "opening file '/no/such': No such file or directory", "1:1"),
    ("builtins.toJSON (x: x)", NixTypeError, "cannot convert a function to JSON", "1:1"),
]


@pytest.mark.parametrize(("expression", "kind", "message", "place"), MESSAGES, ids=lambda v: str(v)[:50])
def test_message_and_place(expression: str, kind: type[NixError], message: str, place: str) -> None:
    error = error_of(expression)
    assert error.message == message
    assert isinstance(error, kind)
    assert error.pos is not None
    assert not place or f"{error.pos.line}:{error.pos.column}" == place


def test_the_rendered_error_shows_source_and_caret() -> None:
    evaluator = Evaluator()
    with pytest.raises(NixError) as caught:
        evaluator.eval_string("let\n  abc = 1;\nin\n  {\n    x = abd;\n  }\n")
    shown = render(caught.value, evaluator.sources)
    assert shown.splitlines() == [
        "error: undefined variable 'abd'",
        "",
        "       at «string»:5:9:",
        "",
        "            4|   {",
        "            5|     x = abd;",
        "             |         ^",
        "            6|   }",
        "",
        "       Did you mean abc?",
    ]


def test_trace_names_attributes_and_functions_innermost_first(tmp_path: Path) -> None:
    file = tmp_path / "a.nix"
    file.write_text("{\n  outer = { inner = f 1; };\n  f = 1;\n}\n".replace("f 1", '(x: throw "deep ${toString x}") 1'))
    evaluator = Evaluator()
    with pytest.raises(NixThrow) as caught:
        deep_force(evaluator.eval_file(file))
    assert caught.value.message == "deep 1"
    assert caught.value.pos is not None
    assert (caught.value.pos.file, caught.value.pos.line) == (str(file), 2)
    texts = [frame.text for frame in caught.value.frames]
    assert texts[:2] == ["while calling 'inner'", "while evaluating the attribute 'inner'"] or (
        "while evaluating the attribute 'inner'" in texts
    )


def test_a_suggestion_follows_a_missing_attribute() -> None:
    assert error_of("{ services = 1; system = 2; }.service").hint == "Did you mean services?"


def test_a_thunk_that_failed_fails_again_in_the_same_way() -> None:
    evaluator = Evaluator()
    value = evaluator.eval_string('let x = throw "once"; in { a = x; b = x; }')
    for name in ("a", "b", "a"):
        with pytest.raises(NixThrow, match="once"):
            force(value[name])


def test_infinite_recursion_stays_infinite_recursion() -> None:
    evaluator = Evaluator()
    value = evaluator.eval_string("rec { a = b + 1; b = a; c = 3; }")
    for _ in range(2):
        with pytest.raises(NixInfiniteRecursion):
            force(value["a"])
    assert force(value["c"]) == 3


def test_python_code_in_between_can_add_context() -> None:
    evaluator = Evaluator()

    def guarded(value: object) -> object:
        try:
            return force(value)
        except NixError as error:
            raise add_context(error, "while evaluating the option 'x'") from None

    function = evaluator.eval_string("g: { a = g { b = 1; }.c; }")
    value = call(function, Primop("g", 1, guarded))
    with pytest.raises(NixMissingAttribute) as caught:
        force(value["a"])
    assert [frame.text for frame in caught.value.frames] == [
        "while evaluating the option 'x'",
        "while evaluating the attribute 'a'",
    ]
    assert str(caught.value.pos) == "«string»:1:12"


def test_a_bug_in_a_builtin_is_not_disguised_as_a_nix_error() -> None:
    def broken(value: object) -> object:
        return {}["nope"]

    with pytest.raises(KeyError, match="nope"):
        Evaluator(extra_builtins={"broken": Primop("broken", 1, broken)}).eval_string("builtins.broken 1")


def test_try_eval_catches_throw_and_assert_but_not_abort_or_type_errors() -> None:
    evaluator = Evaluator()
    assert evaluator.eval_string('(builtins.tryEval (throw "x")).success') is False
    assert evaluator.eval_string("(builtins.tryEval (assert false; 1)).success") is False
    for fault in ('abort "x"', "{ }.a", "1 + { }", "builtins.head [ ]"):
        with pytest.raises(NixError):
            evaluator.eval_string(f"(builtins.tryEval ({fault})).success")
