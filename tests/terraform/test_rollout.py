"""`invar_rollout` by the real terraform: groups in two regions of the local cloud, whose instances are simulated."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cloud_fixtures import register_image
from invar.aws.client import Cloud
from invar.core.errors import InvarError
from invar.fleet.given import Given, begin_given, ledger_of
from invar.fleet.ledger import Mark
from invar.fleet.spec import TAG_FLEET_GENERATION, Policy
from invar.fleet.tags import CONFIGURATION, GENERATION, SYSTEM
from invar.localcloud.process import control
from invar.localcloud.record import CloudRecord
from terraform.conftest import Project

REGIONS = ("eu-west-1", "us-east-1")
GROUP = "web"
QUICK = "poll_seconds = 1\nwarm_up = 0\nmax_healthy = 200\ncanary = 50\n"


def digest(number: int) -> str:
    return f"{number:x}" * 64


@dataclass
class Account:
    """The groups' far end: templates with a version for each published generation."""

    cloud: Cloud
    record: CloudRecord
    templates: dict[str, str]

    def version(self, number: int, *, ours: bool = True) -> None:
        """A published generation, or an image of others, and a version of the same number that launches it."""
        for region in REGIONS:
            ec2 = self.cloud.ec2(region)
            tags = {CONFIGURATION: GROUP, GENERATION: str(number), SYSTEM: digest(number)} if ours else {"by": "hand"}
            image = register_image(self.cloud, region, f"{GROUP}-{number}", tags)
            simulated: Any = [{"ResourceType": "instance", "Tags": [{"Key": "invar:kind", "Value": "simulated"}]}]
            data: Any = {"ImageId": image, "InstanceType": "t3.micro", "TagSpecifications": simulated}
            if region in self.templates:
                ec2.create_launch_template_version(LaunchTemplateId=self.templates[region], LaunchTemplateData=data)
            else:
                made = ec2.create_launch_template(LaunchTemplateName=GROUP, LaunchTemplateData=data)
                self.templates[region] = made["LaunchTemplate"]["LaunchTemplateId"]

    def run(self, size: int = 2) -> None:
        """The groups, at version 1."""
        for region in REGIONS:
            self.cloud.autoscaling(region).create_auto_scaling_group(
                AutoScalingGroupName=GROUP,
                MinSize=size,
                MaxSize=3 * size,
                AvailabilityZones=[f"{region}a"],
                LaunchTemplate={"LaunchTemplateId": self.templates[region], "Version": "1"},
            )

    def group(self, region: str) -> Any:
        """A region's group, as AWS describes it."""
        found = self.cloud.autoscaling(region).describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])
        return found["AutoScalingGroups"][0]

    def serving(self, region: str) -> list[str]:
        """The versions that a region's instances in service are of."""
        members = self.group(region)["Instances"]
        return sorted(each["LaunchTemplate"]["Version"] for each in members if each["LifecycleState"] == "InService")

    def versions(self) -> set[tuple[str, str]]:
        """What serves: region and version."""
        return {(region, version) for region in REGIONS for version in self.serving(region)}

    def given(self, version: int) -> Given:
        """What `text` asks for, as the rollout has it."""
        targets = {region: (self.templates[region], str(version)) for region in REGIONS}
        policy = Policy(REGIONS, 50, (), 0, 100, 200, 0, 0, (), automatic_rollback=True, window=None)
        return Given(GROUP, targets, REGIONS, policy, checks=True, within=900)

    def text(self, version: str, more: str = "pause = 0") -> str:
        """A project that rolls both regions to a version."""
        listed = "".join(
            f'{region} = {{ id = "{self.templates[region]}", version = "{version}" }}\n' for region in REGIONS
        )
        return f"""
resource "invar_rollout" "web" {{
  group = "{GROUP}"
  launch_templates = {{
    {listed}
  }}
  {QUICK}
  {more}
}}
"""


@pytest.fixture
def account(cloud_record: CloudRecord, environment: dict[str, str]) -> Iterator[Account]:
    """An empty account, quick at launching."""
    control(cloud_record, "POST", "reset")
    settings = {"pending_seconds": 0.2, "boot_seconds": 0.5, "shutdown_seconds": 0.2, "real_ports": 0}
    before = {name: control(cloud_record, "GET", "state")["settings"][name] for name in settings}
    control(cloud_record, "POST", "settings", settings)
    cloud = Cloud(endpoint_url=environment["AWS_ENDPOINT_URL"], keys=("test", "test"), region=REGIONS[0])
    yield Account(cloud, cloud_record, {})
    control(cloud_record, "POST", "reset")
    control(cloud_record, "POST", "settings", before)


