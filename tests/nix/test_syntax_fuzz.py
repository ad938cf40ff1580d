"""Texts that may or may not be Nix: the parser never crashes, never hangs, and agrees with Nix on what is valid."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.nix import Evaluator, NixError, NixSyntaxError
from invar.nix.builtin_names import builtin_behind
from invar.nix.compiler import compile_source
from invar.nix.lexer import Source
from invar.nix.parser import parse
from invar.nix.unparse import unparse

sys.path.insert(0, str(Path(__file__).parent))
from cases import cases
from programs import programs

LONG = bool(os.environ.get("INVAR_TEST_LONG"))
NIX = shutil.which("nix-instantiate")
WORDS = """
    let in rec with inherit if then else assert or x y a-b 1 1.5 .5 1e3 { } [ ] ( ) ; : , . @ ? ... = == != < > >= <= &&
    || -> ! + - * / // ++ |> <| ${ $ ./a a/b ~/a <a/b> /a http://a.b/c /* __curPos 0 9223372036854775808
"""
PIECES = [
    *WORDS.split(),
    *('"', "''", "'", "\\", "''$", "'' '", "''\\n", "# c\n", "/* c */", "\n", " ", "\t", "é", "\0", "\r\n"),
]
TOKENS = st.sampled_from(PIECES)
SOUP = st.lists(TOKENS, max_size=25).map(" ".join) | st.lists(TOKENS, max_size=20).map("".join)
OPENINGS = ["(", "[", "{ a = ", "x: ", '"${', "''${", "-", "!", "let a = ", "if ", "a.", "(x: ", "1 + (", "with x; "]


def survives(text: str) -> None:
    """Parse, print and compile: a value or a NixError, nothing else."""
    try:
        tree = parse(Source.of("fuzz", text), features=frozenset({"pipe-operators"}))
        unparse(tree)
        compile_source(Source.of("fuzz", text), builtin_behind, features=frozenset({"pipe-operators"}))
    except NixError as error:
        assert error.message
        assert error.pos is not None


@given(SOUP | st.text(max_size=60))
@settings(max_examples=20_000 if LONG else 700, derandomize=not LONG, database=None)
def test_token_soup(text: str) -> None:
    survives(text)


@given(st.integers(0, 2**32))
@settings(max_examples=3_000 if LONG else 150, derandomize=not LONG, database=None)
def test_broken_programs(seed: int) -> None:
    random = Random(seed)
    (text,) = programs(random, 1)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(text))
        text = text[:at] + random.choice(["", random.choice(PIECES)]) + text[at + random.randint(0, 3) :]
    survives(text)


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("depth", [500, 8_000])
def test_deep_nesting_is_an_error_and_no_crash(opening: str, depth: int) -> None:
    with pytest.raises(NixError):
        Evaluator().eval_string(opening * depth)


@pytest.mark.skipif(NIX is None, reason="nix-instantiate is not installed")
def test_nix_agrees_on_what_is_valid(tmp_path: Path) -> None:
    random = Random(7)
    texts = [expression for expression, _ in cases("values.txt")]
    samples = []
    for _ in range(2000 if LONG else 150):
        text = random.choice(texts)
        at = random.randrange(len(text) + 1)
        piece = random.choice([piece for piece in PIECES if piece != "\0"])  # at which Nix stops to read
        samples.append(text[:at] + piece + text[at + random.randint(0, 2) :])
    environment = {**os.environ, "NIX_STATE_DIR": str(tmp_path), "NIX_REMOTE": ""}

    def valid(text: str) -> bool:
        command = [str(NIX), "--parse", "-"]
        done = subprocess.run(command, input=text.encode(), capture_output=True, cwd="/", env=environment)
        return done.returncode == 0 or b"undefined variable" in done.stderr

    def mine(text: str) -> bool:
        try:
            parse(Source.of("fuzz", text))
        except NixSyntaxError:
            return False
        return True

    assert valid("1")  # makes Nix's state; two at once that make it refuse each other
    with ThreadPoolExecutor(2) as pool:
        theirs = list(pool.map(valid, samples))
    assert [text for text, answer in zip(samples, theirs, strict=True) if mine(text) != answer] == []
