"""Puts a raw image into an EBS snapshot by the EBS direct API: whole, or as the difference to a parent snapshot.

A killed upload is found again by its tags and continued. AWS itself checks what the finished snapshot holds, block by
block and as a whole, against SHA-256 digests that were made from the image.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from invar.aws.blocks import BLOCK, Change, changes, read_block
from invar.aws.client import Cloud
from invar.aws.errors import code_of, trouble
from invar.aws.journal import Journal
from invar.aws.snapshot_start import Begun, Upload, find_or_start
from invar.aws.snapshots import delete_snapshot, settled, wait_completed
from invar.aws.transfer import patiently, transfer
from invar.core.errors import InvarError
from invar.core.events import Report, Stage

if TYPE_CHECKING:
    from mypy_boto3_ebs import EBSClient

INVALID = ("ValidationException", "ResourceNotFoundException")
SETTLE_SECONDS = 15.0
"""How long a snapshot that was called invalid may take to show that it is only sealed already."""
ROUNDS = 3
"""Snapshots that AWS gave up while they were written are begun again so often."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A completed snapshot.

    `sent` counts the blocks put now, `resumed` those of an earlier, killed run, `retries` the repeated calls. `parent`
    is the snapshot that it was really built on. `cached`: it was there already. `seconds` is wall time.
    """

    snapshot: str
    region: str
    volume_gib: int
    sent: int
    resumed: int
    retries: int
    parent: str | None
    cached: bool
    seconds: float

    @property
    def bytes_sent(self) -> int:
        """Bytes of block data put now."""
        return self.sent * BLOCK


def upload(cloud: Cloud, request: Upload, report: Report) -> Uploaded:
    """Make sure that a completed snapshot holds the image. A rerun finds, continues or replaces earlier ones.

    A parent that cannot be used (deleted, of another account, not completed) means a full upload, with a warning.
    Raises InvarError: for refused calls at once (the begun snapshot is deleted), for others when `request.limits` are
    used up (the snapshot stays, for a rerun to continue).
    """
    started = time.monotonic()
    with report.stage(f"upload {request.region}") as stage:
        for attempt in range(ROUNDS):
            begun = find_or_start(cloud, request, report, attempt)
            sent = resumed = retries = 0
            if not begun.completed:
                try:
                    sent, resumed, retries = _send(cloud, request, begun, stage, report)
                except _GivenUpError:
                    report.note(f"{request.region}: AWS gave up {begun.snapshot}; beginning again")
                    continue
            seconds = time.monotonic() - started
            stage.cached = begun.completed
            if sent:
                rate = sent * BLOCK / seconds / 1e6
                report.note(f"{request.region}: sent {sent * BLOCK / 1e6:.1f} MB in {seconds:.1f} s, {rate:.1f} MB/s")
            parent = None if begun.parent is None else begun.parent.snapshot
            return Uploaded(
                begun.snapshot,
                request.region,
                begun.volume_gib,
                sent,
                resumed,
                retries,
                parent,
                begun.completed,
                seconds,
            )
    raise InvarError(
        "AWS gave up the snapshot again and again", where=f"ebs:PutSnapshotBlock {request.region} {begun.snapshot}"
    )


class _ImageChangedError(InvarError):
    """The image is no longer what its block map says."""


class _GivenUpError(Exception):
    """The snapshot being written is in state error, or gone."""


def _send(cloud: Cloud, request: Upload, begun: Begun, stage: Stage, report: Report) -> tuple[int, int, int]:
    """Put what is missing, complete, wait. Returns blocks put now, blocks put before, repeated calls."""
    plan = changes(request.blocks, None if begun.parent is None else begun.parent.blocks)
    with Journal(request.journals, begun.snapshot) as journal:
        confirmed = journal.confirmed()
        missing = [change for change in plan if confirmed.get(change.index) != change.digest[:8]]
        resumed = len(plan) - len(missing)
        if resumed:
            report.note(f"{request.region}: continuing {begun.snapshot}: {resumed} of {len(plan)} blocks are there")
        try:
            retries = _put_all(cloud.ebs(request.region), request, begun.snapshot, plan, missing, journal, stage)
            _complete(cloud.ebs(request.region), request, begun.snapshot, plan)
        except _ImageChangedError:
            _delete(cloud, request, begun.snapshot, report)
            journal.remove()
            raise
        except InvarError as error:
            if not isinstance(error.__cause__, ClientError) or trouble(error.__cause__) not in ("refused", "missing"):
                raise
            if not _completed_by_another(cloud, request, begun, error.__cause__, report):
                journal.remove()
                raise
            retries = 0
        wait_completed(cloud, request.region, begun.snapshot, seconds=request.limits.total)
        journal.remove()
    return len(missing), resumed, retries


def _completed_by_another(cloud: Cloud, request: Upload, begun: Begun, refusal: ClientError, report: Report) -> bool:
    """After a refusal: whether the snapshot is sealed all the same, by a call whose answer was lost or another upload.

    Else deletes it, and raises _GivenUpError when it was AWS that gave it up.
    """
    found = settled(cloud, request.region, begun.snapshot, seconds=SETTLE_SECONDS if code_of(refusal) in INVALID else 0)
    if found is not None and found.state == "completed":
        return True
    _delete(cloud, request, begun.snapshot, report)
    if found is None or found.state == "error":
        raise _GivenUpError
    return False


def _delete(cloud: Cloud, request: Upload, snapshot: str, report: Report) -> None:
    try:
        delete_snapshot(cloud, request.region, snapshot)
    except InvarError as error:
        report.warn(f"{request.region}: {snapshot} is left unfinished: {error.why}")


def _put_all(
    ebs: EBSClient,
    request: Upload,
    snapshot: str,
    plan: list[Change],
    missing: list[Change],
    journal: Journal,
    stage: Stage,
) -> int:
    """Put blocks, as many at once as AWS takes; memory: two blocks for each call under way. Returns repeated calls."""
    progress = _Progress(stage, len(plan) - len(missing), len(plan))

    def put(change: Change) -> None:
        data = bytes(BLOCK) if change.zeros else read_block(descriptor, change.index)
        checksum = base64.b64encode(change.digest).decode()
        try:
            ebs.put_snapshot_block(
                SnapshotId=snapshot,
                BlockIndex=change.index,
                BlockData=data,
                DataLength=BLOCK,
                Checksum=checksum,
                ChecksumAlgorithm="SHA256",
                Progress=progress.percent,
            )
        except ClientError as error:
            if trouble(error) == "refused" and hashlib.sha256(data).digest() != change.digest:
                raise _ImageChangedError(
                    "the image changed while it was uploaded",
                    where=f"{request.image}, block {change.index}",
                    hint="upload again: the unfinished snapshot is replaced",
                ) from error
            raise
        journal.add(change.index, change.digest)
        progress.one_more()

    with _opened(request.image) as descriptor:
        return transfer(
            missing,
            put,
            where=lambda change: f"ebs:PutSnapshotBlock {request.region} {snapshot}, block {change.index}",
            limits=request.limits,
            expect_missing=True,
        )


def _complete(ebs: EBSClient, request: Upload, snapshot: str, plan: list[Change]) -> None:
    """CompleteSnapshot, with the number of blocks put and the SHA-256 over their SHA-256s in order of index."""
    whole = hashlib.sha256(b"".join(change.digest for change in plan)).digest()
    patiently(
        lambda: ebs.complete_snapshot(
            SnapshotId=snapshot,
            ChangedBlocksCount=len(plan),
            Checksum=base64.b64encode(whole).decode(),
            ChecksumAlgorithm="SHA256",
            ChecksumAggregationMethod="LINEAR",
        ),
        where=f"ebs:CompleteSnapshot {request.region} {snapshot}",
        limits=request.limits,
        expect_missing=not plan,
    )


class _Progress:
    """Counts blocks that are there, for the report and for AWS's own progress figure."""

    def __init__(self, stage: Stage, done: int, total: int) -> None:
        self._stage = stage
        self._done = done
        self._total = total
        self._lock = threading.Lock()
        stage.progress(done * BLOCK, total * BLOCK, "bytes")

    @property
    def percent(self) -> int:
        """Whole percent."""
        return self._done * 100 // max(1, self._total)

    def one_more(self) -> None:
        """A block is confirmed."""
        with self._lock:
            self._done += 1
            done = self._done
        self._stage.progress(done * BLOCK, self._total * BLOCK, "bytes")


@contextmanager
def _opened(image: Path) -> Iterator[int]:
    try:
        descriptor = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InvarError("cannot read the image", where=str(image), why=error.strerror) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