def test_groups_are_adopted_rolled_put_back_when_an_instance_lies_and_rolled_again(
    account: Account, make_project: Callable[[str], Project]
) -> None:
    account.version(1)
    account.version(2)
    account.run()
    project = make_project(account.text("1", f'pause = 0\nsystem_digest = "{digest(1)}"'))
    project.succeed("apply", "-auto-approve")
    first = project.state()["invar_rollout.web"]
    assert (first["generation"], first["proven_digest"], first["ledger_region"]) == (1, digest(1), REGIONS[0])
    assert "No changes" in project.succeed("plan")

    project.write(account.text("2"))
    change = project.plan()["resource_changes"][0]["change"]
    assert change["actions"] == ["update"] and change["after_unknown"]["proven_digest"]
    project.succeed("apply", "plan.bin")
    second = project.state()["invar_rollout.web"]
    assert (second["generation"], second["proven_digest"]) == (2, digest(2))
    assert account.versions() == {(region, "2") for region in REGIONS}
    for region in REGIONS:
        keys = {tag["Key"] for tag in account.group(region)["Tags"]}
        assert TAG_FLEET_GENERATION not in keys, "Terraform would take a tag that stays for drift"

    account.version(3)
    lie = {"group": GROUP, "version": "3", "times": 1, "behaviour": {"digest": digest(9)}}
    control(account.record, "POST", "behaviours", lie)
    project.write(account.text("3"))
    failed = project.run("apply", "-auto-approve")
    assert failed.code == 1 and "on main.tf line" in failed.text
    said = flat(failed.text)
    assert "Generation 3 of web failed, and what ran before runs again everywhere" in said
    assert "it runs system 999999999999" in said and "the console of i-" in said and "log:" in said
    assert project.state()["invar_rollout.web"] == second
    assert account.versions() == {(region, "2") for region in REGIONS}

    project.succeed("apply", "-auto-approve")
    third = project.state()["invar_rollout.web"]
    assert (third["generation"], third["proven_digest"]) == (4, digest(3))

    project.write(account.text("3", "pause = 7"))
    project.succeed("apply", "-auto-approve")
    assert project.state()["invar_rollout.web"] == {**third, "pause": 7}

    project.succeed("state", "rm", "invar_rollout.web")
    project.succeed("import", "invar_rollout.web", f"{GROUP}:{REGIONS[0]}")
    imported = project.state()["invar_rollout.web"]
    assert imported["launch_templates"] == third["launch_templates"] and imported["settled"]
    project.succeed("apply", "-auto-approve")
    assert project.state()["invar_rollout.web"]["generation"] == 4
    project.succeed("destroy", "-auto-approve")
    assert account.versions() == {(region, "3") for region in REGIONS}


def test_a_rollout_that_is_interrupted_or_left_alone_pauses_and_the_next_apply_says_where_it_goes(
    account: Account, make_project: Callable[[str], Project]
) -> None:
    account.version(1)
    account.version(2)
    account.run()
    project = make_project(account.text("1"))
    project.succeed("apply", "-auto-approve")

    interrupt(project, account, "2")
    before = account.versions()
    time.sleep(3)
    assert account.versions() == before == {(REGIONS[0], "1"), (REGIONS[0], "2"), (REGIONS[1], "1")}
    # What was declared before is declared again: the state is as declared, the groups are not.
    project.write(account.text("1"))
    change = project.plan()["resource_changes"][0]["change"]
    assert change["actions"] == ["update"] and change["before"]["settled"] is False
    project.succeed("apply", "plan.bin")
    assert project.state()["invar_rollout.web"]["generation"] == 1
    assert account.versions() == {(region, "1") for region in REGIONS}

    kill(project, account, "2")
    project.write(account.text("2"))
    project.succeed("apply", "-auto-approve")
    assert project.state()["invar_rollout.web"]["generation"] == 3
    assert account.versions() == {(region, "2") for region in REGIONS}


