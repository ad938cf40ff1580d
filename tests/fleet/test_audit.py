"""What was changed by hand in a fleet is found and named; a fleet that nobody touched is clean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.simulation import NAME, REGIONS, World, digest, fleet, world_in
from invar.cli.fleet_state import audit_sum
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.fleet.apply import create_missing
from invar.fleet.audit import Audit, audit_fleet
from invar.fleet.begin import begin_creation, begin_rollout
from invar.fleet.drift import Audited
from invar.fleet.ledger import Entry, Ledger, Mark
from invar.fleet.rollout import drive
from invar.fleet.spec import TAG_FLEET, AuditPolicy, FleetSpec, Spot
from invar.localcloud.process import stop

REGION = REGIONS[0]
GROUP = f"invar-{NAME}"


class Fleet:
    """Three instances in one region, made anew for every test; whoever changes something by hand is its client."""

    def __init__(self, world: World, **settings: Any) -> None:
        self.world = world
        world.reset()
        world.publish(1)
        world.publish(2)
        self.spec: FleetSpec = replace(fleet(size=3, regions=(REGION,), parameters={"role": "web"}), **settings)
        self.ledger = Ledger(world.aws, REGION, NAME)
        entry = begin_creation(world.aws, self.spec, self.ledger, "maker", world.clock.now(), {})
        create_missing(world.aws, self.spec, {}, entry.deployments)
        world.wait(120)
        self.ledger.close(entry.number, Mark("done", "maker", world.clock.now()))
        self.image = world.images[2][REGION]

    @property
    def ec2(self) -> Any:
        return self.world.aws.ec2(REGION)

    @property
    def autoscaling(self) -> Any:
        return self.world.aws.autoscaling(REGION)

    def begin(self, who: str, image: int) -> Entry | None:
        return begin_rollout(self.world.aws, self.spec, self.ledger, who, self.world.clock.now(), image=image)

    def audit(self, *, ask: bool = True) -> Audit:
        return audit_fleet(self.world.aws, self.spec, self.ledger, Report(), self.world.clock.now, ask=ask)

    def replace_one(self) -> str:
        """Terminate an instance; the one that the group launches for it."""
        before = {one.id for one in self.world.members(REGION)}
        self.ec2.terminate_instances(InstanceIds=[min(before)])
        self.world.wait(200)
        (made,) = {one.id for one in self.world.members(REGION)} - before
        return str(made)

    def findings(self) -> dict[str, set[str]]:
        """What the audit finds: kinds by instance, and by region for what is the group's."""
        audit = self.audit()
        found = {one.instance: {finding.kind for finding in one.findings} for one in audit.instances if one.findings}
        groups = {region: {finding.kind for finding in all_of_it} for region, all_of_it in audit.groups.items()}
        assert audit.clean == (not found and not groups)
        return {**found, **groups}  # type: ignore[dict-item]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("audit")) as made:
        yield made


@pytest.fixture
def web(world: World) -> Fleet:
    return Fleet(world)


def test_a_fleet_that_nobody_touched_is_clean_and_proven(web: Fleet) -> None:
    audit = web.audit()
    assert not audit.drift and not audit.moving and audit.generation == 1
    assert len(audit.instances) == 3
    for one in audit.instances:
        assert (one.proven, one.system_digest, one.commit) == (digest(2), digest(2), "c0ffee")
        assert one.image == web.image and one.snapshot is not None and one.generation == 1
    assert (audit.proven, audit.unproven) == (3, 0)
    unasked = web.audit(ask=False)
    assert {one.proven for one in unasked.instances} == {None}
    assert (unasked.proven, unasked.clean, unasked.to_data()["asked"]) == (None, True, False)


def test_an_instance_of_another_image_that_was_put_into_the_group(web: Fleet) -> None:
    foreign = web.world.images[1][REGION]
    zones = [one.zone for one in web.world.members(REGION)]
    zone = min(set(zones), key=zones.count)  # where it goes does not unbalance the group
    made = web.ec2.run_instances(
        ImageId=foreign, InstanceType="t3.micro", MinCount=1, MaxCount=1, Placement={"AvailabilityZone": zone}
    )["Instances"][0]["InstanceId"]
    web.world.wait(120)
    web.autoscaling.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=[made])
    web.world.wait(60)
    found = web.findings()
    assert "image" in found[made]
    assert found.keys() == {made, REGION}  # the group's desired size grew with it
    (one,) = [one for one in web.audit().instances if one.instance == made]
    assert one.image == foreign and any(foreign in finding.text for finding in one.findings)


