"""EBS direct, by real boto3 calls: what it stores, what it refuses and with which documented error."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

BLOCK = 512 * 1024
A, B, C = (letter.encode() * BLOCK for letter in "ABC")

Control = Callable[..., dict[str, Any]]
Snapshot = Callable[..., str]
Put = Callable[..., dict[str, Any]]


def refused(call: Callable[[], Any]) -> tuple[str, str | None, int]:
    """A call's error: code, reason, HTTP status."""
    with pytest.raises(ClientError) as caught:
        call()
    answer: Any = caught.value.response
    return answer["Error"]["Code"], answer.get("Reason"), answer["ResponseMetadata"]["HTTPStatusCode"]


def contents(ebs: Any, snapshot: str) -> dict[int, bytes]:
    """All blocks of a snapshot, read back."""
    listed = ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]
    return {
        one["BlockIndex"]: ebs.get_snapshot_block(
            SnapshotId=snapshot, BlockIndex=one["BlockIndex"], BlockToken=one["BlockToken"]
        )["BlockData"].read()
        for one in listed
    }


def test_a_snapshot_gives_back_what_was_put(ebs: Any, snapshot: Snapshot) -> None:
    identity = snapshot({0: A, 7: B, 2047: A})
    assert contents(ebs, identity) == {0: A, 7: B, 2047: A}


def test_start_answers_with_every_documented_field(ebs: Any, snapshot: Snapshot) -> None:
    parent = snapshot({})
    answer = ebs.start_snapshot(
        VolumeSize=2, ParentSnapshotId=parent, Description="a test", Tags=[{"Key": "k", "Value": "v"}], Timeout=10
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (answer["Status"], answer["VolumeSize"], answer["BlockSize"]) == ("pending", 2, BLOCK)
    assert (answer["ParentSnapshotId"], answer["Description"]) == (parent, "a test")
    assert answer["Tags"] == [{"Key": "k", "Value": "v"}]
    assert answer["OwnerId"] == "123456789012"


def test_the_same_client_token_starts_one_snapshot(ebs: Any) -> None:
    first = ebs.start_snapshot(VolumeSize=1, ClientToken="one")
    again = ebs.start_snapshot(VolumeSize=1, ClientToken="one")
    assert first["SnapshotId"] == again["SnapshotId"]
    assert refused(lambda: ebs.start_snapshot(VolumeSize=2, ClientToken="one")) == ("ConflictException", None, 409)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"VolumeSize": 65537}, "INVALID_VOLUME_SIZE"),
        ({"VolumeSize": 1, "Timeout": 5000}, "INVALID_PARAMETER_VALUE"),
        ({"VolumeSize": 1, "ParentSnapshotId": "snap-XYZ"}, "INVALID_SNAPSHOT_ID"),
        ({"VolumeSize": 1, "Tags": [{"Key": "aws:x", "Value": ""}]}, "INVALID_TAG"),
        ({"VolumeSize": 1, "Tags": [{"Key": "x", "Value": ""}, {"Key": "x", "Value": ""}]}, "INVALID_TAG"),
        ({"VolumeSize": 1, "ClientToken": "t" * 65}, "INVALID_PARAMETER_VALUE"),
        ({"VolumeSize": 1, "KmsKeyArn": "not-an-arn", "Encrypted": True}, "INVALID_PARAMETER_VALUE"),
        ({"VolumeSize": 1, "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k"}, "INVALID_CUSTOMER_KEY"),
    ],
)
def test_start_refuses_bad_parameters(ebs: Any, parameters: dict[str, Any], reason: str) -> None:
    assert refused(lambda: ebs.start_snapshot(**parameters)) == ("ValidationException", reason, 400)


def test_an_unknown_parent_is_not_found(ebs: Any) -> None:
    found = refused(lambda: ebs.start_snapshot(VolumeSize=1, ParentSnapshotId="snap-00000000000000000"))
    assert found == ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND", 404)


