"""How fast Nix expressions evaluate: Invar, beside nix-instantiate and PyPI's `nixeval` where they are installed.

python bench/nix.py [--runs N] [NAME ...]

CPU seconds of whole processes, the median of N runs that take turns. "work" leaves out what the same program takes for
the expression `1`. The module workload runs on one and the same module system written in Nix for all three; "native" is
`lib.evalModules` as configurations use it. A peer that fails or takes longer than 60 s has "-". Memory is the peak of
the resident set. Compiled code is cached.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIB = ROOT / "src/invar/nixos/lib"
REFERENCE = ROOT / "tests/nixos_lib/reference-modules.nix"

FIB = "let fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2); in fib"
EXPRESSIONS = {
    "start-up": "1",
    "fib 25": f"{FIB} 25",
    "fib 30": f"{FIB} 30",
    "foldl' 1e6": "builtins.foldl' (a: b: a + b) 0 (builtins.genList (x: x) 1000000)",
    "attribute sets 1e5": """
        let
          set = builtins.listToAttrs (builtins.genList (i: {
            name = "key${toString i}"; value = { inherit i; double = i * 2; };
          }) 100000);
          mapped = builtins.mapAttrs (name: v: v // { inherit name; sum = v.i + v.double; }) set;
        in builtins.foldl' (sum: name: sum + mapped.${name}.sum) 0 (builtins.attrNames mapped)""",
    "strings 1e5": """
        builtins.stringLength (builtins.concatStringsSep "," (map (s: builtins.replaceStrings ["-"] ["_"] (s + "!"))
          (builtins.genList (i: "item-${toString i}") 100000)))""",
    "sort 1e5": """
        builtins.elemAt (builtins.sort (a: b: a < b)
          (builtins.genList (i: let x = i * 7919 + 104729; in x - (x / 100003) * 100003) 100000)) 500""",
    "sort 1e5 by a key": """
        (builtins.elemAt (builtins.sort (a: b: a.key < b.key)
          (builtins.genList (i: { key = i * 7919 - (i * 7919 / 100003) * 100003; }) 100000)) 500).key""",
    "sort 5e4, any comparator": """
        builtins.elemAt (builtins.sort (a: b: if a == b then false else b < a)
          (builtins.genList (i: i * 7919 - (i * 7919 / 100003) * 100003) 50000)) 500""",
    "// chain 1e5": """
        (builtins.foldl' (set: i: set // { x = i; y = set.x or 0; }) { z = 1; } (builtins.genList (i: i) 100000)).y""",
    "fixed point, 300 overlays": """
        let
          fix = f: let x = f x; in x;
          extends = overlay: f: final: let prev = f final; in prev // overlay final prev;
          overlays = builtins.genList (i: final: prev: {
            "p${toString i}" = prev.base + i; base = prev.base + 1; top = final.base;
          }) 300;
          set = fix (builtins.foldl' (f: o: extends o f) (final: { base = 0; }) overlays);
        in builtins.deepSeq set set.top""",
}

MODULES = """
let
  config = (evalModules {{
    modules = builtins.genList (i: {{ lib, config, ... }}: {{
      options."o${{toString i}}" = lib.mkOption {{ type = lib.types.int; default = 0; }};
      config = lib.mkIf (i == 0 || config."o${{toString (i - 1)}}" >= 0) {{ "o${{toString i}}" = i; }};
    }}) {count};
  }}).config;
in builtins.deepSeq config config.o{last}
"""
IN_NIX = f"let lib = import {LIB} // import {REFERENCE} lib; inherit (lib) evalModules; in "
NATIVE = f"let inherit (import {LIB}) evalModules; in "
SIZES = (100, 1000)


LIMIT = 60
"""CPU seconds after which a program is ended; nixeval needs hours for some rows."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds and peak resident bytes of one process."""

    seconds: float
    peak: int