def test_an_instance_that_only_carries_the_fleets_tag(web: Fleet) -> None:
    made = web.ec2.run_instances(
        ImageId=web.image,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": TAG_FLEET, "Value": NAME}]}],
    )["Instances"][0]["InstanceId"]
    web.world.wait(120)
    found = web.findings()
    assert found.keys() == {made} and "stray" in found[made]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({"digest": "f" * 64}, "it runs system ffffffffffff"),
        ({"corrupted": True}, "corrupted"),
        ({"failed_units": ("nginx.service",)}, "nginx.service"),
    ],
)
def test_an_instance_that_proves_something_else(web: Fleet, behaviour: dict[str, Any], said: str) -> None:
    from invar.localcloud.behaviour import Behaviour

    web.world.misbehave(behaviour=Behaviour(**behaviour), times=1)
    made = web.replace_one()
    web.world.wait(web.spec.health.within)
    assert web.findings() == {made: {"proof"}}
    (one,) = [one for one in web.audit().instances if one.instance == made]
    assert said in one.findings[0].text


def behave(web: Fleet, **behaviour: Any) -> str:
    """Have one instance behave so, from now on; its id."""
    from invar.localcloud.behaviour import Behaviour

    chosen = min(one.id for one in web.world.members(REGION))
    (record,) = [one for one in web.world.compute.instances.everything() if one.id == chosen]
    record.behaviour = Behaviour(**behaviour)
    return chosen


def of(web: Fleet, instance: str) -> Audited:
    (one,) = [one for one in web.audit().instances if one.instance == instance]
    return one


@pytest.mark.parametrize(
    ("behaviour", "kind", "said"),
    [
        ({"strays": ("/tmp/miner",)}, "process", "undeclared: /tmp/miner (1000) in run-u1.service: /run/systemd/"),
        ({"sessions": ("/usr/bin/bash",)}, "session", "session: /usr/bin/bash (2000) in session-1.scope"),
        ({"altered": ("/var/lib/model",)}, "file", "/var/lib/model is not its source"),
    ],
)
def test_what_was_done_on_an_instance_by_hand_is_told_by_its_proof(
    web: Fleet, behaviour: dict[str, Any], kind: str, said: str
) -> None:
    touched = behave(web, **behaviour)
    assert web.findings() == {touched: {kind}}
    (finding,) = of(web, touched).findings
    assert finding.text.startswith(said)
    assert of(web, touched).proven == digest(2)  # the sealed system is what it was


def test_a_fleet_may_allow_sessions_but_nothing_else(web: Fleet) -> None:
    touched = behave(web, sessions=("/usr/bin/bash",), strays=("/tmp/miner",))
    web.spec = replace(web.spec, audit=AuditPolicy(sessions=True))
    assert web.findings() == {touched: {"process"}}


def test_an_instance_whose_proof_has_left_the_console_is_unproven_and_no_drift(web: Fleet) -> None:
    lost = behave(web, lost_after=0)
    web.world.wait(web.spec.health.within)
    assert web.findings() == {lost: {"unproven"}}
    audit = web.audit()
    assert not audit.drift and not audit.clean
    assert (audit.proven, audit.unproven) == (2, 1)
    assert of(web, lost).findings[0].text == "no proof of what it runs: its console has none"


def test_a_machine_of_many_days_is_proven_by_a_line_of_today(web: Fleet) -> None:
    web.world.clock.advance(40 * 86400 + 1200)
    audit = web.audit()
    assert audit.clean and audit.proven == 3
    ages = [one.proof_age for one in audit.instances]
    assert all(age is not None and age < 3600 for age in ages)


