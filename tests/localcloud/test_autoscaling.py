"""Auto Scaling groups: capacity, health, hooks, standby, protection, processes, mixed instances, warm pools."""

from __future__ import annotations

from collections import Counter

import pytest

from localcloud.fleet_fixtures import Bench, refused


def test_a_group_comes_up_evenly_over_its_zones(bench: Bench) -> None:
    bench.create(size=6)
    members = bench.members(state="InService")
    assert Counter(one["AvailabilityZone"] for one in members) == {f"us-east-1{zone}": 2 for zone in "abc"}
    assert {one["ImageId"] for one in members} == {bench.images[0]}
    activities = bench.autoscaling.describe_scaling_activities(AutoScalingGroupName="web")["Activities"]
    assert [one["StatusCode"] for one in activities] == ["Successful"] * 6
    assert "difference between desired and actual capacity" in activities[0]["Cause"]


def test_scaling_out_and_in(bench: Bench) -> None:
    bench.create(size=3)
    bench.autoscaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=5)
    bench.wait(30)
    assert len(bench.members(state="InService")) == 5
    [first] = bench.members()[:1]
    bench.autoscaling.set_instance_protection(
        AutoScalingGroupName="web", InstanceIds=[first["InstanceId"]], ProtectedFromScaleIn=True
    )
    bench.autoscaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=1)
    bench.wait(30)
    assert [one["InstanceId"] for one in bench.members()] == [first["InstanceId"]]


@pytest.mark.parametrize("trouble", ["terminated", "stopped", "impaired", "told"])
def test_an_unhealthy_instance_is_replaced(bench: Bench, trouble: str) -> None:
    bench.create(size=2)
    victim = bench.members()[0]["InstanceId"]
    if trouble == "terminated":
        bench.ec2.terminate_instances(InstanceIds=[victim])
    elif trouble == "stopped":
        bench.ec2.stop_instances(InstanceIds=[victim])
    elif trouble == "told":
        bench.autoscaling.set_instance_health(InstanceId=victim, HealthStatus="Unhealthy")
    else:
        bench.control("POST", "behave", {"instance": victim, "behaviour": {"impaired_after": 0}})
    bench.wait(60)
    ids = [one["InstanceId"] for one in bench.members(state="InService")]
    assert len(ids) == 2 and victim not in ids


def test_the_grace_period_is_kept(bench: Bench) -> None:
    bench.create(size=1, HealthCheckGracePeriod=600)
    victim = bench.members()[0]["InstanceId"]
    bench.control("POST", "behave", {"instance": victim, "behaviour": {"impaired_after": 0}})
    bench.wait(300)
    assert bench.members()[0]["InstanceId"] == victim
    bench.wait(400)
    assert victim not in [one["InstanceId"] for one in bench.members()]


def test_a_maintenance_policy_launches_before_it_terminates(bench: Bench) -> None:
    policy = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}
    bench.create(size=1, InstanceMaintenancePolicy=policy)
    victim = bench.members()[0]["InstanceId"]
    bench.autoscaling.set_instance_health(InstanceId=victim, HealthStatus="Unhealthy")
    bench.wait(1)
    assert victim in [one["InstanceId"] for one in bench.members(state="InService")]
    assert len(bench.members()) == 2
    bench.wait(60)
    assert victim not in [one["InstanceId"] for one in bench.members()]


def test_a_failed_launch_is_told_and_tried_again(bench: Bench) -> None:
    bench.control("POST", "behaviours", {"group": "web", "code": "InsufficientInstanceCapacity", "times": 1})
    bench.create(size=2)
    activities = bench.autoscaling.describe_scaling_activities(AutoScalingGroupName="web")["Activities"]
    assert Counter(one["StatusCode"] for one in activities) == {"Failed": 1, "Successful": 2}


@pytest.mark.parametrize(("result", "outcome"), [("CONTINUE", "InService"), ("ABANDON", "gone")])
def test_a_launch_hook_holds_an_instance(bench: Bench, result: str, outcome: str) -> None:
    hook = {
        "LifecycleHookName": "check",
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
        "HeartbeatTimeout": 300,
    }
    bench.create(size=1, LifecycleHookSpecificationList=[hook])
    [member] = bench.members()
    assert member["LifecycleState"] == "Pending:Wait"
    bench.wait(200)
    action = {"AutoScalingGroupName": "web", "LifecycleHookName": "check", "InstanceId": member["InstanceId"]}
    bench.autoscaling.record_lifecycle_action_heartbeat(**action)
    bench.wait(200)
    assert bench.members()[0]["LifecycleState"] == "Pending:Wait"
    bench.autoscaling.complete_lifecycle_action(LifecycleActionResult=result, **action)
    bench.wait(5)
    states = {one["InstanceId"]: one["LifecycleState"] for one in bench.members()}
    assert states.get(member["InstanceId"], "gone") == outcome
    assert refused(bench.autoscaling.complete_lifecycle_action, LifecycleActionResult=result, **action) == (
        "ValidationError"
    )


