"""Instance refreshes: every documented state, limit and way back."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from localcloud.fleet_fixtures import Bench, refused


def test_a_refresh_replaces_all_and_sets_the_group(bench: Bench) -> None:
    bench.create(size=6)
    bench.refresh(InstanceWarmup=30)
    assert bench.newest()["Status"] == "Pending"
    bench.until("Successful", least=6)
    shown = bench.newest()
    assert (shown["PercentageComplete"], shown["InstancesToUpdate"]) == (100, 0)
    assert bench.versions() == {"2": 6}
    assert bench.group()["LaunchTemplate"]["Version"] == "2"


@pytest.mark.parametrize(
    ("size", "preferences", "least", "most"),
    [
        (10, {"MinHealthyPercentage": 90, "MaxHealthyPercentage": 110}, 9, 11),
        (10, {"MinHealthyPercentage": 50, "MaxHealthyPercentage": 100}, 5, 10),
        (4, {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 125}, 4, 5),
        (3, {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 100}, 3, 4),
        (1, {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 110}, 1, 2),
        (1, {"MinHealthyPercentage": 90}, 0, 1),
    ],
)
def test_the_percentages_are_kept(bench: Bench, size: int, preferences: dict[str, int], least: int, most: int) -> None:
    bench.create(size=size)
    bench.autoscaling.start_instance_refresh(
        AutoScalingGroupName="web",
        DesiredConfiguration={"LaunchTemplate": bench.version(2)},
        Preferences={**preferences, "InstanceWarmup": 20},
    )
    counted = []
    while bench.newest()["Status"] != "Successful":
        bench.wait(1)
        members = bench.members()
        in_service = sum(one["LifecycleState"] == "InService" for one in members)
        counted.append(sum(not one["LifecycleState"].startswith("Terminating") for one in members))
        assert in_service >= least, members
        assert counted[-1] <= most, members
        assert len(counted) < 3000
    assert bench.versions() == {"2": size}


def test_only_one_at_a_time(bench: Bench) -> None:
    bench.create()
    bench.refresh()
    assert refused(bench.autoscaling.start_instance_refresh, AutoScalingGroupName="web") == "InstanceRefreshInProgress"
    change = {"AutoScalingGroupName": "web", "LaunchTemplate": bench.version(1)}
    assert refused(bench.autoscaling.update_auto_scaling_group, **change) == "ValidationError"


def test_skip_matching_replaces_nothing_twice(bench: Bench) -> None:
    bench.create()
    bench.refresh(SkipMatching=True)
    bench.until("Successful")
    before = {one["InstanceId"] for one in bench.members()}
    bench.refresh(SkipMatching=True)
    bench.until("Successful")
    assert {one["InstanceId"] for one in bench.members()} == before


def test_checkpoints_pause_it(bench: Bench) -> None:
    bench.create(size=10)
    bench.refresh(CheckpointPercentages=[20, 50, 100], CheckpointDelay=600)
    seen = []
    for _ in range(400):
        bench.wait(10)
        shown = bench.newest()
        seen.append(shown["PercentageComplete"])
        if shown["Status"] == "Successful":
            break
    assert seen.count(20) >= 55 and seen.count(50) >= 55
    assert bench.versions() == {"2": 10}


def test_a_last_checkpoint_below_100_ends_it_there(bench: Bench) -> None:
    bench.create(size=10)
    bench.refresh(CheckpointPercentages=[30], CheckpointDelay=60)
    bench.until("Successful")
    assert bench.versions() == {"1": 7, "2": 3}
    assert bench.newest()["PercentageComplete"] == 30


def test_it_goes_from_the_fullest_zones_so_that_nothing_is_rebalanced_afterwards(bench: Bench) -> None:
    bench.create(size=12)
    bench.refresh(CheckpointPercentages=[50], CheckpointDelay=60)
    bench.until("Successful")
    bench.wait(900)
    zones = Counter(one["AvailabilityZone"] for one in bench.members())
    assert set(zones.values()) == {4}
    assert bench.versions() == {"1": 6, "2": 6}


def test_a_suspended_refresh_is_paused_and_not_cancelled(bench: Bench) -> None:
    named = {"AutoScalingGroupName": "web"}
    bench.create(size=4)
    bench.refresh(MaxHealthyPercentage=125, InstanceWarmup=30)
    bench.wait(45)
    bench.autoscaling.suspend_processes(**named, ScalingProcesses=["InstanceRefresh"])
    before = {one["InstanceId"] for one in bench.members()}
    bench.wait(3 * 3600)
    assert {one["InstanceId"] for one in bench.members()} == before
    assert bench.newest()["Status"] == "InProgress"
    bench.autoscaling.resume_processes(**named, ScalingProcesses=["InstanceRefresh"])
    bench.until("Successful", least=4)
    assert bench.versions() == {"2": 4}


def test_it_bakes(bench: Bench) -> None:
    bench.create()
    bench.refresh(BakeTime=900)
    bench.until("Baking")
    bench.wait(600)
    assert bench.newest()["Status"] == "Baking"
    bench.wait(400)
    assert bench.newest()["Status"] == "Successful"


@pytest.mark.parametrize(("automatic", "status", "version"), [(True, "RollbackSuccessful", "1"), (False, "Failed", "")])
def test_an_alarm_ends_it(bench: Bench, automatic: bool, status: str, version: str) -> None:
    bench.create(size=4)
    bench.cloudwatch.put_metric_alarm(
        AlarmName="errors",
        Namespace="web",
        MetricName="errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    bench.refresh(
        AutoRollback=automatic,
        AlarmSpecification={"Alarms": ["errors"]},
        MaxHealthyPercentage=125,
        InstanceWarmup=60,
    )
    bench.wait(100)
    assert "2" in bench.versions()
    bench.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a test")
    bench.wait(10)
    bench.control("POST", "clock", {"advance": 30})
    bench.until(status, least=4)
    if automatic:
        assert bench.versions() == {version: 4}
        assert "errors" in bench.newest()["RollbackDetails"]["RollbackReason"]
    assert bench.group()["LaunchTemplate"]["Version"] == "1"


def test_rolling_back_on_request(bench: Bench) -> None:
    bench.create(size=4)
    bench.refresh(MaxHealthyPercentage=125, InstanceWarmup=60)
    bench.wait(100)
    assert 0 < bench.versions()["2"] < 4
    bench.autoscaling.rollback_instance_refresh(AutoScalingGroupName="web")
    assert bench.newest()["Status"] == "RollbackInProgress"
    assert refused(bench.autoscaling.rollback_instance_refresh, AutoScalingGroupName="web") == (
        "IrreversibleInstanceRefresh"
    )
    bench.until("RollbackSuccessful", least=4)
    assert bench.versions() == {"1": 4}
    assert refused(bench.autoscaling.rollback_instance_refresh, AutoScalingGroupName="web") == (
        "ActiveInstanceRefreshNotFound"
    )


def test_no_way_back(bench: Bench) -> None:
    named = {"AutoScalingGroupName": "web"}
    bench.create(LaunchTemplate={"LaunchTemplateId": bench.template, "Version": "$Latest"})
    bench.refresh()
    assert refused(bench.autoscaling.rollback_instance_refresh, **named) == "IrreversibleInstanceRefresh"
    bench.autoscaling.cancel_instance_refresh(**named)
    bench.until("Cancelled")
    bench.autoscaling.start_instance_refresh(**named)
    assert refused(bench.autoscaling.rollback_instance_refresh, **named) == "IrreversibleInstanceRefresh"
    bench.autoscaling.cancel_instance_refresh(**named)
    bench.until("Cancelled")
    automatic: dict[str, Any] = {"Preferences": {"AutoRollback": True}}
    assert refused(bench.autoscaling.start_instance_refresh, **named, **automatic) == "ValidationError"


def test_cancelling_keeps_what_was_done(bench: Bench) -> None:
    bench.create(size=4)
    bench.refresh(MaxHealthyPercentage=125, InstanceWarmup=60)
    bench.wait(150)
    bench.autoscaling.cancel_instance_refresh(AutoScalingGroupName="web")
    assert bench.newest()["Status"] == "Cancelling"
    bench.until("Cancelled", least=4)
    assert set(bench.versions()) == {"1", "2"}
    assert sum(bench.versions().values()) == 4
    assert bench.group()["LaunchTemplate"]["Version"] == "1"
    assert refused(bench.autoscaling.cancel_instance_refresh, AutoScalingGroupName="web") == (
        "ActiveInstanceRefreshNotFound"
    )


def test_instances_that_never_become_healthy_fail_it_above_the_floor(bench: Bench) -> None:
    bench.create(size=4)
    bench.control("POST", "behaviours", {"version": "2", "times": None, "behaviour": {"dies_after": 10}})
    bench.refresh(MaxHealthyPercentage=125, InstanceWarmup=60)
    seen = bench.until("Failed")
    assert bench.versions().get("1") == 4
    assert min(seen) >= 4


@pytest.mark.parametrize(
    ("preferences", "outcome"),
    [({}, "Failed"), ({"ScaleInProtectedInstances": "Refresh"}, "Successful")],
)
def test_protected_instances(bench: Bench, preferences: dict[str, str], outcome: str) -> None:
    bench.create(size=2, NewInstancesProtectedFromScaleIn=True)
    bench.refresh(**preferences)
    bench.until(outcome)
    assert bench.versions() == ({"2": 2} if preferences else {"1": 2})


@pytest.mark.parametrize(
    "preferences",
    [
        {"MinHealthyPercentage": 20, "MaxHealthyPercentage": 150},
        {"CheckpointPercentages": [50, 20]},
        {"CheckpointDelay": 10},
        {"ScaleInProtectedInstances": "Ask"},
    ],
)
def test_refused_preferences(bench: Bench, preferences: dict[str, Any]) -> None:
    bench.create(size=1)
    given = {"AutoScalingGroupName": "web", "Preferences": preferences}
    assert refused(bench.autoscaling.start_instance_refresh, **given) == "ValidationError"