def cost(command: list[str]) -> Cost:
    """What one run takes. Raises CalledProcessError when it fails."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    resource.prlimit(process.pid, resource.RLIMIT_CPU, (LIMIT, LIMIT))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def environment() -> dict[str, str]:
    """This process's variables, with Invar importable."""
    variables = {**os.environ, "NIX_REMOTE": "", "PYTHONPATH": str(ROOT / "src")}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    return variables


def programs(text: str, native: str | None, cache: str) -> Iterator[tuple[str, list[str]]]:
    """Each program by name, with its command line for an expression; `native` is the same for Invar's module system."""
    ours = "from invar.nix.__main__ import run; run()"
    yield "invar", [sys.executable, "-c", ours, "--eval", "--cache", cache, "-E", text]
    if native is not None:
        evaluate = (
            "import os, sys, pathlib; from invar.modules.native import evaluator_with_modules as made;"
            "print(made(cache_dir=pathlib.Path(sys.argv[1])).eval_string(sys.argv[2]), flush=True); os._exit(0)"
        )
        yield "native", [sys.executable, "-c", evaluate, cache, native]
    if nix := shutil.which("nix-instantiate"):
        yield "nix", [nix, "--eval", "--option", "substitute", "false", "-E", text]
    if find_spec("nixeval") is not None:
        yield "nixeval", [sys.executable, "-c", "import sys, nixeval; nixeval.loads(sys.argv[1])", text]


def workloads() -> Iterator[tuple[str, str, str | None]]:
    """Name, expression, and the expression for the native module system where there is one."""
    for name, text in EXPRESSIONS.items():
        yield name, text, None
    for count in SIZES:
        text = MODULES.format(count=count, last=count - 1)
        yield f"{count} modules", IN_NIX + text, NATIVE + text


def measured(text: str, native: str | None, cache: str, runs: int) -> dict[str, Cost]:
    """Medians by program; one that cannot evaluate the expression is left out."""
    taken: dict[str, list[Cost]] = {}
    commands = dict(programs(text, native, cache))
    for turn in range(runs + 1):
        for name, command in list(commands.items()):
            try:
                found = cost(command)
            except subprocess.CalledProcessError:
                if name != "nixeval":
                    raise
                del commands[name]
                continue
            if turn:  # the first run compiles, and warms the file cache
                taken.setdefault(name, []).append(found)
    return {
        name: Cost(statistics.median(one.seconds for one in costs), int(statistics.median(one.peak for one in costs)))
        for name, costs in taken.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="rows to run (default: all)")
    parser.add_argument("--runs", type=int, default=5, help="runs a row; the median counts")
    options = parser.parse_args()
    print(f"{'':26}{'CPU s':>7}{'nix':>8}{'nixeval':>9}{'ratio':>8}{'work':>8}{'MB':>7}{'nix MB':>8}")
    with tempfile.TemporaryDirectory() as cache:
        start = measured("1", NATIVE + "1", cache, options.runs)
        for name, text, native in workloads():
            if options.names and name not in options.names:
                continue
            costs = start if text == "1" else measured(text, native, cache, options.runs)
            show(name, "invar", costs, start)
            if native is not None:
                show(f"{name}, native", "native", costs, start)


def show(name: str, ours: str, costs: dict[str, Cost], start: dict[str, Cost]) -> None:
    """One row: ours, the peers, and the ratio to Nix with start-up and without."""
    mine, nix, peer = costs[ours], costs.get("nix"), costs.get("nixeval")
    row = f"{name:26}{mine.seconds:7.3f}"
    row += f"{nix.seconds:8.3f}" if nix else f"{'-':>8}"
    row += f"{peer.seconds:9.3f}" if peer else f"{'-':>9}"
    if nix:
        work, their_work = mine.seconds - start[ours].seconds, nix.seconds - start["nix"].seconds
        row += f"{mine.seconds / nix.seconds:8.2f}"
        row += f"{work / their_work:8.2f}" if their_work > 0.005 else f"{'-':>8}"
        row += f"{mine.peak / 1e6:7.0f}{nix.peak / 1e6:8.0f}"
    print(row, flush=True)


if __name__ == "__main__":
    main()
