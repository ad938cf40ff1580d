"""POSIX regular expressions: `match` and `split` against real Nix, the longest alternative, and time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest

from invar.nix.builtins.regex import match, split
from invar.nix.errors import NixError

NIX = shutil.which("nix-instantiate")
LONG = bool(os.environ.get("INVAR_TEST_LONG"))
SECONDS = 20
"""A batch that takes Nix longer is left out: its matcher needs exponential time for some expressions."""


@pytest.mark.parametrize(
    ("pattern", "text", "parts"),
    [
        ("a|ab", "ab", ["", [], ""]),
        ("(a|ab)(c|bcd)(d*)", "abcd", ["", ["a", "bcd", ""], ""]),
        ("(foo|foobar)", "foobar foo", ["", ["foobar"], " ", ["foo"], ""]),
        ("(|ab|$)+", "abb", ["", [""], "", [""], "b", [""], ""]),
        ("a*(ab|c)?", "aab", ["", [None], "", [None], "b", [None], ""]),
        ("ä|äö", "xäöy", ["x", [], "y"]),
        ("\n|\r\n", "a\r\nb\nc", ["a", [], "b", [], "c"]),
    ],
)
def test_split_takes_the_longest_of_the_alternatives(pattern: str, text: str, parts: list[object]) -> None:
    assert split(pattern, text) == parts


@pytest.mark.parametrize("pattern", [r"\}", r"\]", r"\d", "(", "a)", "[a", "[[:what:]]", "a{2", "{2}", "^*", "a{2,1}"])
def test_what_is_no_expression_is_an_error(pattern: str) -> None:
    with pytest.raises(NixError, match="invalid regular expression"):
        match(pattern, "")


def test_a_long_text_takes_linear_time_where_backtracking_takes_exponential() -> None:
    text = "a" * 20_000
    assert match("(a|aa)*c", text) is None
    assert match("(a|aa)*", text) == ["a"]
    assert split("(a|ab)*c", text) == [text]
    assert split("(a|aa)*", text) == ["", ["a"], "", [None], ""]


@pytest.mark.skipif(NIX is None, reason="nix-instantiate is not installed: nothing to compare with")
@pytest.mark.parametrize("seed", range(100 if LONG else 6))
def test_any_expression_means_what_it_means_to_nix(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    cases = [(_choice(random, 2), "".join(random.choices("aabbc", k=random.randint(0, 6)))) for _ in range(50)]
    found = _of_nix(cases, tmp_path)
    if found is None:
        pytest.skip(f"Nix did not end within {SECONDS} s")
    assert found == [[split(pattern, text), match(pattern, text)] for pattern, text in cases]


def _of_nix(cases: list[tuple[str, str]], directory: Path) -> object:
    assert NIX is not None
    quoted = [[json.dumps(one).replace("$", "\\$") for one in case] for case in cases]
    rows = "\n".join(f"[ (builtins.split {p} {t}) (builtins.match {p} {t}) ]" for p, t in quoted)
    environment = {"NIX_REMOTE": "", "HOME": str(directory), "NIX_STATE_DIR": str(directory)}
    try:
        done = subprocess.run(
            [NIX, "--eval", "--strict", "--json", "-E", f"[ {rows} ]"],
            capture_output=True, text=True, timeout=SECONDS, env=environment, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout)


def _choice(random: Random, depth: int) -> str:
    return "|".join(_sequence(random, depth) for _ in range(random.choice([1, 1, 2, 2, 3])))


def _sequence(random: Random, depth: int) -> str:
    lengths = [1, 2, 3] if depth == 2 else [0, 1, 1, 2, 2, 3]
    return "".join(_piece(random, depth) for _ in range(random.choice(lengths)))


def _piece(random: Random, depth: int) -> str:
    kind = random.random()
    if depth and kind < 0.4:
        atom = f"({_choice(random, depth - 1)})"
    elif kind < 0.43:
        return random.choice("^$")
    elif kind < 0.6:
        atom = random.choice([".", "[ab]", "[^a]", "[b-c]", "[[:alpha:]]"])
    else:
        atom = random.choice("abc")
    if random.random() < 0.4:
        atom += random.choice(["*", "+", "?", "{2}", "{1,2}", "{0,1}", "{2,}", "{0}"])
    if random.random() < 0.02:
        atom += random.choice("*+?")
    return atom
