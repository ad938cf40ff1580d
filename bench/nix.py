"""How fast Nix expressions evaluate, beside nix-instantiate where it is installed: CPU seconds, start-up included.

python bench/nix.py [--runs N] [NAME ...]
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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

EXPRESSIONS = {
    "start-up": "1",
    "fib 25": "let fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2); in fib 25",
    "fib 30": "let fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2); in fib 30",
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


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run, which must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "NIX_REMOTE": ""})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="rows to run (default: all)")
    parser.add_argument("--runs", type=int, default=5, help="runs a row; the median counts")
    options = parser.parse_args()
    nix = shutil.which("nix-instantiate")
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    print(f"{'':28}{'invar':>8}{'nix':>8}{'ratio':>8}   (CPU seconds, median of {options.runs})")
    with tempfile.TemporaryDirectory() as cache:
        for name, text in EXPRESSIONS.items():
            if options.names and name not in options.names:
                continue
            ours = [sys.executable, "-m", "invar.nix", "--eval", "--cache", cache, "-E", text]
            mine = statistics.median(cpu_seconds(ours) for _ in range(options.runs))
            row = f"{name:28}{mine:8.3f}"
            if nix is not None:
                theirs = statistics.median(
                    cpu_seconds([nix, "--eval", "--option", "substitute", "false", "-E", text])
                    for _ in range(options.runs)
                )
                row += f"{theirs:8.3f}{mine / theirs:8.2f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
