"""Who uses an image: every kind of user is found, whatever state it is in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invar.aws.blocks import map_blocks
from invar.aws.client import Cloud
from invar.aws.image_users import Use, image_uses
from invar.aws.images import Registration, RootVolume, register_image
from invar.aws.snapshot_start import Upload
from invar.aws.snapshot_upload import upload
from invar.core.errors import InvarError
from invar.core.events import Report

REGION = "us-east-1"
SMALL: Any = {"InstanceType": "t3.small"}


@pytest.fixture
def image(cloud: Cloud, make_image: Callable[..., Path], journals: Path) -> Callable[[str], str]:
    """Registers an image of this name."""
    path = make_image("image", {0: 1})
    request = Upload(path, map_blocks(path, Report()), REGION, "image", journals)
    snapshot = upload(cloud, request, Report()).snapshot
    return lambda name: register_image(cloud, REGION, Registration(name, name, "x86_64", RootVolume(snapshot, 1)))


def test_nobody_uses_anything(cloud: Cloud) -> None:
    assert image_uses(cloud, REGION) == []


def test_every_kind_of_user_is_found(cloud: Cloud, image: Callable[[str], str]) -> None:
    one, two, three, four = (image(name) for name in ("one", "two", "three", "four"))
    ec2, autoscaling, ssm = cloud.ec2(REGION), cloud.autoscaling(REGION), cloud.ssm(REGION)
    ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": one, **SMALL})
    ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"ImageId": two, **SMALL})
    autoscaling.create_launch_configuration(LaunchConfigurationName="old", ImageId=three, InstanceType="t3.small")
    group: dict[str, Any] = {"MinSize": 0, "MaxSize": 1, "AvailabilityZones": ["us-east-1a"]}
    for name, version in (("first", "1"), ("newest", "$Latest")):
        template = {"LaunchTemplateName": "web", "Version": version}
        autoscaling.create_auto_scaling_group(AutoScalingGroupName=name, LaunchTemplate=template, **group)
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="mixed",
        MixedInstancesPolicy={
            "LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateName": "web", "Version": "$Default"}}
        },
        **group,
    )
    ssm.put_parameter(Name="history", Value=f"generation 3 was {four}, 2 was {one}", Type="String")
    uses = image_uses(cloud, REGION)
    assert set(uses) >= {
        Use(one, "launch template", "web version 1"),
        Use(two, "launch template", "web version 2"),
        Use(three, "launch configuration", "old"),
        Use(one, "group", "first"),
        Use(two, "group", "newest"),
        Use(one, "group", "mixed"),
        Use(four, "parameter", "history"),
        Use(one, "parameter", "history"),
    }


def test_a_template_that_names_a_parameter_uses_what_the_parameter_says(
    cloud: Cloud, image: Callable[[str], str]
) -> None:
    one, two = image("one"), image("two")
    ssm = cloud.ssm(REGION)
    for value in (one, two):
        ssm.put_parameter(Name="/web/ami", Value=value, Type="String", Overwrite=True)
    ec2 = cloud.ec2(REGION)
    ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": "resolve:ssm:/web/ami"})
    pinned = {"ImageId": "resolve:ssm:/web/ami:1"}
    ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData=pinned)
    uses = image_uses(cloud, REGION)
    assert Use(two, "launch template", "web version 1") in uses
    assert Use(one, "launch template", "web version 2") in uses


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_instances_count_until_they_are_terminated(
    cloud: Cloud, image: Callable[[str], str], controlled: Callable[..., dict[str, Any]], state: str
) -> None:
    controlled("POST", "settings", {"instance_kind": "simulated"})
    controlled("POST", "clock", {"frozen": True})
    one = image("one")
    ec2 = cloud.ec2(REGION)
    instance = ec2.run_instances(ImageId=one, MinCount=1, MaxCount=1, **SMALL)["Instances"][0]["InstanceId"]
    controlled("POST", "clock", {"advance": 10})
    if state == "stopped":
        ec2.stop_instances(InstanceIds=[instance])
        controlled("POST", "clock", {"advance": 10})
    assert Use(one, "instance", f"{instance} ({state})") in image_uses(cloud, REGION)
    ec2.terminate_instances(InstanceIds=[instance])
    controlled("POST", "clock", {"advance": 10})
    assert image_uses(cloud, REGION) == []


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("DescribeInstances", "ec2:DescribeInstances"),
        ("DescribeLaunchTemplates", "ec2:DescribeLaunchTemplates"),
        ("DescribeLaunchConfigurations", "autoscaling:DescribeLaunchConfigurations"),
        ("DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingGroups"),
        ("DescribeParameters", "ssm:DescribeParameters"),
    ],
)
def test_what_cannot_be_listed_is_an_error_and_not_nothing(
    cloud: Cloud, controlled: Callable[..., dict[str, Any]], operation: str, call: str
) -> None:
    refusal = {"action": "error", "code": "AccessDenied", "status": 403}
    controlled("POST", "faults", {"operation": operation, "times": None, **refusal})
    with pytest.raises(InvarError) as caught:
        image_uses(cloud, REGION)
    assert caught.value.where == f"{call} {REGION}"
