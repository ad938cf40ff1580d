"""`python -m invar.nix` beside nix-instantiate: for one command line the same output, exit code and first error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NIX = shutil.which("nix-instantiate")
pytestmark = pytest.mark.skipif(NIX is None, reason="nix-instantiate is not installed: nothing to compare with")

FILES = {
    "f.nix": '{ n ? 1, s ? "d" }: { a.b = [ (n + 1) s ]; c = n; v = "1"; }',
    "x.nix": "7",
    "d/default.nix": "{ z = 3; }",
    "default.nix": "{ q = 9; }",
    "p.nix": "{ a = 1; b.c = ./x.nix; }",
    "bad.nix": "1 +",
    "need.nix": "{ n }: n",
}

LONG = bool(os.environ.get("INVAR_TEST_LONG"))
"""Starting Nix so often takes minutes on a busy machine; without this every eighth line is tried."""

COMMAND_LINES = """
--eval|-E|1+1
--eval|--expr|1+1
-E|1|--eval
--eval|-E|1|2
--eval|-E
--eval
--eval|f.nix
--eval|--strict|f.nix
--eval|--strict|f.nix|-A|a.b
--eval|--strict|f.nix|--attr|a.b|--arg|n|3
--eval|--strict|f.nix|--argstr|s|x|-A|a.b
--eval|--strict|f.nix|--arg|n|3
--eval|--strict|f.nix|--arg|n|(
--eval|--strict|f.nix|--arg|unknown|3
--eval|need.nix
--eval|need.nix|--arg|m|1
--eval|need.nix|--arg|n|1
--eval|x.nix|d
--eval|d|-A|z
--eval|x.nix|-A|
--eval|d|x.nix
--eval|nofile.nix
--eval|bad.nix
--eval|-A|nope|d
--eval|-A|a.x|f.nix
--eval|-A|c.d.e|f.nix
--eval|-A|a.b.0|f.nix
--eval|-A|a.b.7|f.nix
--eval|--strict|-A|"a"."b"|f.nix
--eval|--strict|-A|a.b|-A|c|f.nix
--eval|-E|throw "x"
--eval|-E|abort "x"
--eval|-E|assert false; 1
--eval|-E|1 + {}
--eval|-E|x
--eval|-E|(
--eval|-E|let a = a; in a
--eval|--json|-E|{ a = 1; f = "é\\n"; }
--eval|--json|-E|x: x
--eval|--json|--strict|-E|{ a = [ 2.5 null true ]; }
--eval|--json|-E|{ outPath = "/foo"; a = 1; }
--eval|--json|-E|{ __toString = s: "q"; }
--eval|--xml|--strict|-E|{ }
--eval|--xml|--strict|--no-location|-E|{ a = 1; b = [ "x" 1.5 null ./x ]; f = { x, y ? 1, ... }@z: x; g = q: q; }
--eval|--xml|--strict|p.nix
--parse|-E|x: x + 1
--parse|-E|-7 + x.y or 2
--parse|-E|{ a, b ? 1, ... }@c: with a; [ a.b.c ./x (f 1 2) ]
--parse|p.nix
--parse|x.nix|p.nix
--parse|bad.nix
--parse|--eval|-E|1 + 1
-I|p=.|--eval|-E|import <p/x.nix>
--include|p=.|--eval|-E|import <p/x.nix>
-I|.|--eval|-E|import <x.nix>
--eval|-E|<nope>
--find-file|x.nix|-I|.
--find-file|p/x.nix|d|-I|p=.|-I|.
--find-file|nope.nix|-I|.
--frobnicate
--eval|-Z|-E|1
--eval|--arg|x
--eval|--arg|x|1
--eval|-A
--eval|-I
--eval|-Q|-E|1
--eval|-v|-E|1
--eval|-vv|-E|1
--eval|-Qv|-E|1
--eval|--quiet|-E|1
--eval|-j|2|-E|1
--eval|-j2|-E|1
--eval|--cores|1|-E|1
--eval|--max-jobs|1|-E|1
--eval|-k|-E|1
--eval|-K|-E|1
--eval|--keep-going|-E|1
--eval|--keep-failed|-E|1
--eval|--fallback|-E|1
--eval|--no-build-output|-E|1
--eval|--readonly-mode|-E|1
--eval|--read-write-mode|-E|1
--eval|--dry-run|-E|1
--eval|--repair|-E|1
--eval|--impure|-E|1
--eval|--log-format|raw|-E|1
--eval|--timeout|5|-E|1
--eval|--option|nonsense|true|-E|1
--eval|--option|pure-eval|true|-E|builtins.currentTime
--eval|--option|restrict-eval|true|x.nix
--eval|--option|restrict-eval|true|-I|.|x.nix
--eval|--pure-eval|-E|builtins.getEnv "HOME"
--eval|--no-pure-eval|-E|builtins.getEnv "NOPE"
--eval|--restrict-eval|-E|builtins.getEnv "HOME"
--eval|--experimental-features|flakes|-E|1
--eval|--extra-experimental-features|flakes|-E|1
--eval|--option|experimental-features|flakes|-E|1
--eval|--allowed-uris|x|-E|1
--eval|--show-trace|-E|let f = x: x + {}; in f 1
--eval|-E|builtins.trace "hi" 1
--eval|-E|let x = { y = x; }; in x
--eval|--strict|-E|let x = { y = x; }; in x
--eval|-E|let a = 5; in rec { inherit a; b = a; }
--eval|--strict|-E|[ (x: x) builtins.add (builtins.add 1) 1.5 null true ./x "a$b\\"c${"$"}{" ]
--eval|--strict|-E|{ type = "derivation"; a = 1; drvPath = "x"; }
--eval|--strict|-E|{ "a b" = 1; "é" = 3; x' = 4; "1a" = 5; }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def _run(command: list[str], directory: Path, text: str) -> tuple[int, str, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "NIX_STATE_DIR": str(directory / "state"),
        "NIX_REMOTE": "",
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
    }
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=directory, env=environment)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    return done.returncode, done.stdout.rstrip("\n"), errors[0] if errors else ""  # 2.8 ends JSON without a line end


def _both(directory: Path, argv: list[str], text: str = "") -> tuple[tuple[int, str, str], tuple[int, str, str]]:
    assert NIX is not None
    return _run([NIX, *argv], directory, text), _run([sys.executable, "-m", "invar.nix", *argv], directory, text)


@pytest.mark.parametrize("line", COMMAND_LINES.strip().splitlines()[:: 1 if LONG else 8])
def test_a_command_line(line: str, project: Path) -> None:
    theirs, mine = _both(project, line.split("|"))
    assert mine == theirs


@pytest.mark.parametrize("argv", [["--eval", "-"], ["--parse", "-"], ["--eval", "-", "-A", "a"]])
def test_standard_input(argv: list[str], project: Path) -> None:
    theirs, mine = _both(project, argv, "{ a = ./x.nix; }")
    assert mine == theirs
