"""Ctrl-C in any stage of a build leaves nothing half-made, and the same command goes on from there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command import copy_example, succeed
from invar.core.home import Home

pytestmark = pytest.mark.build

STAGES = ("evaluate", "tools", "compose", "configure", "finish", "pack")
"""The interrupt comes as soon as this stage has ended, so while the next one is under way."""


def test_an_interrupted_build_is_continued_by_the_next(repository: Path, home: Home, tmp_path: Path) -> None:
    project = copy_example(repository, tmp_path / "production-web")
    whole = succeed("build", project, "--json", home=home).json()
    other = Home(tmp_path / "home")
    shutil.copytree(home.store / "deb", other.store / "deb")
    for stage in STAGES:
        said, code = interrupted_after(stage, project, other)
        assert code == 130, said
        assert "Traceback" not in said
        assert list((other.store / ".tmp").glob("*")) == []
        assert str(other.root) not in Path("/proc/mounts").read_text()
    again = succeed("build", project, "--json", home=other).json()
    assert again["system_digest"] == whole["system_digest"]


def interrupted_after(stage: str, project: Path, home: Home) -> tuple[str, int]:
    """Build until the stage has ended, press Ctrl-C; what was said and the exit code."""
    command = [sys.executable, "-I", "-m", "invar", "build", str(project)]
    environment = {**os.environ, "INVAR_HOME": str(home.root)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith(f"{stage}: done"):
                os.killpg(process.pid, signal.SIGINT)
                break
        said += process.stderr.read()
    return said, process.returncode
