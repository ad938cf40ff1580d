"""Expressions and their values: those of Nix 2.8 as recorded, those of later versions as their manual says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from invar.nix import Evaluator, print_value

sys.path.insert(0, str(Path(__file__).parent))
from cases import cases

RECORDED = cases("values.txt")
CURRENT = cases("current.txt")
NIX = shutil.which("nix-instantiate")


def value_of(expression: str) -> str:
    """The strict value as text, evaluated like a script read from stdin in /."""
    evaluator = Evaluator(on_warn=lambda text: None, features=["pipe-operators"])
    return print_value(evaluator.eval_string(expression, name="«stdin»", base_dir="/"), strict=True)


def test_the_corpus_is_there() -> None:
    assert len(RECORDED) > 500


@pytest.mark.parametrize(("expression", "expected"), RECORDED, ids=[e[:60] for e, _ in RECORDED])
def test_value_is_that_of_nix_2_8(expression: str, expected: str) -> None:
    assert value_of(expression) == expected


@pytest.mark.parametrize(("expression", "expected"), CURRENT, ids=[e[:60] for e, _ in CURRENT])
def test_value_is_that_of_current_nix(expression: str, expected: str) -> None:
    assert value_of(expression) == expected


@pytest.mark.skipif(NIX is None, reason="nix-instantiate is not installed: nothing to compare the recorded values with")
@pytest.mark.parametrize(("expression", "expected"), RECORDED[::8], ids=[e[:60] for e, _ in RECORDED[::8]])
def test_recorded_value_is_what_nix_itself_prints(expression: str, expected: str, tmp_path: Path) -> None:
    assert NIX is not None
    environment = {**os.environ, "NIX_STATE_DIR": str(tmp_path), "NIX_REMOTE": ""}
    command = [NIX, "--eval", "--strict", "-"]
    real = subprocess.run(command, input=expression, capture_output=True, text=True, cwd="/", env=environment)
    assert real.stdout.rstrip("\n") == expected, real.stderr
