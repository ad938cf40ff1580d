"""An image that Nix builds, as a resource: the flake's `invar.engine` holds, and another engine is refused in words."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nix_flake import FLAKE, nix_environment
from terraform.conftest import Project


def test_a_flake_s_engine_builds_the_resource(make_project: Callable[[str], Project], tmp_path: Path) -> None:
    if shutil.which("nix") is None:
        pytest.skip("nix is not installed here")
    flake = tmp_path / "flake"
    flake.mkdir()
    (flake / "flake.nix").write_text(FLAKE)
    text = f"""
resource "invar_image" "web" {{
  configuration = "{flake}#amazonImage"
  regions       = ["eu-west-1"]
}}
"""
    project = make_project(text)
    home = {"INVAR_HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}
    project = replace(project, environment={**project.environment, **nix_environment(tmp_path), **home})
    planned = project.plan()["resource_changes"][0]["change"]["after"]
    project.succeed("apply", "plan.bin")
    found = project.state()["invar_image.web"]
    assert found["system_digest"] == planned["system_digest"] and found["amis"]["eu-west-1"].startswith("ami-")
    assert (found["name"], found["lock_digest"]) == ("amazonImage", None)
    project.write(text.replace("regions", 'engine = "docker"\n  regions'))
    assert 'Write "native" or "nix"' in project.run("validate").text
    project.write(text.replace("regions", 'engine = "native"\n  regions'))
    refused = project.run("plan")
    assert refused.code == 1 and "native engine does not know" in " ".join(refused.text.split())