def test_a_proof_of_an_earlier_invar_counts_and_is_told(web: Fleet) -> None:
    assert "tell no processes" not in audit_sum(web.audit())
    earlier = behave(web, earlier=True)
    audit = web.audit()
    assert audit.clean and [one.instance for one in audit.instances if one.partial] == [earlier]
    assert "3 proven" in audit_sum(audit) and "1 of an earlier Invar that tell no processes and files" in audit_sum(
        audit
    )


def test_a_proof_of_long_ago_proves_nothing_of_today(web: Fleet) -> None:
    web.world.wait(1800)
    web.spec = replace(web.spec, audit=AuditPolicy(max_age=600))
    audit = web.audit()
    assert not audit.drift and (audit.proven, audit.unproven) == (0, 3)
    assert "its last proof is " in audit.instances[0].findings[0].text
    web.spec = replace(web.spec, audit=AuditPolicy(max_age=None))
    assert web.audit().clean


def test_an_instance_of_a_generation_before(web: Fleet) -> None:
    entry = web.begin("maker", 1)
    assert entry is not None
    assert drive(
        web.world.aws, web.spec.group, web.ledger, entry.number, "maker", Report(), times=web.world.times()
    ).good
    assert web.findings() == {}
    old = web.ledger.standing(1).entry.deployments[REGION]
    new = web.ledger.standing(2).entry.deployments[REGION]
    for deployment in (old, new):
        web.autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            LaunchTemplate={"LaunchTemplateId": deployment.template, "Version": deployment.version},
        )
        if deployment is old:
            assert "launch template" in web.findings()[REGION]
            made = web.replace_one()
    found = web.findings()
    assert found.keys() == {made} and "generation" in found[made]


def test_a_launch_template_that_was_changed_by_hand(web: Fleet) -> None:
    deployment = web.ledger.standing(1).entry.deployments[REGION]
    version = web.ec2.create_launch_template_version(
        LaunchTemplateId=deployment.template,
        SourceVersion=deployment.version,
        LaunchTemplateData={"InstanceType": "t3.large"},
    )["LaunchTemplateVersion"]["VersionNumber"]
    assert web.findings() == {}
    web.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        LaunchTemplate={"LaunchTemplateId": deployment.template, "Version": str(version)},
    )
    made = web.replace_one()
    found = web.findings()
    assert "launch template" in found[REGION] and "launch template" in found[made]


def add_security_group(web: Fleet, instance: str) -> None:
    vpc = web.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = web.ec2.create_security_group(GroupName="open", Description="by hand", VpcId=vpc)["GroupId"]
    held = web.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["SecurityGroups"]
    web.ec2.modify_instance_attribute(InstanceId=instance, Groups=[*(one["GroupId"] for one in held), group])


def attach_volume(web: Fleet, instance: str) -> None:
    zone = web.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["Placement"]
    volume = web.ec2.create_volume(AvailabilityZone=zone["AvailabilityZone"], Size=1)["VolumeId"]
    web.ec2.attach_volume(InstanceId=instance, VolumeId=volume, Device="/dev/sdf")


def change_user_data(web: Fleet, instance: str) -> None:
    web.autoscaling.suspend_processes(AutoScalingGroupName=GROUP)
    web.ec2.stop_instances(InstanceIds=[instance])
    web.world.wait(120)
    web.ec2.modify_instance_attribute(InstanceId=instance, UserData={"Value": b"#!/bin/sh\n"})
    web.ec2.start_instances(InstanceIds=[instance])
    web.world.wait(120)
    web.autoscaling.resume_processes(AutoScalingGroupName=GROUP)


@pytest.mark.parametrize(
    ("change", "kind"),
    [(add_security_group, "security group"), (attach_volume, "volume"), (change_user_data, "user data")],
)
def test_what_was_changed_on_an_instance(web: Fleet, change: Callable[[Fleet, str], None], kind: str) -> None:
    changed = min(one.id for one in web.world.members(REGION))
    change(web, changed)
    assert web.findings() == {changed: {kind}}


def test_a_group_that_is_not_as_declared(web: Fleet) -> None:
    web.autoscaling.update_auto_scaling_group(AutoScalingGroupName=GROUP, MaxSize=20)
    web.autoscaling.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["ReplaceUnhealthy"])
    found = web.audit().groups[REGION]
    assert {finding.kind for finding in found} == {"group"}
    assert any("suspended: ReplaceUnhealthy" in finding.text for finding in found) and len(found) == 2


