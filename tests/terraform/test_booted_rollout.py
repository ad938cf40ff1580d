"""`invar_rollout` with real machines: a group of one that boots, fails at its check and is put back, then moves on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invar.aws.client import Cloud
from terraform.conftest import Project

pytestmark = [
    pytest.mark.build,
    pytest.mark.boot,
    pytest.mark.skipif(os.environ.get("INVAR_TEST_LONG") != "1", reason="INVAR_TEST_LONG=1: three machines"),
]

REGION = "us-east-1"


def image(web: Path) -> str:
    return f'resource "invar_image" "web" {{\n  configuration = "{web}"\n  regions = ["{REGION}"]\n}}\n'


def rollout(template: str, version: int) -> str:
    return f"""
resource "invar_rollout" "web" {{
  group            = "web"
  launch_templates = {{ {REGION} = {{ id = "{template}", version = {version} }} }}
  system_digest    = invar_image.web.system_digest
  canary           = 100
  pause            = 0
  max_healthy      = 200
  proof_within     = 1500
}}
"""


def test_a_machine_proves_its_image_a_failing_check_undoes_the_rollout_and_the_next_image_runs(
    make_project: Callable[[str], Project], web: Path, environment: dict[str, str]
) -> None:
    cloud = Cloud(endpoint_url=environment["AWS_ENDPOINT_URL"], keys=("test", "test"), region=REGION)
    ec2, groups = cloud.ec2(REGION), cloud.autoscaling(REGION)
    project = make_project(image(web))

    def publish(change: Callable[[str], str]) -> Any:
        (web / "web.nix").write_text(change((web / "web.nix").read_text()))
        project.succeed("apply", "-auto-approve", "-target=invar_image.web")
        return project.state()["invar_image.web"]

    first = publish(lambda text: text)
    data: Any = {"ImageId": first["amis"][REGION], "InstanceType": "t3.micro"}
    made = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)["LaunchTemplate"]
    template = made["LaunchTemplateId"]
    groups.create_auto_scaling_group(
        AutoScalingGroupName="web",
        MinSize=1,
        MaxSize=1,
        AvailabilityZones=[f"{REGION}a"],
        HealthCheckGracePeriod=1500,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
    )

    def running() -> list[str]:
        [group] = groups.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"]
        return [f"{one['LifecycleState']} {one['LaunchTemplate']['Version']}" for one in group["Instances"]]

    def release(values: Any) -> int:
        data["ImageId"] = values["amis"][REGION]
        added = ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=data)
        return added["LaunchTemplateVersion"]["VersionNumber"]

    try:
        project.write(image(web) + rollout(template, 1))
        project.succeed("apply", "-auto-approve")
        before = project.state()["invar_rollout.web"]
        assert before["proven_digest"] == first["system_digest"]

        broken = publish(lambda text: re.sub(r"body = .*;", 'body = "nobody says this";', text))
        project.write(image(web) + rollout(template, release(broken)))
        failed = project.run("apply", "-auto-approve")
        said = " ".join(failed.text.replace("│", " ").split())
        assert failed.code == 1 and "what ran before runs again everywhere" in said
        assert "check web" in said and "the console of i-" in said
        assert project.state()["invar_rollout.web"] == before and running() == ["InService 1"]

        mended = publish(
            lambda text: re.sub(r"body = .*;", "body = greeting;", text).replace("answers", "answers again")
        )
        project.write(image(web) + rollout(template, release(mended)))
        project.succeed("apply", "-auto-approve")
        assert project.state()["invar_rollout.web"]["proven_digest"] == mended["system_digest"]
        assert running() == ["InService 3"]
    finally:
        groups.delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
