"""Bad input gets one screen: what, where, why, a hint; exit code not 0; nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import invar
from invar.core.home import Home

CONFIGURATION = """{ pkgs, lib, ... }: {
  networking.hostName = "bad-input";
%s
}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory for a configuration."""
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


def configure(project: Path, *lines: str) -> None:
    """Write a configuration with these lines from line 3 on."""
    (project / "configuration.nix").write_text(CONFIGURATION % "\n".join("  " + line for line in lines))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(["services.openssh.enable = ;"], ["configuration.nix:3:", "syntax error"], id="syntax"),
        pytest.param(
            ["services.opensh.enable = true;"],
            ["services.opensh", "configuration.nix:3", "openssh"],
            id="unknown-option",
        ),
        pytest.param(
            ['services.openssh.enable = "yes";'],
            ["services.openssh.enable", "boolean", "configuration.nix:3", "sshd.nix:"],
            id="wrong-type",
        ),
        pytest.param(
            ["imports = [ ./other.nix ];", 'time.timeZone = "Europe/Berlin";'],
            ["time.timeZone", "configuration.nix:4", "other.nix:1", "Asia/Tokyo"],
            id="conflict",
        ),
        pytest.param(
            ["environment.systemPackages = with pkgs; [", "  ngnix", "];"],
            ["ngnix", "configuration.nix:4", "nginx"],
            id="unknown-package",
        ),
        pytest.param(
            ["environment.etc.a.text = let x = x + 1; in toString x;"],
            ["infinite recursion", "configuration.nix:3"],
            id="infinite-recursion",
        ),
        pytest.param(
            ['assertions = [ { assertion = false; message = "twelve is too many"; } ];'],
            ["twelve is too many"],
            id="assertion",
        ),
    ],
)
def test_a_fault_of_the_configuration_is_told_on_one_screen(
    project: Path, home: Home, lines: list[str], said: list[str]
) -> None:
    configure(project, *lines)
    (project / "other.nix").write_text('{ time.timeZone = "Asia/Tokyo"; }\n')
    done = invar("build", project, home=home)
    assert done.code == 1, done.err
    assert done.out == ""
    for words in said:
        assert words in done.err, f"{words!r} is not in:\n{done.err}"
    assert len(done.err.splitlines()) <= 30, done.err
    assert sorted(path.name for path in project.iterdir()) == ["configuration.nix", "other.nix"]


def test_a_missing_configuration_is_a_usage_error(tmp_path: Path, home: Home) -> None:
    done = invar("build", tmp_path / "nowhere", home=home)
    assert done.code == 2
    assert "nowhere" in done.err


def test_a_misspelt_verb_gets_the_nearest(home: Home) -> None:
    done = invar("biuld", home=home)
    assert done.code == 2
    assert "build" in done.err


def test_an_unknown_format_names_those_that_there_are(project: Path, home: Home) -> None:
    configure(project)
    done = invar("build", project, "--format", "floppy", home=home)
    assert done.code == 2
    assert "amazon" in done.err and "qcow2" in done.err


def test_an_unreachable_mirror_is_named(project: Path, tmp_path: Path) -> None:
    configure(project)
    done = invar("--mirror", "http://127.0.0.1:9/debian", "lock", project, home=Home(tmp_path / "home"))
    assert done.code == 1
    assert "127.0.0.1:9" in done.err
    assert not (project / "invar.lock").exists()


def test_a_damaged_lock_is_told_with_its_line(project: Path, home: Home) -> None:
    configure(project)
    (project / "invar.lock").write_text('{\n "schema": 1,\n "image": [\n')
    done = invar("build", project, home=home)
    assert done.code == 1
    assert "invar.lock:4" in done.err
