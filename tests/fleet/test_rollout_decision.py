"""What a rollout does next, in tables of cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fleet.simulation import fleet
from invar.aws.groups import GroupRecord, Member
from invar.aws.refreshes import RefreshRecord
from invar.fleet.begin import terms_of
from invar.fleet.ledger import Deployment
from invar.fleet.rollout_decision import Facts, back, decide, forward, preferences
from invar.fleet.spec import TAG_HELD
from invar.fleet.verdict import PROVEN, Verdict

OLD, NEW = Deployment("ami-1", "lt-1", "1"), Deployment("ami-2", "lt-1", "2")
FAILED, PENDING = Verdict("failed", "unit nginx failed"), Verdict("pending", "no proof yet")


def member(identity: str, version: str, lifecycle: str = "InService") -> Member:
    return Member(identity, "t3.micro", "us-east-1a", lifecycle, True, "lt-1", version, False)


def group(*members: Member, version: str = "1", **options: Any) -> GroupRecord:
    given: dict[str, Any] = {"suspended": (), "tags": {}} | options
    return GroupRecord(
        name="invar-web",
        region="us-east-1",
        arn="",
        template="lt-1",
        version=version,
        types=(),
        distribution={},
        min=0,
        desired=2,
        max=6,
        subnets=(),
        zones=(),
        target_groups=(),
        health="EC2",
        grace=0,
        members=members,
        **given,
    )


def refresh(status: str = "InProgress", version: str = "2") -> RefreshRecord:
    return RefreshRecord("r-1", status, "", 50, "lt-1", version, None)


A, B, C = member("i-a", "1"), member("i-b", "1"), member("i-c", "2")
HELD: dict[str, Any] = {"suspended": ("InstanceRefresh",), "tags": {TAG_HELD: "2"}}
SUSPENDED: dict[str, Any] = {"suspended": ("InstanceRefresh",)}
C_PROVEN, C_PENDING, C_FAILED = {"i-c": PROVEN}, {"i-c": PENDING}, {"i-c": FAILED}
DONE = group(member("i-c", "2"), member("i-d", "2"), version="2")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(group(A, B), None, {}), "start"),
        (Facts(group(A, B, C), refresh(), C_PENDING), "wait"),
        (Facts(group(A, B, C), refresh(), C_PENDING, overdue=("i-c",)), "hold"),
        (Facts(group(A, B, C, **HELD), refresh(), C_PENDING, overdue=("i-c",)), "wait"),
        (Facts(group(A, B, C, **HELD), refresh(), C_PROVEN), "release"),
        (Facts(group(A, B, C, **HELD), refresh(), C_FAILED), "fail"),
        (Facts(group(A, B, C, **HELD), refresh("Cancelled"), C_PENDING), "release"),
        (Facts(group(A, B, C, **SUSPENDED), refresh(), C_PROVEN), "wait"),
        (Facts(group(A, B, C), refresh(), C_FAILED), "fail"),
        (Facts(group(A, B, C), refresh("Cancelled"), C_PROVEN), "fail"),
        (Facts(group(A, B, C), refresh("Failed"), C_PROVEN), "fail"),
        (Facts(group(A, B), refresh(version="9"), {}), "fail"),
        (Facts(group(A, B), refresh("Cancelled", version="9"), {}), "start"),
        (Facts(group(A, B), None, {}, lost=1), "start"),
        (Facts(group(A, B), None, {}, lost=2), "fail"),
        (Facts(group(A, C), None, C_PENDING), "wait"),
        (Facts(DONE, refresh("Successful"), {"i-c": PROVEN, "i-d": PENDING}), "wait"),
        (Facts(DONE, refresh("Successful"), {"i-c": PROVEN, "i-d": PROVEN}), "done"),
        (Facts(replace(DONE, desired=3), refresh("Successful"), {"i-c": PROVEN, "i-d": PROVEN}), "wait"),
    ],
)
def test_forward(facts: Facts, expected: str) -> None:
    assert forward(facts, NEW).do == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(group(A, B, C), refresh(), {}), "roll back"),
        (Facts(group(A, B, C, **HELD), refresh(), {}), "roll back"),
        (Facts(group(A, B, C, **HELD), refresh("RollbackInProgress"), {}), "wait"),
        (Facts(group(A, B, C, **HELD), refresh("RollbackInProgress"), {"i-a": PROVEN, "i-b": FAILED}), "release"),
        (Facts(group(A, B, C, **HELD), refresh("Cancelled"), {}), "release"),
        (Facts(group(A, B, C), refresh("RollbackInProgress"), {}, overdue=("i-a",)), "hold"),
        (Facts(group(A, B, C), refresh(version="1"), {}, overdue=("i-a",)), "hold"),
        (Facts(group(A, B, C), refresh(version="1"), {}), "wait"),
        (Facts(group(A, B, C), refresh("RollbackInProgress"), {}), "wait"),
        (Facts(group(A, B, C), refresh("Cancelled"), {}), "start"),
        (Facts(DONE, refresh("Successful"), {}), "start"),
        (Facts(group(A, B), refresh("RollbackSuccessful"), {"i-a": PROVEN, "i-b": Verdict("kept")}), "done"),
        (Facts(group(A, B), refresh("RollbackSuccessful"), {"i-a": PROVEN, "i-b": FAILED}), "wait"),
        (Facts(group(A, B), refresh("RollbackSuccessful"), {"i-b": FAILED}, failed=("i-b",)), "end"),
        (Facts(group(A, B, C), refresh(), {"i-b": FAILED}, failed=("i-b",)), "roll back"),
        (Facts(group(A, B, C), refresh("RollbackInProgress"), {"i-b": FAILED}, failed=("i-b",)), "end"),
        (Facts(group(A, B, C, **HELD), refresh("RollbackInProgress"), {"i-b": FAILED}, failed=("i-b",)), "end"),
        (Facts(group(A, B, C), refresh("RollbackInProgress"), {"i-b": FAILED}, 3, failed=("i-b",)), "hold"),
        (Facts(group(A, B, C, **HELD), refresh("RollbackInProgress"), {"i-b": FAILED}, 3, failed=("i-b",)), "wait"),
    ],
)
def test_back(facts: Facts, expected: str) -> None:
    assert back(facts, OLD).do == expected


def test_a_region_begins_when_those_before_it_are_done() -> None:
    fresh = Facts(group(A, B), None, {})
    finished = Facts(DONE, refresh("Successful"), {"i-c": PROVEN, "i-d": PROVEN})
    order, targets = ("r1", "r2"), {"r1": NEW, "r2": NEW}
    steps = decide({"r1": fresh, "r2": fresh}, targets, order, going_back=False).steps
    assert [steps[region].do for region in order] == ["start", "wait"]
    steps = decide({"r1": finished, "r2": fresh}, targets, order, going_back=False).steps
    assert [steps[region].do for region in order] == ["done", "start"]
    steps = decide({"r2": fresh}, targets, order, going_back=False).steps
    assert [steps[region].do for region in order] == ["wait", "wait"]
    steps = decide({"r1": fresh, "r2": fresh}, {"r1": OLD, "r2": NEW}, order, going_back=True).steps
    assert steps["r2"].do == "start"


def test_only_the_first_region_has_a_canary_and_no_way_back_has() -> None:
    terms = terms_of(fleet(canary=5, waves=(50,), alarms=("errors",), bake=60))
    assert preferences(terms, first=True, going_back=False)["CheckpointPercentages"] == [5, 50, 100]
    assert preferences(terms, first=False, going_back=False)["CheckpointPercentages"] == [50, 100]
    for first in (True, False):
        back_again = preferences(terms, first=first, going_back=True)
        assert not {"CheckpointPercentages", "AutoRollback", "AlarmSpecification", "BakeTime"} & set(back_again)
        assert (back_again["MinHealthyPercentage"], back_again["MaxHealthyPercentage"]) == (100, 150)
