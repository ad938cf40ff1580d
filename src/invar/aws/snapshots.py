"""EBS snapshots as EC2 tells of them: find by tags, wait, delete."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from invar.aws.client import Cloud
from invar.aws.errors import AWS_ERRORS, code_of, told, trouble
from invar.core.errors import InvarError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import SnapshotTypeDef

FIRST_LOOK = 0.1
LONGEST_LOOK = 5.0

State = Literal["pending", "completed", "error"]


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """One snapshot of this account. `started` is in seconds since 1970; `state_message` says why it failed."""

    id: str
    state: State
    state_message: str
    volume_gib: int
    started: float
    encrypted: bool
    kms_key: str | None
    tags: dict[str, str]


def find_snapshots(cloud: Cloud, region: str, tags: Mapping[str, str]) -> list[SnapshotRecord]:
    """This account's snapshots that carry all these tags, oldest first. Raises InvarError."""
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    try:
        pages = (
            cloud.ec2(region)
            .get_paginator("describe_snapshots")
            .paginate(
                OwnerIds=["self"],
                Filters=filters,  # type: ignore[arg-type]
            )
        )
        found = [_record(one) for page in pages for one in page["Snapshots"]]
    except AWS_ERRORS as error:
        raise told(error, f"ec2:DescribeSnapshots {region}") from error
    return sorted(found, key=lambda one: (one.started, one.id))


def describe_snapshot(cloud: Cloud, region: str, identity: str) -> SnapshotRecord | None:
    """One snapshot, or None where there is none. Raises InvarError."""
    try:
        found = cloud.ec2(region).describe_snapshots(SnapshotIds=[identity])["Snapshots"]
    except AWS_ERRORS as error:
        if trouble(error) == "missing":
            return None
        raise told(error, f"ec2:DescribeSnapshots {region} {identity}") from error
    return _record(found[0]) if found else None


def wait_completed(cloud: Cloud, region: str, identity: str, *, seconds: float) -> SnapshotRecord:
    """Wait until AWS calls the snapshot completed. Raises InvarError when it fails or `seconds` have passed."""
    where = f"ec2:DescribeSnapshots {region} {identity}"
    record = settled(cloud, region, identity, seconds=seconds)
    if record is not None and record.state == "completed":
        return record
    if record is not None and record.state == "error":
        raise InvarError(
            "the snapshot failed", where=where, why=record.state_message or None, hint="a rerun replaces it"
        )
    raise InvarError(
        f"the snapshot is still {'missing' if record is None else 'pending'} after {seconds:.0f} s",
        where=where,
        hint="a rerun goes on waiting",
    )


def settled(cloud: Cloud, region: str, identity: str, *, seconds: float) -> SnapshotRecord | None:
    """The snapshot as it is once it is no longer pending, or after `seconds`. None where there is none."""
    deadline = time.monotonic() + seconds
    pause = FIRST_LOOK
    chance = random.Random()
    while True:
        record = describe_snapshot(cloud, region, identity)
        if record is not None and record.state != "pending":
            return record
        if time.monotonic() + pause > deadline:
            return record
        time.sleep(pause * chance.uniform(0.5, 1.0))
        pause = min(LONGEST_LOOK, pause * 1.6)


def delete_snapshot(cloud: Cloud, region: str, identity: str) -> bool:
    """Delete a snapshot. False if there is none any more. Raises InvarError, also while an image uses it."""
    try:
        cloud.ec2(region).delete_snapshot(SnapshotId=identity)
    except AWS_ERRORS as error:
        if trouble(error) == "missing":
            return False
        hint = "deregister the image first" if code_of(error) == "InvalidSnapshot.InUse" else None
        raise told(error, f"ec2:DeleteSnapshot {region} {identity}", hint=hint) from error
    return True


def _record(one: SnapshotTypeDef) -> SnapshotRecord:
    state: State = "completed" if one["State"] == "completed" else "error" if one["State"] == "error" else "pending"
    return SnapshotRecord(
        id=one["SnapshotId"],
        state=state,
        state_message=one.get("StateMessage", ""),
        volume_gib=one["VolumeSize"],
        started=one["StartTime"].timestamp(),
        encrypted=one["Encrypted"],
        kms_key=one.get("KmsKeyId"),
        tags={tag["Key"]: tag["Value"] for tag in one.get("Tags", [])},
    )