def test_a_terminate_hook_times_out(bench: Bench) -> None:
    bench.create(size=1)
    bench.autoscaling.put_lifecycle_hook(
        AutoScalingGroupName="web",
        LifecycleHookName="save",
        LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
        HeartbeatTimeout=120,
    )
    bench.autoscaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=0)
    bench.wait(60)
    assert [one["LifecycleState"] for one in bench.members()] == ["Terminating:Wait"]
    bench.wait(90)
    assert bench.members() == []


def test_standby_and_back(bench: Bench) -> None:
    bench.create(size=2, MinSize=1)
    identity = bench.members()[0]["InstanceId"]
    named = {"AutoScalingGroupName": "web", "InstanceIds": [identity]}
    bench.autoscaling.enter_standby(ShouldDecrementDesiredCapacity=True, **named)
    bench.wait(5)
    assert bench.group()["DesiredCapacity"] == 1
    assert [one["InstanceId"] for one in bench.members(state="Standby")] == [identity]
    bench.autoscaling.exit_standby(**named)
    bench.wait(5)
    assert len(bench.members(state="InService")) == 2


def test_suspended_processes_do_nothing(bench: Bench) -> None:
    bench.create(size=2)
    bench.autoscaling.suspend_processes(AutoScalingGroupName="web", ScalingProcesses=["Launch"])
    bench.autoscaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=4)
    bench.wait(60)
    assert len(bench.members()) == 2
    bench.autoscaling.resume_processes(AutoScalingGroupName="web")
    bench.wait(60)
    assert len(bench.members()) == 4


def test_mixed_instances_keep_their_spot_share(bench: Bench) -> None:
    policy = {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": bench.version(1),
            "Overrides": [{"InstanceType": "t3.small"}, {"InstanceType": "t3.medium"}],
        },
        "InstancesDistribution": {
            "OnDemandBaseCapacity": 2,
            "OnDemandPercentageAboveBaseCapacity": 25,
            "SpotAllocationStrategy": "price-capacity-optimized",
        },
    }
    bench.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="mixed",
        MixedInstancesPolicy=policy,
        MinSize=10,
        MaxSize=10,
        AvailabilityZones=["us-east-1a"],
    )
    bench.wait(60)
    found = [one for page in bench.ec2.describe_instances()["Reservations"] for one in page["Instances"]]
    spot = [one for one in found if one.get("InstanceLifecycle") == "spot"]
    assert (len(found), len(spot)) == (10, 6)
    assert Counter(one["InstanceType"] for one in spot) == {"t3.small": 3, "t3.medium": 3}


def test_a_warm_pool_serves_launches(bench: Bench) -> None:
    bench.create(size=1, MaxSize=3)
    bench.autoscaling.put_warm_pool(AutoScalingGroupName="web", MaxGroupPreparedCapacity=3)
    bench.wait(60)
    warm = bench.autoscaling.describe_warm_pool(AutoScalingGroupName="web")["Instances"]
    assert [one["LifecycleState"] for one in warm] == ["Warmed:Stopped"] * 2
    bench.autoscaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=2)
    bench.wait(60)
    in_service = {one["InstanceId"] for one in bench.members(state="InService")}
    assert len(in_service & {one["InstanceId"] for one in warm}) == 1


def test_deleting_a_group(bench: Bench) -> None:
    bench.create(size=2)
    assert refused(bench.autoscaling.delete_auto_scaling_group, AutoScalingGroupName="web") == "ResourceInUse"
    bench.autoscaling.delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
    bench.wait(60)
    assert bench.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"] == []


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"MinSize": 5, "MaxSize": 4}, "ValidationError"),
        ({"DesiredCapacity": 100}, "ValidationError"),
        ({"AvailabilityZones": ["mars-1a"]}, "ValidationError"),
        ({"HealthCheckType": "GUESS"}, "ValidationError"),
        ({"TerminationPolicies": ["Random"]}, "ValidationError"),
        ({"InstanceMaintenancePolicy": {"MinHealthyPercentage": 50, "MaxHealthyPercentage": 180}}, "ValidationError"),
        ({"LaunchTemplate": {"LaunchTemplateName": "nothing", "Version": "1"}}, "ValidationError"),
        ({"LaunchTemplate": {"LaunchTemplateName": "web", "Version": "9"}}, "ValidationError"),
        ({"AutoScalingGroupName": "there"}, "AlreadyExists"),
    ],
)
def test_refused_groups(bench: Bench, options: dict[str, object], code: str) -> None:
    bench.create("there", size=1)
    given = {
        "AutoScalingGroupName": "web",
        "LaunchTemplate": bench.version(1),
        "MinSize": 0,
        "MaxSize": 3,
        "AvailabilityZones": ["us-east-1a"],
    } | options
    assert refused(bench.autoscaling.create_auto_scaling_group, **given) == code


def test_what_is_not_there_is_said(bench: Bench) -> None:
    assert refused(
        bench.autoscaling.put_scaling_policy, AutoScalingGroupName="web", PolicyName="p", PolicyType="SimpleScaling"
    ) == ("UnsupportedOperation")
