"""The launcher in a project's terraform.d."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from command import invar, succeed
from invar import __version__
from invar.core.errors import InvarError
from invar.core.home import Home
from invar.terraform.install import HOST, install


def test_the_launcher_is_the_same_for_every_platform_and_has_no_absolute_path(tmp_path: Path) -> None:
    done = install(tmp_path, {"HOME": str(tmp_path)})
    assert {path.read_text() for path in done.launchers} == {done.launchers[0].read_text()}
    assert str(tmp_path) not in done.launchers[0].read_text()
    assert all(os.access(path, os.X_OK) for path in done.launchers)
    assert done.launchers[0].parts[-5:-2] == ("invar", "invar", __version__)


def test_a_second_time_changes_nothing_and_another_version_goes(tmp_path: Path) -> None:
    first = install(tmp_path, {"HOME": str(tmp_path)})
    other = first.launchers[0].parents[2] / "0.0.1" / "linux_amd64"
    other.mkdir(parents=True)
    assert install(tmp_path, {"HOME": str(tmp_path)}).changed
    assert not other.exists()
    assert not install(tmp_path, {"HOME": str(tmp_path)}).changed


def test_the_launcher_says_on_standard_output_what_is_missing(tmp_path: Path) -> None:
    launcher = install(tmp_path, {"HOME": str(tmp_path)}).launchers[0]
    done = subprocess.run([launcher], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode == 1 and "needs the command invar" in done.stdout and "INVAR_COMMAND" in done.stdout


def test_a_configuration_that_turns_this_way_off_is_found(tmp_path: Path) -> None:
    rc = tmp_path / ".terraformrc"
    rc.write_text("provider_installation {\n  direct {}\n}\n")
    with pytest.raises(InvarError, match="would not look") as caught:
        install(tmp_path, {"HOME": str(tmp_path)})
    assert caught.value.where == str(rc) and "filesystem_mirror" in str(caught.value.hint)
    named = tmp_path / "other.tfrc"
    named.write_text(f'provider_installation {{\n  filesystem_mirror {{ include = ["{HOST}/*/*"] }}\n}}\n')
    assert install(tmp_path, {"HOME": str(tmp_path), "TF_CLI_CONFIG_FILE": str(named)}).changed


def test_the_verb_prints_what_to_require(tmp_path: Path, home: Home) -> None:
    done = succeed("terraform", "install", tmp_path, home=home)
    assert f"{HOST}/invar/invar" in done.out and "required_providers" in done.out
    assert succeed("terraform", "install", tmp_path, "--json", home=home).json()["changed"] is False


def test_no_directory_is_told(tmp_path: Path, home: Home) -> None:
    done = invar("terraform", "install", tmp_path / "nowhere", home=home)
    assert done.code == 1 and "no directory" in done.err