def test_a_group_that_somebody_moved_is_moved_back(account: Account, make_project: Callable[[str], Project]) -> None:
    account.version(1)
    account.version(2)
    account.run(size=1)
    project = make_project(account.text("1"))
    project.succeed("apply", "-auto-approve")
    account.cloud.autoscaling(REGIONS[1]).update_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        LaunchTemplate={"LaunchTemplateId": account.templates[REGIONS[1]], "Version": "2"},
    )
    change = project.plan()["resource_changes"][0]["change"]
    assert change["actions"] == ["update"] and change["before"]["settled"] is False
    project.succeed("apply", "plan.bin")
    assert "No changes" in project.succeed("plan")
    assert account.group(REGIONS[1])["LaunchTemplate"]["Version"] == "1"


def test_one_rollout_goes_at_a_time_and_whoever_wants_the_same_takes_it_over(account: Account) -> None:
    account.version(1)
    account.version(2)
    account.run(size=0)
    ledger = ledger_of(account.cloud, REGIONS[0], GROUP)

    def begin(version: int) -> int | None:
        return begin_given(account.cloud, ledger, account.given(version), "me", time.time(), digest(version))

    assert begin(1) == begin(1) == 1
    ledger.close(1, Mark("done", "me", time.time()))
    assert begin(1) is None
    assert begin(2) == begin(2) == 2
    with pytest.raises(InvarError, match="generation 2 of web is under way") as busy:
        begin(1)
    assert "apply the same versions to take it over" in str(busy.value)


def test_a_group_without_a_way_back_is_not_rolled(account: Account) -> None:
    account.version(1, ours=False)
    account.version(2)
    account.run(size=0)
    ledger = ledger_of(account.cloud, REGIONS[0], GROUP)
    with pytest.raises(InvarError, match="no way back to what web runs now"):
        begin_given(account.cloud, ledger, account.given(2), "me", time.time(), None)
    assert not ledger.history().standings


@pytest.mark.parametrize(
    ("version", "more", "said"),
    [
        ("$Latest", "", "is no version"),
        ("1", 'regions = ["eu-west-1"]', "are not those of launch_templates"),
        ("1", "min_healthy = 200", "whole number from 0 to 100"),
        ("1", "min_healthy = 50", "at most 100 between them"),
        ("1", "waves = [40]", "do not ascend"),
        ("1", 'bake = "long"', "a number is required"),
        ("1", 'ledger_region = "europe"', "is no region"),
    ],
)
def test_bad_input_is_refused_with_its_place(
    account: Account, make_project: Callable[[str], Project], version: str, more: str, said: str
) -> None:
    account.templates = dict.fromkeys(REGIONS, "lt-0")
    failed = make_project(account.text(version, more)).run("plan")
    assert failed.code == 1 and said in flat(failed.text), failed.text
    assert "on main.tf line" in failed.text


def test_what_cannot_be_rolled_is_told(account: Account, make_project: Callable[[str], Project]) -> None:
    account.version(1)
    project = make_project(account.text("1"))
    missing = project.run("apply", "-auto-approve")
    assert missing.code == 1 and "no group web" in missing.text
    account.run()
    project.write(account.text("7"))
    absent = project.run("apply", "-auto-approve")
    assert absent.code == 1 and "has no version 7" in absent.text
    project.write(account.text("1", f'system_digest = "{digest(5)}"'))
    other = project.run("apply", "-auto-approve")
    assert other.code == 1 and "not of the system to roll out" in flat(other.text)
    project.write(account.text("1").replace(REGIONS[0], "eu-west-9"))
    nowhere = project.run("plan")
    assert nowhere.code == 1 and "no region eu-west-9" in flat(nowhere.text)


def interrupt(project: Project, account: Account, version: str) -> None:
    """Ctrl-C during a rollout's pause after its canary."""
    stopped = project.interrupt(begin_canary(project, account, version))
    assert stopped.code == 1 and "Interrupted" in stopped.text and "is paused: EC2" in flat(stopped.text), stopped.text


def kill(project: Project, account: Account, version: str) -> None:
    """Terraform is killed then, and the provider left alone."""
    process = begin_canary(project, account, version)
    process.kill()
    process.communicate()
    ledger = ledger_of(account.cloud, REGIONS[0], GROUP)
    wait_until(lambda: (newest := ledger.history().newest) is not None and newest.paused)


def begin_canary(project: Project, account: Account, version: str) -> subprocess.Popen[str]:
    """An apply whose rollout pauses after its canary."""
    project.write(account.text(version, "pause = 10"))
    process = project.begin("apply", "-auto-approve")
    wait_until(lambda: account.serving(REGIONS[0]) == ["1", version])
    return process


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def flat(text: str) -> str:
    """What Terraform says, without its frame and line breaks."""
    return " ".join(text.replace("│", " ").split())