def test_a_parent_must_be_completed_and_no_larger(ebs: Any, snapshot: Snapshot) -> None:
    pending = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    large = snapshot({}, VolumeSize=2)
    assert refused(lambda: ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=pending))[1] == "INVALID_SNAPSHOT_ID"
    assert refused(lambda: ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=large))[1] == "INVALID_VOLUME_SIZE"


def test_a_parent_and_encryption_exclude_each_other(ebs: Any, snapshot: Snapshot) -> None:
    call = {"VolumeSize": 1, "ParentSnapshotId": snapshot({}), "Encrypted": True}
    assert refused(lambda: ebs.start_snapshot(**call))[:2] == ("ValidationException", "INVALID_PARAMETER_VALUE")


def test_encryption_is_inherited_from_the_parent(ebs: Any, snapshot: Snapshot) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/mine"
    parent = snapshot({}, Encrypted=True, KmsKeyArn=key)
    assert ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=parent)["KmsKeyArn"] == key


def test_encryption_by_default_makes_every_snapshot_encrypted(ebs: Any, ec2: Any, snapshot: Snapshot) -> None:
    plain = snapshot({})
    ec2.enable_ebs_encryption_by_default()
    assert "KmsKeyArn" in ebs.start_snapshot(VolumeSize=1)
    assert refused(lambda: ebs.start_snapshot(VolumeSize=1, Encrypted=False))[0] == "ValidationException"
    assert refused(lambda: ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=plain))[0] == "ValidationException"


