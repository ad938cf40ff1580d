"""Which snapshot an upload writes to: one that an earlier run left, or a new one, on a parent if AWS takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from invar.aws.blocks import BlockMap
from invar.aws.client import Cloud
from invar.aws.errors import code_of, told, trouble
from invar.aws.journal import Journal
from invar.aws.snapshots import SnapshotRecord, delete_snapshot, find_snapshots
from invar.aws.transfer import Limits, patiently
from invar.core.canonical import digest as digest_of
from invar.core.errors import InvarError
from invar.core.events import Report

if TYPE_CHECKING:
    from mypy_boto3_ebs import EBSClient
    from mypy_boto3_ebs.type_defs import StartSnapshotRequestTypeDef

TAG_BLOCKS = "invar:blocks"
"""Tag: the digest of the image's block map."""
TAG_PARENT = "invar:parent-snapshot"
"""Tag of what was uploaded (copies have none): the snapshot that it is a difference to, or "none"."""
TIMEOUT_MINUTES = 60
"""AWS gives up a snapshot that gets no block for so long."""
STARTS = 5


@dataclass(frozen=True, slots=True)
class Parent:
    """A completed snapshot in the same region, and what it holds."""

    snapshot: str
    blocks: BlockMap


@dataclass(frozen=True, slots=True)
class Upload:
    """What to upload. `tags` come on top of Invar's own two.

    `encrypted` and `kms_key` (an ARN) are for uploads without a parent: with one, the parent's encryption holds.
    `journals` is the directory for the journals of uploads under way.
    """

    image: Path
    blocks: BlockMap
    region: str
    description: str
    journals: Path
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: Parent | None = None
    encrypted: bool = False
    kms_key: str | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Begun:
    """A snapshot to write to, or with `completed` one that is ready. `parent` is what it was really started on."""

    snapshot: str
    volume_gib: int
    parent: Parent | None
    completed: bool


def find_or_start(cloud: Cloud, request: Upload, report: Report, attempt: int) -> Begun:
    """The snapshot for this upload. Deletes unfinished ones of the same content that cannot be continued.

    `attempt` tells client tokens apart when AWS gave up what it began under an earlier one. Raises InvarError.
    """
    found = find_snapshots(cloud, request.region, {TAG_BLOCKS: request.blocks.digest})
    chosen = choose(found, request)
    for one in found:
        if one is not chosen and one.state != "completed" and TAG_PARENT in one.tags:
            report.note(f"{request.region}: deleting {one.id}, which an earlier upload left {one.state}")
            delete_snapshot(cloud, request.region, one.id)
            Journal(request.journals, one.id).remove()
    if chosen is None:
        return _start(cloud, request, report, attempt)
    parent = request.parent if request.parent and _parent_tag(chosen) == request.parent.snapshot else None
    return Begun(chosen.id, chosen.volume_gib, parent, chosen.state == "completed")


def choose(found: list[SnapshotRecord], request: Upload) -> SnapshotRecord | None:
    """Of this content's snapshots the one to use: a completed one, else one to continue, on the same parent or none."""
    encrypted = request.encrypted or request.kms_key is not None
    fit = [
        one
        for one in found
        if one.volume_gib >= request.blocks.gib
        and (one.encrypted or not encrypted)
        and request.kms_key in (None, one.kms_key)
    ]
    wanted = None if request.parent is None else request.parent.snapshot
    completed = [one for one in fit if one.state == "completed"]
    same = [one for one in fit if one.state == "pending" and _parent_tag(one) == (wanted or "none")]
    whole = [one for one in fit if one.state == "pending" and _parent_tag(one) == "none"]
    return next(iter(completed + same + whole), None)


class _ParentRefusedError(Exception):
    """StartSnapshot did not take the parent."""


class _TokenUsedError(Exception):
    """The client token belongs to an earlier snapshot that cannot be written to."""


def _start(cloud: Cloud, request: Upload, report: Report, attempt: int) -> Begun:
    ebs = cloud.ebs(request.region)
    where = f"ebs:StartSnapshot {request.region}"
    gib = request.blocks.gib
    for number in range(attempt * STARTS, (attempt + 1) * STARTS):
        if request.parent is not None:
            gib = max(gib, request.parent.blocks.gib)
        call = _request(request, gib, number)
        try:
            identity = patiently(lambda call=call: _started(ebs, call), where=where, limits=request.limits)  # type: ignore[misc]
        except _ParentRefusedError as error:
            assert request.parent is not None
            report.warn(
                f"{request.region}: {request.parent.snapshot} cannot be the parent ({error}); uploading everything"
            )
            request, gib = replace(request, parent=None), request.blocks.gib
        except _TokenUsedError:
            continue
        else:
            return Begun(identity, gib, request.parent, False)
    raise InvarError("AWS does not begin the snapshot", where=where, why="all of its client tokens were used before")


def _started(ebs: EBSClient, call: StartSnapshotRequestTypeDef) -> str:
    try:
        answer = ebs.start_snapshot(**call)
    except ClientError as error:
        code, kind = code_of(error), trouble(error)
        if code == "ConflictException":
            raise _TokenUsedError from error
        if "ParentSnapshotId" in call and (kind == "missing" or code == "ValidationException"):
            raise _ParentRefusedError(told(error, "StartSnapshot").why) from error
        if kind == "missing":
            raise _TokenUsedError from error
        raise
    if answer["Status"] != "pending":
        raise _TokenUsedError
    return answer["SnapshotId"]


def _request(request: Upload, gib: int, number: int) -> StartSnapshotRequestTypeDef:
    parent = "none" if request.parent is None else request.parent.snapshot
    tags = {**request.tags, TAG_BLOCKS: request.blocks.digest, TAG_PARENT: parent}
    call: StartSnapshotRequestTypeDef = {
        "VolumeSize": gib,
        "Description": request.description[:255],
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
        "Timeout": TIMEOUT_MINUTES,
    }
    if request.parent is not None:
        call["ParentSnapshotId"] = request.parent.snapshot
    elif request.encrypted or request.kms_key is not None:
        call["Encrypted"] = True
        if request.kms_key is not None:
            call["KmsKeyArn"] = request.kms_key
    call["ClientToken"] = digest_of({"number": number, "call": call, "region": request.region})
    return call


def _parent_tag(found: SnapshotRecord) -> str:
    return found.tags.get(TAG_PARENT, "")
