"""The REPL without a terminal: bindings, commands, completion, incomplete input."""

from __future__ import annotations

from pathlib import Path

import pytest

from invar.nix import Evaluator, NixError
from invar.nix.interactive import Interactive


@pytest.fixture
def repl() -> Interactive:
    """A fresh one."""
    return Interactive(lambda: Evaluator())


def test_expressions_and_bindings(repl: Interactive) -> None:
    assert repl.run("x = 20 + 1;") == ""
    assert repl.run("f = y: x * y") == ""
    assert repl.run("f 2") == "42"
    assert repl.run("x = x + 1") == ""
    assert repl.run("x") == "22"
    assert repl.run("x == 22") == "true"


def test_values_are_shown_one_level_deep(repl: Interactive) -> None:
    shown = repl.run('{ a = [ 1 ]; b = { }; c = throw "no"; d = x: x; "e f" = 1 + 1; }')
    assert shown == '{ a = [ ... ]; b = { }; c = «error: no»; d = <LAMBDA>; "e f" = 2; }'
    assert repl.run(":p { a = [ (1 + 1) ]; }") == "{ a = [ 2 ]; }"


def test_commands(repl: Interactive, tmp_path: Path) -> None:
    file = tmp_path / "a.nix"
    file.write_text("{ n ? 1 }: { twice = x: x * 2; value = n; }")
    assert repl.run(f":l {file}") == "Added 2 variables."
    assert repl.run("twice value") == "2"
    file.write_text("{ n ? 1 }: { value = 7; }")
    assert repl.run(":r") == "Added 1 variables."
    assert repl.run("value") == "7"
    assert repl.run(":t twice") == "a function"
    assert repl.run(":a { z = 1; }") == "Added 1 variables."
    assert repl.run(":doc builtins.map").startswith("builtins.map: 2 arguments\n")
    assert f"{file}:1:22" in repl.run(":doc twice")
    assert ":l FILE" in repl.run(":?")
    repl.run(":q")
    assert repl.finished


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":zz", "unknown command"),
        (":l", "needs a file"),
        (":l /no/such.nix", "No such file"),
        (":a 1", "a set is needed"),
        (":doc 1", "only functions"),
        ("x = ", "unexpected end of file"),
        ("nope", "undefined variable"),
    ],
)
def test_faults_leave_it_usable(repl: Interactive, text: str, message: str) -> None:
    with pytest.raises(NixError, match=message):
        repl.run(text)
    assert repl.run("1 + 1") == "2"


WAITS = ["let x = 1;", "{ a = 1;", "''\n a", "x =", "1 +", ":p ["]
COMPLETE = ["1", "x = 1", ":l [", "", "1 )", ":q"]


@pytest.mark.parametrize("text", [*WAITS, *COMPLETE])
def test_what_waits_for_another_line(repl: Interactive, text: str) -> None:
    assert repl.is_incomplete(text) is (text in WAITS)


def test_completion(repl: Interactive) -> None:
    repl.run('abc = { deep = { x1 = 1; x2 = throw "no"; }; "odd name" = 1; }')
    assert repl.complete("1 + ab") == ["abc", "abort"]
    assert repl.complete("abc.") == ["abc.deep", 'abc."odd name"']
    assert repl.complete("f abc.deep.x") == ["abc.deep.x1", "abc.deep.x2"]
    assert repl.complete("abc.deep.x2.") == []
    assert repl.complete("nope.") == []
    assert "builtins.attrNames" in repl.complete("builtins.attr")
    assert repl.complete(":") == [":a", ":doc", ":l", ":p", ":q", ":r", ":t", ":?"]