def test_a_corrupt_block_is_refused(ebs: Any, put: Put) -> None:
    identity = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    call = put(identity, 0, A) | {"BlockData": B}
    assert refused(lambda: ebs.put_snapshot_block(**call)) == ("ValidationException", "INVALID_PARAMETER_VALUE", 400)
    ebs.complete_snapshot(SnapshotId=identity, ChangedBlocksCount=0)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"BlockIndex": 2048}, "INVALID_BLOCK"),
        ({"DataLength": 4096}, "INVALID_PARAMETER_VALUE"),
        ({"BlockData": A[:4096]}, "INVALID_PARAMETER_VALUE"),
        ({"ChecksumAlgorithm": "MD5"}, "INVALID_PARAMETER_VALUE"),
        ({"Checksum": "not base64!"}, "INVALID_PARAMETER_VALUE"),
        ({"Progress": 101}, "INVALID_PARAMETER_VALUE"),
        ({"SnapshotId": "snap-Z"}, "INVALID_SNAPSHOT_ID"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_put_refuses_bad_parameters(ebs: Any, put: Put, changed: dict[str, Any], reason: str) -> None:
    identity = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    call = put(identity, 0, A) | changed
    assert refused(lambda: ebs.put_snapshot_block(**call))[:2] == ("ValidationException", reason)


def test_a_block_put_twice_counts_once(ebs: Any, put: Put) -> None:
    identity = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    ebs.put_snapshot_block(**put(identity, 3, A))
    ebs.put_snapshot_block(**put(identity, 3, B))
    ebs.complete_snapshot(SnapshotId=identity, ChangedBlocksCount=1)
    assert contents(ebs, identity) == {3: B}


def test_nothing_is_put_after_complete(ebs: Any, put: Put, snapshot: Snapshot) -> None:
    identity = snapshot({0: A})
    for call in (
        lambda: ebs.put_snapshot_block(**put(identity, 1, B)),
        lambda: ebs.complete_snapshot(SnapshotId=identity, ChangedBlocksCount=1),
    ):
        assert refused(call) == ("ValidationException", "INVALID_SNAPSHOT_ID", 400)


def test_complete_wants_the_right_count_and_checksum(ebs: Any, put: Put) -> None:
    identity = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    ebs.put_snapshot_block(**put(identity, 9, B))
    ebs.put_snapshot_block(**put(identity, 2, A))
    in_order = hashlib.sha256(hashlib.sha256(A).digest() + hashlib.sha256(B).digest()).digest()
    as_put = hashlib.sha256(hashlib.sha256(B).digest() + hashlib.sha256(A).digest()).digest()

    def complete(count: int, whole: bytes, **changed: Any) -> Any:
        call = {
            "SnapshotId": identity,
            "ChangedBlocksCount": count,
            "Checksum": base64.b64encode(whole).decode(),
            "ChecksumAlgorithm": "SHA256",
            "ChecksumAggregationMethod": "LINEAR",
        }
        return ebs.complete_snapshot(**{key: value for key, value in (call | changed).items() if value is not None})

    assert refused(lambda: complete(1, in_order))[0] == "ValidationException"
    assert refused(lambda: complete(2, as_put))[0] == "ValidationException"
    assert refused(lambda: complete(2, in_order, ChecksumAggregationMethod=None))[0] == "ValidationException"
    answer = complete(2, in_order)
    assert (answer["Status"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("completed", 202)


def test_a_snapshot_without_blocks_for_its_timeout_fails(ebs: Any, ec2: Any, put: Put, controlled: Control) -> None:
    identity = ebs.start_snapshot(VolumeSize=1, Timeout=10)["SnapshotId"]
    controlled("POST", "clock", {"advance": 599})
    ebs.put_snapshot_block(**put(identity, 0, A))
    controlled("POST", "clock", {"advance": 599})
    assert ec2.describe_snapshots(SnapshotIds=[identity])["Snapshots"][0]["State"] == "pending"
    controlled("POST", "clock", {"advance": 2})
    assert ec2.describe_snapshots(SnapshotIds=[identity])["Snapshots"][0]["State"] == "error"
    assert refused(lambda: ebs.put_snapshot_block(**put(identity, 1, A)))[1] == "INVALID_SNAPSHOT_ID"


def test_a_child_starts_with_its_parents_blocks(ebs: Any, put: Put, snapshot: Snapshot) -> None:
    parent = snapshot({0: A, 1: A, 5: B})
    child = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=parent)["SnapshotId"]
    ebs.put_snapshot_block(**put(child, 1, C))
    ebs.put_snapshot_block(**put(child, 6, C))
    ebs.complete_snapshot(SnapshotId=child, ChangedBlocksCount=2)
    assert contents(ebs, child) == {0: A, 1: C, 5: B, 6: C}
    assert contents(ebs, parent) == {0: A, 1: A, 5: B}


def test_changed_blocks_are_those_that_differ(ebs: Any, put: Put, snapshot: Snapshot) -> None:
    parent = snapshot({0: A, 1: A, 5: B})
    child = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=parent)["SnapshotId"]
    for index, data in ((0, A), (1, C), (6, C)):
        ebs.put_snapshot_block(**put(child, index, data))
    ebs.complete_snapshot(SnapshotId=child, ChangedBlocksCount=3)
    answer = ebs.list_changed_blocks(FirstSnapshotId=parent, SecondSnapshotId=child)
    changed = {one["BlockIndex"]: one for one in answer["ChangedBlocks"]}
    assert sorted(changed) == [1, 6]
    assert "FirstBlockToken" in changed[1]
    assert "FirstBlockToken" not in changed[6]
    old = ebs.get_snapshot_block(SnapshotId=parent, BlockIndex=1, BlockToken=changed[1]["FirstBlockToken"])
    assert old["BlockData"].read() == A


def test_unrelated_snapshots_are_not_compared(ebs: Any, snapshot: Snapshot) -> None:
    call = {"FirstSnapshotId": snapshot({0: A}), "SecondSnapshotId": snapshot({0: B})}
    assert refused(lambda: ebs.list_changed_blocks(**call))[1] == "UNRELATED_SNAPSHOTS"


def test_only_completed_snapshots_are_read(ebs: Any) -> None:
    identity = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    assert refused(lambda: ebs.list_snapshot_blocks(SnapshotId=identity))[1] == "INVALID_SNAPSHOT_ID"


def test_pages_hold_at_least_a_hundred_blocks_and_lead_on(ebs: Any, snapshot: Snapshot, controlled: Control) -> None:
    identity = snapshot(dict.fromkeys(range(0, 500, 2), A))
    first = ebs.list_snapshot_blocks(SnapshotId=identity, MaxResults=100)
    assert [one["BlockIndex"] for one in first["Blocks"]] == list(range(0, 200, 2))
    second = ebs.list_snapshot_blocks(SnapshotId=identity, MaxResults=200, NextToken=first["NextToken"])
    assert [one["BlockIndex"] for one in second["Blocks"]] == list(range(200, 500, 2))
    assert "NextToken" not in second
    later = ebs.list_snapshot_blocks(SnapshotId=identity, StartingBlockIndex=481)
    assert [one["BlockIndex"] for one in later["Blocks"]] == list(range(482, 500, 2))
    controlled("POST", "clock", {"advance": 3601})
    expired = {"SnapshotId": identity, "NextToken": first["NextToken"]}
    assert refused(lambda: ebs.list_snapshot_blocks(**expired))[1] == "INVALID_PAGE_TOKEN"


def test_block_tokens_are_for_one_block_and_expire(ebs: Any, snapshot: Snapshot, controlled: Control) -> None:
    identity, other = snapshot({0: A, 1: B}), snapshot({0: A})
    listed = ebs.list_snapshot_blocks(SnapshotId=identity)
    token = listed["Blocks"][0]["BlockToken"]

    def get(snapshot: str, index: int, token: str) -> Any:
        return ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=token)

    assert refused(lambda: get(identity, 1, token))[1] == "INVALID_BLOCK_TOKEN"
    assert refused(lambda: get(other, 0, token))[1] == "INVALID_BLOCK_TOKEN"
    assert refused(lambda: get(identity, 0, "AAAA"))[1] == "INVALID_BLOCK_TOKEN"
    controlled("POST", "clock", {"advance": 7 * 86400 + 1})
    assert refused(lambda: get(identity, 0, token))[1] == "INVALID_BLOCK_TOKEN"


