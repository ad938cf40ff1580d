"""The modules, by the real terraform against the AWS provider's schemas: format, validity, own tests, mistakes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from terraform.aws.standin import install as install_aws
from terraform.conftest import Project

MODULES = ("network", "fleet")


@pytest.fixture(scope="module")
def initialised(
    terraform: str, repository: Path, offline: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Project]:
    """A copy of a module with the stand-in for the AWS provider, made once."""
    made: dict[str, Project] = {}

    def of(name: str) -> Project:
        if name not in made:
            source = repository / "terraform" / "modules" / name
            ignored = shutil.ignore_patterns(".terraform*", "terraform.d")
            directory = shutil.copytree(source, tmp_path_factory.mktemp("module") / name, ignore=ignored)
            install_aws(directory)
            made[name] = Project(directory, offline)
            made[name].succeed("init", "-input=false")
        return made[name]

    return of


@pytest.mark.parametrize("place", ["terraform", "examples"])
def test_the_text_is_formatted(terraform: str, repository: Path, offline: dict[str, str], place: str) -> None:
    command = [terraform, "fmt", "-check", "-recursive", "-diff", str(repository / place)]
    done = subprocess.run(command, env=offline, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_valid_and_passes_its_own_tests(initialised: Callable[[str], Project], module: str) -> None:
    project = initialised(module)
    project.succeed("validate")
    said = project.succeed("test")
    assert re.search(r"Success! \d+ passed, 0 failed", said), said


MISTAKES = [
    ("fleet", "main.tf", "  image_id  ", "  ami_id  ", 'argument named "ami_id" is not expected'),
    ("fleet", "main.tf", "aws_launch_template.this.latest_version", "aws_launch_template.this.version", "no argument"),
    ("fleet", "main.tf", "min_healthy_percentage = 100", "", '"min_healthy_percentage" is required'),
    ("fleet", "main.tf", "  metadata_options {", "  metadata {", 'type "metadata" are not expected'),
    ("fleet", "main.tf", "aws_lb_target_group.this[*].arn", '"arn"', "set of string required"),
    ("fleet", "load-balancer.tf", "  default_action {", "  action {", 'type "action" are not expected'),
    ("fleet", "alarms.tf", "var.alarms.actions", "var.alarm_actions", "undeclared input variable"),
    ("network", "main.tf", 'resource "aws_eip" "nat"', 'resource "aws_elastic_ip" "nat"', "does not support resource"),
    ("network", "outputs.tf", "aws_vpc.this.cidr_block", "aws_vpc.this.addresses", "no argument"),
]


@pytest.mark.parametrize(("module", "file", "right", "wrong", "said"), MISTAKES)
def test_a_mistake_is_caught(
    initialised: Callable[[str], Project], module: str, file: str, right: str, wrong: str, said: str
) -> None:
    project = initialised(module)
    path = project.directory / file
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong))
    try:
        done = project.run("validate")
    finally:
        path.write_text(text)
    assert done.code == 1
    assert said in " ".join(done.text.replace("│", " ").split())
