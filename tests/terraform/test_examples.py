"""The examples, by the real terraform: all are valid and plan; the classic pair boots and applies its user data."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.request
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import invar
from invar.aws.client import Cloud
from invar.core.home import Home
from invar.system.proof import Proof
from invar.terraform.install import install
from terraform.aws.standin import install as install_aws
from terraform.conftest import Project

EXAMPLES = ("terraform-instance", "terraform-fleet", "terraform-asg-plain")
REGION = "us-east-1"
BOOT_SECONDS = 420.0
PROOF = re.compile(r"invar-proof: (\{.*\})")

Example = Callable[[str], Project]


@pytest.fixture
def example(terraform: str, repository: Path, environment: dict[str, str], tmp_path: Path) -> Example:
    """A copy of an example, where it finds what it names, with the stand-in for the AWS provider, initialised."""

    def make(name: str) -> Project:
        ignored = shutil.ignore_patterns(".terraform*", "terraform.d")
        for place in ("terraform", "examples/production-web", f"examples/{name}"):
            shutil.copytree(repository / place, tmp_path / place, ignore=ignored)
        directory = tmp_path / "examples" / name
        install_aws(directory)
        install(directory, {"HOME": str(tmp_path)})
        project = Project(directory, environment)
        project.succeed("init", "-input=false")
        return project

    return make


@pytest.fixture(scope="module")
def published(
    repository: Path, home: Home, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The example's image, as the variable file tells of it."""
    file = tmp_path_factory.mktemp("published") / "images.auto.tfvars.json"
    account = {name: value for name, value in environment.items() if name.startswith("AWS_")}
    place = repository / "examples" / "production-web"
    done = invar("publish", place, "--region", REGION, "--tfvars", file, home=home, environment=account)
    assert done.code == 0, done.err
    document: dict[str, Any] = json.loads(file.read_text())
    return document


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_valid(example: Example, name: str) -> None:
    example(name).succeed("validate")


def test_user_data_that_ec2_would_not_take_is_refused_at_plan(example: Example) -> None:
    project = example("terraform-instance")
    (project.directory / "configuration.nix").write_text("{ }\n" + "é" * 8191)
    failed = project.run("plan", "-var", "nixos_ami_id=ami-0123456789abcdef0")
    assert failed.code == 1 and "16384 bytes" in " ".join(failed.text.split())
    (project.directory / "configuration.nix").write_text("{ }\n" + "é" * 8190)
    project.succeed("plan", "-var", "nixos_ami_id=ami-0123456789abcdef0")


@pytest.mark.build
def test_a_group_takes_its_image_from_the_variable_file(example: Example, published: dict[str, Any]) -> None:
    project = example("terraform-asg-plain")
    (project.directory / "images.auto.tfvars.json").write_text(json.dumps(published))
    variables = ("-var", 'subnet_ids=["subnet-1"]')
    project.succeed("plan", *variables, "-var", f"region={REGION}", "-out=plan.bin")
    [template] = planned(project, "aws_launch_template")
    [image] = published["invar_images"].values()
    assert template["image_id"] == image["amis"][REGION]
    assert template["tag_specifications"][0]["tags"]["system_digest"] == image["system_digest"]
    elsewhere = project.run("plan", *variables, "-var", "region=eu-west-1")
    assert elsewhere.code == 1 and "not published to this region" in " ".join(elsewhere.text.split())


@pytest.mark.build
def test_a_fleet_is_planned_with_its_digest_and_checked_user_data(example: Example) -> None:
    project = example("terraform-fleet")
    project.succeed("plan", "-var", f"region={REGION}", "-out=plan.bin")
    [image] = planned(project, "invar_image")
    assert re.fullmatch("[0-9a-f]{64}", image["system_digest"])
    [template] = planned(project, "aws_launch_template")
    assert json.loads(b64decode(template["user_data"])) == {"invar": {"parameters": {"role": "web"}}}
    assert len(planned(project, "aws_subnet")) == 4
    [group] = planned(project, "aws_autoscaling_group")
    assert group["health_check_type"] == "ELB" and group["instance_refresh"] == []
    [rollout] = planned(project, "invar_rollout")
    assert rollout["system_digest"] == image["system_digest"] and list(rollout["launch_templates"]) == [REGION]


@pytest.mark.build
@pytest.mark.boot
def test_the_classic_pair_boots_a_machine_that_applies_its_user_data(
    example: Example, published: dict[str, Any], environment: dict[str, str]
) -> None:
    [image] = published["invar_images"].values()
    project = example("terraform-instance")
    variable = f"-var=nixos_ami_id={image['amis'][REGION]}"
    ec2 = Cloud(endpoint_url=environment["AWS_ENDPOINT_URL"], keys=("test", "test")).ec2(REGION)
    project.succeed("apply", "-auto-approve", variable)
    try:
        identity = project.state()["aws_instance.web"]["id"]
        address = json.loads(project.succeed("output", "-json", "address"))
        page = eventually(lambda: configured(f"http://{address}/"))
        assert "configured by user data" in page
        proof = eventually(lambda: second(ec2.get_console_output(InstanceId=identity)["Output"]))
        assert proof.booted_digest == image["system_digest"] != proof.active_digest
        assert proof.refused is None and {check.state for check in proof.checks} == {"passed"}
        assert "No changes" in project.succeed("plan", variable)
    finally:
        project.succeed("destroy", "-auto-approve", variable)
    found = ec2.describe_instances(InstanceIds=[identity])["Reservations"][0]["Instances"][0]
    assert found["State"]["Name"] == "terminated"


def planned(project: Project, kind: str) -> list[dict[str, Any]]:
    """What the plan in plan.bin makes of one type."""
    shown = json.loads(project.succeed("show", "-json", "plan.bin"))
    return [each["change"]["after"] for each in shown["resource_changes"] if each["type"] == kind]


def configured(url: str) -> str | None:
    """The page, once it is no longer the image's."""
    page = urllib.request.urlopen(url, timeout=20).read().decode()
    return None if "production-web answers" in page else page


def second(console: str) -> Proof | None:
    """What the instance proves after its user data."""
    proofs = [Proof.from_json(found, where="console") for found in PROOF.findall(console)]
    return next((proof for proof in reversed(proofs) if proof.active_generation == 2), None)


def eventually(look: Callable[[], Any]) -> Any:
    """What `look` returns once it returns something."""
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        try:
            found = look()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(1)
    raise AssertionError(f"not within {BOOT_SECONDS} s")
