"""How fast evalModules is: N modules, each one option, one definition and a mkIf; and N submodules of one option."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from invar.modules.native import evaluator_with_modules
from invar.nix.runtime import deep_force
from invar.nix.stack import with_big_stack

LIB = Path(__file__).resolve().parents[1] / "src/invar/nixos/lib/default.nix"

MODULES = """
let lib = import {lib};
in (lib.evalModules {{
  modules = map (i: {{ lib, config, ... }}: {{
    options."o${{toString i}}" = lib.mkOption {{ type = lib.types.int; default = 0; }};
    config = lib.mkIf (i == 0 || config."o${{toString (i - 1)}}" >= 0) {{ "o${{toString i}}" = i; }};
  }}) (lib.range 0 {last});
}}).config
"""

SUBMODULES = """
let lib = import {lib};
in (lib.evalModules {{
  modules = [ {{
    options.users = lib.mkOption {{
      type = lib.types.attrsOf (lib.types.submodule ({{ name, config, ... }}: {{
        options.home = lib.mkOption {{ type = lib.types.str; default = "/home/${{name}}"; }};
        options.groups = lib.mkOption {{ type = lib.types.listOf lib.types.str; default = [ ]; }};
        config.groups = lib.mkIf (config.home != "/") [ "users" ];
      }}));
    }};
    config.users = lib.genAttrs (map toString (lib.range 0 {last})) (name: {{ groups = [ name ]; }});
  }} ];
}}).config
"""


def evaluate(text: str) -> None:
    """One evaluation in a fresh evaluator, everything forced."""
    evaluator = evaluator_with_modules()
    deep_force(evaluator.eval_string(text, name="/bench.nix"))


def seconds(run: Callable[[], object], times: int) -> list[float]:
    """CPU seconds of this process and its children for each run."""
    taken = []
    for _ in range(times):
        before = time.process_time()
        run()
        taken.append(time.process_time() - before)
    return taken


def main() -> None:
    """Print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'workload':<24}{'N':>6}{'median s':>10}{'best s':>10}")
    for name, template in (("modules", MODULES), ("submodules", SUBMODULES)):
        for count in (100, 1000):
            text = template.format(lib=LIB, last=count - 1)
            taken = seconds(lambda text=text: with_big_stack(lambda: evaluate(text)), arguments.runs)
            print(f"{name:<24}{count:>6}{statistics.median(taken):>10.3f}{min(taken):>10.3f}")


if __name__ == "__main__":
    main()
