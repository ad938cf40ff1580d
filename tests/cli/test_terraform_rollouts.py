"""`invar status`, `history` and `abort` of a group that Terraform's invar_rollout moves: its ledger is in AWS too."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from cloud_fixtures import cloud, cloud_root, record, register_image, running
from command import Done, invar
from invar.aws.client import Cloud
from invar.core.events import Report
from invar.core.home import Home
from invar.fleet.given import Given, begin_given, ledger_of
from invar.fleet.rollout import Pace, drive, pause
from invar.fleet.spec import Policy
from invar.fleet.tags import CONFIGURATION, GENERATION, SYSTEM
from invar.localcloud.process import control
from invar.localcloud.record import CloudRecord

__all__ = ["cloud", "cloud_root", "record", "running"]

REGION = "eu-west-1"
GROUP = "shop"
NAMED = f"{GROUP}:{REGION}"


class Shop:
    """A group that Terraform declares, rolled to version 1 and on the way to version 2."""

    def __init__(self, cloud: Cloud, record: CloudRecord, home: Home) -> None:
        self.cloud, self.record, self.home = cloud, record, home
        quick = {"instance_kind": "simulated", "pending_seconds": 0.2, "boot_seconds": 0.5, "shutdown_seconds": 0.2}
        control(record, "POST", "settings", {**quick, "real_ports": 0})
        self.template = ""
        for number in (1, 2):
            self._version(number)
        cloud.autoscaling(REGION).create_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            MinSize=2,
            MaxSize=6,
            AvailabilityZones=[f"{REGION}a"],
            LaunchTemplate={"LaunchTemplateId": self.template, "Version": "1"},
        )
        self.ledger = ledger_of(cloud, REGION, GROUP)
        self.roll(1)

    def _version(self, number: int) -> None:
        ec2 = self.cloud.ec2(REGION)
        tags = {CONFIGURATION: GROUP, GENERATION: str(number), SYSTEM: f"{number}" * 64, "invar:commit": "c0ffee"}
        image = register_image(self.cloud, REGION, f"{GROUP}-{number}", tags)
        data: Any = {"ImageId": image, "InstanceType": "t3.micro"}
        if self.template:
            ec2.create_launch_template_version(LaunchTemplateId=self.template, LaunchTemplateData=data)
        else:
            made = ec2.create_launch_template(LaunchTemplateName=GROUP, LaunchTemplateData=data)
            self.template = made["LaunchTemplate"]["LaunchTemplateId"]

    def begin(self, version: int) -> int:
        policy = Policy((REGION,), 50, (), 0, 100, 200, 0, 0, (), automatic_rollback=True, window=None)
        given = Given(GROUP, {REGION: (self.template, str(version))}, (REGION,), policy, checks=True, within=900)
        number = begin_given(self.cloud, self.ledger, given, "terraform", time.time(), None)
        assert number is not None
        return number

    def roll(self, version: int) -> None:
        number = self.begin(version)
        pace = Pace(poll=0.5)
        result = drive(self.cloud, GROUP, self.ledger, number, "terraform", Report(), pace=pace, tag=False)
        assert result.good

    def run(self, *arguments: str) -> Done:
        account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": self.record.url}
        return invar(*arguments, home=self.home, environment=account)

    def versions(self) -> set[str]:
        found = self.cloud.autoscaling(REGION).describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])
        return {one["LaunchTemplate"]["Version"] for one in found["AutoScalingGroups"][0]["Instances"]}


@pytest.fixture
def shop(cloud: Cloud, record: CloudRecord, tmp_path: Path) -> Shop:
    return Shop(cloud, record, Home(tmp_path / "home"))


def test_status_and_history_tell_what_terraform_rolled(shop: Shop) -> None:
    done = shop.run("status", "--terraform", NAMED, "--json")
    assert done.code == 0, done.err
    (one,) = done.json()["fleets"]
    assert (one["fleet"], one["generation"], one["under_way"]) == (f"terraform.{GROUP}", 1, None)
    assert [(region["region"], region["by_generation"]) for region in one["regions"]] == [(REGION, {"generation 1": 2})]
    shop.roll(2)
    told = shop.run("history", "--terraform", NAMED).out.splitlines()
    assert len(told) == 2
    assert f"terraform.{GROUP}     2  rollout   done" in told[0] and "c0ffee" in told[0] and "terraform" in told[0]


def test_what_is_under_way_is_shown_and_can_be_ended(shop: Shop) -> None:
    number = shop.begin(2)
    shown = shop.run("status", "--terraform", NAMED)
    assert shown.code == 3 and f"generation {number} (rollout) is under way, begun by terraform" in shown.out
    ended = shop.run("abort", "--terraform", NAMED)
    assert ended.code == 0, ended.err
    assert f"terraform.{GROUP}: generation {number} is restored" in ended.out
    assert shop.versions() == {"1"}
    tags = shop.cloud.autoscaling(REGION).describe_tags()["Tags"]
    assert [one for one in tags if one["Key"].startswith("invar:fleet")] == []  # Terraform declares the group's tags


def test_what_terraform_paused_can_be_ended_too(shop: Shop) -> None:
    number = shop.begin(2)
    pause(shop.cloud, GROUP, shop.ledger, shop.ledger.standing(number), "terraform", time.time())
    assert "is paused" in shop.run("status", "--terraform", NAMED).out
    assert shop.run("abort", "--terraform", NAMED).code == 0
    assert shop.versions() == {"1"}
    again = shop.run("abort", "--terraform", NAMED)
    assert again.code == 2 and f"nothing is under way in terraform.{GROUP}" in again.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--terraform", GROUP), "write GROUP:REGION"),
        (("--terraform", f"{GROUP}:nowhere"), "does not tell where the ledger is"),
        (("--terraform", f"other:{REGION}"), f"there is no ledger of other in {REGION}"),
        (("--terraform", NAMED, "--fleet", "web"), "name different things"),
    ],
)
def test_what_names_no_ledger_is_refused(shop: Shop, arguments: tuple[str, ...], said: str) -> None:
    for verb in ("status", "history", "abort"):
        if verb == "abort" and "other" in arguments[1]:
            continue  # nothing is under way there
        done = shop.run(verb, *arguments)
        assert (done.code, done.out) == (2, ""), done.err
        assert said in done.err
