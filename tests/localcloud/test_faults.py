"""Faults, throttling and the other things that the control API does to a running cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from invar.core.errors import InvarError
from invar.localcloud.faults import Fault, FaultBook

BLOCK = 512 * 1024
A = b"A" * BLOCK

Control = Callable[..., dict[str, Any]]
Put = Callable[..., dict[str, Any]]
NONE = Fault(action="error", code="TooFast")


def test_the_nth_call_fails_as_asked(ebs: Any, put: Put, controlled: Control) -> None:
    controlled(
        "POST",
        "faults",
        {
            "operation": "PutSnapshotBlock",
            "after": 2,
            "times": 1,
            "action": "error",
            "code": "RequestThrottledException",
            "status": 400,
            "reason": "RESOURCE_LEVEL_THROTTLE",
        },
    )
    identity = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    outcomes = []
    for index in range(4):
        try:
            ebs.put_snapshot_block(**put(identity, index, A))
            outcomes.append("done")
        except ebs.exceptions.RequestThrottledException as error:
            outcomes.append(error.response["Reason"])
    assert outcomes == ["done", "done", "RESOURCE_LEVEL_THROTTLE", "done"]
    ebs.complete_snapshot(SnapshotId=identity, ChangedBlocksCount=3)


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("ec2", "describe_images", "RequestLimitExceeded"),
        ("ssm", "describe_parameters", "ThrottlingException"),
        ("autoscaling", "describe_auto_scaling_groups", "Throttling"),
    ],
)
def test_every_protocol_gets_its_own_kind_of_error(
    client: Callable[..., Any], controlled: Control, service: str, call: str, code: str
) -> None:
    operation = "".join(word.capitalize() for word in call.split("_"))
    controlled("POST", "throttle", {"operation": operation, "rate": 0.001})
    method = getattr(client(service), call)
    method()
    with pytest.raises(ClientError) as caught:
        method()
    assert caught.value.response["Error"]["Code"] == code
    controlled("POST", "throttle", {"operation": operation, "rate": None})
    method()


def test_a_dropped_connection_did_nothing_and_a_cut_one_did_it(ebs: Any, ec2: Any, controlled: Control) -> None:
    controlled("POST", "faults", {"operation": "StartSnapshot", "action": "drop"})
    controlled("POST", "faults", {"operation": "StartSnapshot", "action": "cut"})
    with pytest.raises(ConnectionClosedError):
        ebs.start_snapshot(VolumeSize=1)
    assert ec2.describe_snapshots()["Snapshots"] == []
    with pytest.raises(ConnectionClosedError):
        ebs.start_snapshot(VolumeSize=1)
    assert len(ec2.describe_snapshots()["Snapshots"]) == 1


def test_a_region_can_be_down_while_others_work(client: Callable[..., Any], controlled: Control) -> None:
    controlled("POST", "regions", {"region": "eu-west-1", "down": True})
    with pytest.raises(ConnectionClosedError):
        client("ec2", "eu-west-1").describe_images()
    client("ec2", "us-east-1").describe_images()
    controlled("POST", "regions", {"region": "eu-west-1", "down": False})
    client("ec2", "eu-west-1").describe_images()


def test_a_new_snapshot_can_stay_unknown_for_some_calls(ebs: Any, put: Put, controlled: Control) -> None:
    controlled("POST", "settings", {"hidden_calls": 2})
    identity = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    for _ in range(2):
        with pytest.raises(ebs.exceptions.ResourceNotFoundException):
            ebs.put_snapshot_block(**put(identity, 0, A))
    ebs.put_snapshot_block(**put(identity, 0, A))


def test_a_stored_block_can_be_altered(ebs: Any, put: Put, controlled: Control) -> None:
    identity = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    ebs.put_snapshot_block(**put(identity, 5, A))
    ebs.complete_snapshot(SnapshotId=identity, ChangedBlocksCount=1)
    controlled("POST", "alter", {"snapshot": identity, "block": 5, "offset": 100})
    token = ebs.list_snapshot_blocks(SnapshotId=identity)["Blocks"][0]["BlockToken"]
    data = ebs.get_snapshot_block(SnapshotId=identity, BlockIndex=5, BlockToken=token)["BlockData"].read()
    assert [offset for offset in range(BLOCK) if data[offset] != A[offset]] == [100]


def test_calls_and_bytes_are_counted(ebs: Any, put: Put, controlled: Control) -> None:
    identity = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    for index in range(3):
        ebs.put_snapshot_block(**put(identity, index, A))
    counters = controlled("GET", "state")["counters"]
    assert counters["done"]["PutSnapshotBlock"] == 3
    assert counters["bytes"]["PutSnapshotBlock"] == 3 * BLOCK


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("faults", {"colour": "red"}, "colour"),
        ("faults", {"action": "explode"}, "explode"),
        ("settings", {"speed": 1}, "speed"),
        ("settings", {"copy_seconds": "long"}, "copy_seconds"),
        ("alter", {"snapshot": "snap-0", "block": 1}, "snap-0"),
        ("nothing", {}, "nothing"),
    ],
)
def test_the_control_api_says_what_is_wrong(controlled: Control, path: str, body: dict[str, Any], said: str) -> None:
    with pytest.raises(InvarError) as caught:
        controlled("POST", path, body)
    assert said in str(caught.value)


def test_rules_strike_in_order_and_only_where_they_match() -> None:
    book = FaultBook()
    book.add(Fault(operation="Put", region="here", after=1, times=2, action="drop"))
    book.add(Fault(operation="Put", latency=2.0, times=None))
    calls = [("Put", "here"), ("Get", "here"), ("Put", "there"), ("Put", "here"), ("Put", "here"), ("Put", "here")]
    verdicts = [book.judge(operation, region, NONE, 0.0) for operation, region in calls]
    actions = [verdict.fault.action if verdict.fault else None for verdict in verdicts]
    assert actions == [None, None, None, "drop", "drop", None]
    assert [verdict.latency for verdict in verdicts] == [2.0, 0.0, 2.0, 0.0, 0.0, 2.0]


def test_throttling_admits_the_rate_over_time() -> None:
    book = FaultBook()
    book.throttle("Put", 10)
    admitted = sum(book.judge("Put", "here", NONE, tenth / 100).fault is None for tenth in range(500))
    assert 55 <= admitted <= 60
    assert book.judge("Put", "there", NONE, 5.0).fault is None