def test_instance_types_that_were_changed_by_hand(world: World) -> None:
    web = Fleet(world, instance_types=("t3.micro", "t3.small"), spot=Spot(50, 1, "capacity-optimized"))
    assert web.findings() == {}
    group = web.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]
    policy = group["MixedInstancesPolicy"]
    changed = [
        {**policy, "LaunchTemplate": {**policy["LaunchTemplate"], "Overrides": [{"InstanceType": "m5.large"}]}},
        {**policy, "InstancesDistribution": {**policy["InstancesDistribution"], "OnDemandBaseCapacity": 3}},
    ]
    for one in changed:
        web.autoscaling.update_auto_scaling_group(AutoScalingGroupName=GROUP, MixedInstancesPolicy=one)
        assert {finding.kind for finding in web.audit().groups[REGION]} == {"group"}
        assert "instance types or their shares" in web.audit().groups[REGION][0].text
    web.autoscaling.update_auto_scaling_group(AutoScalingGroupName=GROUP, MixedInstancesPolicy=policy)
    assert web.findings() == {}


def test_another_mix_of_instance_types_is_another_generation(world: World) -> None:
    web = Fleet(world, instance_types=("t3.micro", "t3.small"))
    assert web.begin("maker", 2) is None
    web.spec = replace(web.spec, spot=Spot(50, 1, "capacity-optimized"))
    entry = web.begin("maker", 2)
    assert entry is not None
    drive(world.aws, web.spec.group, web.ledger, entry.number, "maker", Report(), times=world.times())
    group = web.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]
    assert group["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"] == 50
    assert web.ledger.history().current == web.ledger.history().of(entry.number) and web.findings() == {}


def test_a_region_that_does_not_answer_is_drift(web: Fleet) -> None:
    web.world.publish(3)
    web.spec = fleet(size=3, regions=REGIONS[:2], parameters={"role": "web"})
    fault = {"operation": "DescribeAutoScalingGroups", "region": REGIONS[1], "action": "error"}
    web.world.control("POST", "faults", {**fault, "code": "RequestLimitExceeded", "status": 503, "times": 1000})
    audit = web.audit()
    assert audit.drift and audit.failed.keys() == {REGIONS[1]} and len(audit.instances) == 3
    web.world.control("DELETE", "faults")


def test_of_two_operators_at_once_one_is_refused(web: Fleet) -> None:
    entry = web.begin("ada", 1)
    assert entry is not None
    with pytest.raises(InvarError, match="generation 2 of web is under way") as refused:
        web.begin("bob", 1)
    assert refused.value.why is not None and "ada began this rollout" in refused.value.why
    assert refused.value.hint is not None and "invar resume" in refused.value.hint


def test_a_generation_belongs_to_whoever_made_its_parameter(web: Fleet) -> None:
    """Both have read the same ledger, and both claim the next number: what decides is the write."""
    entry = web.begin("ada", 1)
    assert entry is not None
    web.ledger.claim(entry)  # the answer to her own claim was lost, and she claims again
    with pytest.raises(InvarError, match="is under way"):
        web.ledger.claim(replace(entry, who="bob"))
    first = web.ledger.close(entry.number, Mark("done", "ada", 1.0))
    assert web.ledger.close(entry.number, Mark("restored", "bob", 2.0)) == first


def test_a_watch_ends_with_the_exit_code_of_its_last_audit(tmp_path: Path) -> None:
    project = tmp_path / "web"
    project.mkdir()
    (project / "fleet.nix").write_text(
        '{ fleets.web = { configuration = "web"; regions.eu-west-1.zones = [ "eu-west-1a" ]; }; }\n'
    )
    home = {"INVAR_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-I", "-m", "invar", "audit", "-f", str(project), "--local", "--watch", "600", "--json"]
    try:
        with subprocess.Popen(
            command, env={**os.environ, **home}, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            assert process.stdout is not None
            said = ""
            while "\n}" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            process.stdout.read()
        assert json.loads(said)["fleets"][0]["drift"] is False
        assert process.returncode == 0
    finally:
        stop(Home(tmp_path / "home").cloud)
