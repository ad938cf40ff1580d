"""`invar eval`, `invar repl` and `invar option` as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIGURATION = """
{ lib, ... }: {
  imports = [ ./more.nix ];
  networking.hostName = lib.mkForce "forced";
  services.nginx.enable = true;
}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A configuration of two modules."""
    (tmp_path / "configuration.nix").write_text(CONFIGURATION)
    (tmp_path / "more.nix").write_text('{ networking.hostName = "plain"; }')
    return tmp_path


def invar(home: Path, *arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """The command."""
    environment = {**os.environ, "INVAR_HOME": str(home), **variables}
    command = [sys.executable, "-m", "invar", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, cwd=home)


def test_every_definition_of_an_option_is_told(project: Path) -> None:
    done = invar(project, "option", "networking.hostName", ".", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["name"], answer["value"], answer["json"]) == ("networking.hostName", '"forced"', "forced")
    told = {Path(one["where"]).name: (one["priority"], one["used"]) for one in answer["definitions"]}
    assert told["configuration.nix:4"] == (50, True)
    assert told["more.nix:1"] == (100, False)
    page = invar(project, "option", "networking.hostName", ".").stdout
    assert "priority 50 (mkForce)\n" in page
    assert "priority 100 (plain), overridden\n" in page


def test_groups_misspellings_and_completion_of_options(project: Path) -> None:
    assert "services.nginx.enable" in invar(project, "option", "services.nginx", ".").stdout.splitlines()
    wrong = invar(project, "option", "services.nginx.enabel", ".")
    assert wrong.returncode == 1
    assert "Did you mean" in wrong.stderr
    assert "services.nginx.enable" in wrong.stderr
    for name, meant in (("services.ngnix.enabel", "services.nginx.enable"), ("hostName", "networking.hostName")):
        assert f"Did you mean {meant}?" in invar(project, "option", name, ".").stderr
    completed = invar(
        project, _INVAR_COMPLETE="bash_complete", COMP_WORDS="invar option services.nginx.ena", COMP_CWORD="2"
    )
    assert "services.nginx.enable" in completed.stdout


def test_the_repl_reads_a_pipe(tmp_path: Path) -> None:
    done = invar(tmp_path, "repl", stdin="x = 2\nlet\n  y = 3;\nin x * y\n:t x\n")
    assert (done.returncode, done.stdout) == (0, "6\nan integer\n")
    failed = invar(tmp_path, "repl", stdin="nope\n1\n")
    assert (failed.returncode, failed.stdout) == (1, "1\n")
    assert "undefined variable 'nope'" in failed.stderr
    assert invar(tmp_path, "repl", "/no/such.nix").returncode == 1


def test_derivations_reach_the_store_unless_read_only(tmp_path: Path) -> None:
    expression = '(derivation { name = "a"; system = "s"; builder = "/b"; }).drvPath'
    assert invar(tmp_path, "eval", "--read-only", "-E", expression).returncode == 0
    assert not (tmp_path / "store").exists()
    path = json.loads(invar(tmp_path, "eval", "-E", expression).stdout)
    written = tmp_path / "store" / "nix" / Path(path).name
    assert written.read_text().startswith('Derive([("out","/nix/store/')


def test_modes_of_evaluation(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.nix").write_text("import ./b.nix")
    (tmp_path / "in" / "b.nix").write_text("builtins.readFile ../secret")
    (tmp_path / "secret").write_text("s")
    assert invar(tmp_path, "eval", "in/a.nix").stdout == '"s"\n'
    refused = invar(tmp_path, "eval", "--pure", "in/a.nix")
    assert refused.returncode == 1
    assert "is forbidden in pure eval mode" in refused.stderr
    assert "is forbidden in restricted mode" in invar(tmp_path, "eval", "--restrict", "in/a.nix").stderr
    assert invar(tmp_path, "eval", "--restrict", "-I", ".", "in/a.nix").stdout == '"s"\n'
    unlocked = invar(tmp_path, "eval", "-E", "fetchTarball file:///x.tar")
    assert "evaluate with --impure" in unlocked.stderr
    assert invar(tmp_path, "eval", "--pure", "--impure", "-E", "1").returncode == 2
