"""Fixtures that evaluate Nix text with `lib` and the module system in scope."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invar.modules.native import evaluator_with_modules
from invar.nix.errors import NixError
from invar.nix.runtime import deep_force
from invar.nix.stack import with_big_stack

LIB = Path(__file__).resolve().parents[2] / "src/invar/nixos/lib/default.nix"

PRELUDE = f"""
let
  lib = import {LIB};
  inherit (lib) mkOption mkIf mkMerge mkForce mkDefault mkOverride mkBefore mkAfter mkOrder types;
  int = mkOption {{ type = types.int; }};
  str = mkOption {{ type = types.str; }};
  ints = mkOption {{ type = types.listOf types.int; default = [ ]; }};
  eval = modules: lib.evalModules {{ inherit modules; }};
  config = modules: (eval modules).config;
  options = modules: (eval modules).options;
in
"""

Evaluate = Callable[[str], Any]


@pytest.fixture(scope="session")
def evaluate() -> Evaluate:
    """The value of an expression, as plain Python data."""
    evaluator = evaluator_with_modules()

    def run(text: str) -> Any:
        return with_big_stack(lambda: deep_force(evaluator.eval_string(PRELUDE + text, name="/test.nix")))

    return run


@pytest.fixture(scope="session")
def failure(evaluate: Evaluate) -> Callable[[str], NixError]:
    """The error that an expression ends in."""

    def run(text: str) -> NixError:
        with pytest.raises(NixError) as caught:
            evaluate(text)
        return caught.value

    return run
