"""Garbage collection against a cloud: only what is unused goes, with its snapshots, and what failed goes later."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invar.aws.blocks import map_blocks
from invar.aws.client import Cloud
from invar.aws.snapshot_start import Upload, find_or_start
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.fleet.gc import Deleted, survey, sweep
from invar.fleet.gc_choice import Choice, Rules
from invar.fleet.inventory import take_inventory
from invar.fleet.publish import Artifact, Destination, Published, publish
from invar.fleet.tags import Identity
from invar.store.objects import Store

REGIONS = ("us-east-1", "eu-west-1")
Control = Callable[..., dict[str, Any]]


@pytest.fixture
def send(
    cloud: Cloud, controlled: Control, make_image: Callable[..., Path], tmp_path: Path
) -> Callable[[int], Published]:
    """Publishes a generation to both regions."""
    controlled("POST", "settings", {"copy_seconds": 0})

    def one(number: int) -> Published:
        path = make_image(f"image-{number}", {0: number, 5: 5})
        identity = Identity("web", hashlib.sha256(bytes([number])).hexdigest(), "5" * 64)
        artifact = Artifact(path, map_blocks(path, Report()), identity, "x86_64")
        return publish(cloud, artifact, Destination(REGIONS), Store(tmp_path / "store"), Report(), version="0.1.0")

    return one


def look(cloud: Cloud, rules: Rules | None = None, *, ahead: float = 0.0) -> Choice:
    return survey(cloud, REGIONS, ["web"], rules or Rules(generations=1), time.time() + ahead, Report())


def left(cloud: Cloud) -> list[int]:
    return sorted(one.number for one in take_inventory(cloud, REGIONS, ["web"]).generations)


def test_only_unused_generations_go_with_all_their_snapshots(
    cloud: Cloud, controlled: Control, send: Callable[[int], Published]
) -> None:
    done = {number: send(number) for number in range(1, 6)}
    ec2, ssm, autoscaling = cloud.ec2("us-east-1"), cloud.ssm("eu-west-1"), cloud.autoscaling("eu-west-1")
    ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": done[1].images["us-east-1"].id})
    ssm.put_parameter(Name="pin", Value=done[2].images["eu-west-1"].id, Type="String")
    autoscaling.create_launch_configuration(
        LaunchConfigurationName="old", ImageId=done[3].images["eu-west-1"].id, InstanceType="t3.small"
    )
    choice = look(cloud)
    assert [one.number for one in choice.doomed] == [4]
    assert left(cloud) == [1, 2, 3, 4, 5], "looking deletes nothing"
    gone = sweep(cloud, choice, Report())
    assert gone.failed == {}
    assert {region: len(snapshots) for region, snapshots in gone.snapshots.items()} == dict.fromkeys(REGIONS, 2)
    assert left(cloud) == [1, 2, 3, 5]
    state = controlled("GET", "state")
    assert len(state["snapshots"]) == 2 * len(state["images"]), "an image and its record each"
    again = look(cloud)
    assert (again.doomed, again.orphans) == ((), ())


def test_what_is_used_at_the_last_moment_is_spared(cloud: Cloud, send: Callable[[int], Published]) -> None:
    first = send(1)
    send(2)
    choice = look(cloud)
    image = first.images["us-east-1"].id
    cloud.ec2("us-east-1").create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image})
    gone: Deleted = sweep(cloud, choice, Report())
    assert gone.spared == {"us-east-1": [image]}
    assert list(gone.images) == ["eu-west-1"]


@pytest.mark.parametrize("operation", ["DescribeInstances", "DescribeImageAttribute", "DescribeSnapshots"])
def test_what_cannot_be_asked_means_that_nothing_goes(
    cloud: Cloud, controlled: Control, send: Callable[[int], Published], operation: str
) -> None:
    send(1)
    send(2)
    refusal = {"action": "error", "code": "UnauthorizedOperation", "status": 403}
    controlled("POST", "faults", {"operation": operation, "region": "eu-west-1", "times": None, **refusal})
    with pytest.raises(InvarError) as caught:
        look(cloud)
    assert caught.value.where is not None
    assert f"ec2:{operation} eu-west-1" in caught.value.where


def test_what_fails_in_a_region_goes_with_the_next_run(
    cloud: Cloud, controlled: Control, send: Callable[[int], Published]
) -> None:
    send(1)
    send(2)
    controlled(
        "POST",
        "faults",
        {
            "operation": "DeleteSnapshot",
            "region": "eu-west-1",
            "action": "error",
            "code": "AccessDenied",
            "status": 403,
        },
    )
    gone = sweep(cloud, look(cloud), Report())
    assert list(gone.failed) == ["eu-west-1"]
    assert "ec2:DeleteSnapshot eu-west-1" in (gone.failed["eu-west-1"].where or "")
    controlled("DELETE", "faults")
    choice = look(cloud, ahead=2 * 86400)
    assert [(one.region, one.why) for one in choice.orphans] == [("eu-west-1", "the record of no image")]
    assert sweep(cloud, choice, Report()).failed == {}
    state = controlled("GET", "state")
    assert (len(state["images"]), len(state["snapshots"])) == (2, 4)


def test_a_killed_uploads_snapshot_goes_once_it_is_old(
    cloud: Cloud, controlled: Control, send: Callable[[int], Published], make_image: Callable[..., Path], tmp_path: Path
) -> None:
    send(1)
    path = make_image("killed", {0: 99})
    tags = {"invar:configuration": "web", "invar:system": "9" * 64}
    request = Upload(path, map_blocks(path, Report()), "us-east-1", "killed", tmp_path / "journals", tags=tags)
    begun = find_or_start(cloud, request, Report(), 0)
    assert look(cloud).orphans == (), "it may be under way"
    choice = look(cloud, ahead=2 * 86400)
    assert [(one.snapshot.id, one.why) for one in choice.orphans] == [(begun.snapshot, "an upload left pending")]
    sweep(cloud, choice, Report())
    assert begun.snapshot not in {one["id"] for one in controlled("GET", "state")["snapshots"]}