def test_a_block_comes_with_its_checksum(ebs: Any, snapshot: Snapshot) -> None:
    identity = snapshot({4: C})
    token = ebs.list_snapshot_blocks(SnapshotId=identity)["Blocks"][0]["BlockToken"]
    answer = ebs.get_snapshot_block(SnapshotId=identity, BlockIndex=4, BlockToken=token)
    assert answer["DataLength"] == BLOCK
    assert answer["Checksum"] == base64.b64encode(hashlib.sha256(C).digest()).decode()


def test_regions_do_not_see_each_others_snapshots(client: Callable[..., Any], snapshot: Snapshot) -> None:
    identity = snapshot({0: A})
    elsewhere = client("ebs", "eu-west-1")
    assert refused(lambda: elsewhere.list_snapshot_blocks(SnapshotId=identity))[0] == "ResourceNotFoundException"


def test_too_many_pending_snapshots_are_refused(ebs: Any, controlled: Control) -> None:
    controlled("POST", "settings", {"pending_snapshots": 2})
    for _ in range(2):
        ebs.start_snapshot(VolumeSize=1)
    assert refused(lambda: ebs.start_snapshot(VolumeSize=1))[0] == "ConcurrentLimitExceededException"


def test_deleting_gives_back_only_blocks_that_nobody_holds(
    ebs: Any, ec2: Any, snapshot: Snapshot, cloud_root: Any
) -> None:
    first, second = snapshot({0: A, 1: B}), snapshot({0: A})
    ec2.delete_snapshot(SnapshotId=first)
    third = snapshot({0: C})
    assert contents(ebs, second) == {0: A}
    assert contents(ebs, third) == {0: C}
    assert sum(path.stat().st_size for path in (cloud_root / "blocks").iterdir()) == 2 * BLOCK
