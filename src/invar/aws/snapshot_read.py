"""Reads a snapshot back by the EBS direct API: to compare it with an image's digests, or to have its bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from invar.aws.blocks import BLOCK, GIB, ZEROS_DIGEST, BlockMap
from invar.aws.client import Cloud
from invar.aws.transfer import Limits, patiently, transfer
from invar.core.errors import InvarError
from invar.core.events import Report, Stage

if TYPE_CHECKING:
    from mypy_boto3_ebs import EBSClient
    from mypy_boto3_ebs.type_defs import ListSnapshotBlocksRequestTypeDef, ListSnapshotBlocksResponseTypeDef

PAGE = 10000
DAMAGE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Held:
    """What a snapshot holds: block index → token, and the volume's size in GiB."""

    tokens: dict[int, str]
    volume_gib: int


@dataclass(frozen=True, slots=True)
class ReadBack:
    """The comparison of a snapshot with an image's block map; all are block indices in order.

    `differing`: the content is not the image's. `missing`: the image has data, the snapshot has no block. `unexpected`:
    data where the image has zeros. `read` counts the blocks that were read.
    """

    snapshot: str
    read: int
    differing: tuple[int, ...]
    missing: tuple[int, ...]
    unexpected: tuple[int, ...]
    seconds: float

    @property
    def same(self) -> bool:
        """Whether the snapshot holds exactly the image."""
        return not (self.differing or self.missing or self.unexpected)

    @property
    def wrong_bytes(self) -> list[tuple[int, int]]:
        """The byte ranges (start, end) that are wrong, joined where they touch."""
        ranges: list[tuple[int, int]] = []
        for index in sorted({*self.differing, *self.missing, *self.unexpected}):
            start, end = index * BLOCK, (index + 1) * BLOCK
            if ranges and ranges[-1][1] == start:
                start = ranges.pop()[0]
            ranges.append((start, end))
        return ranges


def read_back(
    cloud: Cloud, region: str, snapshot: str, expected: BlockMap, report: Report, limits: Limits | None = None
) -> ReadBack:
    """Read every block of a completed snapshot and compare it with the map. Raises InvarError if it cannot."""
    started = time.monotonic()
    found: dict[int, bytes] = {}

    def keep(index: int, data: bytes) -> None:
        found[index] = hashlib.sha256(data).digest()

    with report.stage(f"read back {region}") as stage:
        held = list_blocks(cloud, region, snapshot, limits or Limits())
        fetch(cloud, region, snapshot, held, sorted(held.tokens), keep, limits or Limits(), stage)
    both = found.keys() & expected.digests.keys()
    return ReadBack(
        snapshot=snapshot,
        read=len(found),
        differing=tuple(sorted(index for index in both if found[index] != expected.digests[index])),
        missing=tuple(sorted(expected.digests.keys() - found.keys())),
        unexpected=tuple(
            sorted(index for index in found.keys() - expected.digests.keys() if found[index] != ZEROS_DIGEST)
        ),
        seconds=time.monotonic() - started,
    )


def download(
    cloud: Cloud, region: str, snapshot: str, target: Path, report: Report, limits: Limits | None = None
) -> None:
    """Write a completed snapshot's bytes to `target` (raw, sparse, of the volume's size), whole or not at all.

    Raises InvarError.
    """
    limits = limits or Limits()
    temporary = target.with_name(target.name + ".partial")
    with report.stage(f"download {snapshot}") as stage:
        held = list_blocks(cloud, region, snapshot, limits)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, held.volume_gib * GIB)

            def write(index: int, data: bytes) -> None:
                os.pwrite(descriptor, data, index * BLOCK)

            fetch(cloud, region, snapshot, held, sorted(held.tokens), write, limits, stage)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)


def list_blocks(cloud: Cloud, region: str, snapshot: str, limits: Limits) -> Held:
    """Which blocks a completed snapshot holds, with tokens to read them (good for days). Raises InvarError."""
    ebs = cloud.ebs(region)
    tokens: dict[int, str] = {}
    call: ListSnapshotBlocksRequestTypeDef = {"SnapshotId": snapshot, "MaxResults": PAGE}
    while True:
        page = _page(ebs, region, call, limits)
        tokens.update((one["BlockIndex"], one["BlockToken"]) for one in page["Blocks"])
        following = page.get("NextToken")
        if not following:
            return Held(tokens, page["VolumeSize"])
        call["NextToken"] = following


def _page(
    ebs: EBSClient, region: str, call: ListSnapshotBlocksRequestTypeDef, limits: Limits
) -> ListSnapshotBlocksResponseTypeDef:
    return patiently(
        lambda: ebs.list_snapshot_blocks(**call),
        where=f"ebs:ListSnapshotBlocks {region} {call['SnapshotId']}",
        limits=limits,
    )


class SnapshotBlocks:
    """A completed snapshot as a source of 512 KiB blocks. `size` is the volume's, in bytes. Raises InvarError."""

    def __init__(self, cloud: Cloud, region: str, snapshot: str, limits: Limits | None = None) -> None:
        self.where = f"{region} {snapshot}"
        self._cloud = cloud
        self._region = region
        self._snapshot = snapshot
        self._limits = limits or Limits()
        self._held = list_blocks(cloud, region, snapshot, self._limits)
        self.size = self._held.volume_gib * GIB
        self.held: Collection[int] = self._held.tokens.keys()

    def fetch(self, indices: Sequence[int], use: Callable[[int, bytes], None], stage: Stage | None = None) -> None:
        """Hand each of these held blocks to `use`, in any order, from many threads."""
        fetch(self._cloud, self._region, self._snapshot, self._held, indices, use, self._limits, stage)


def fetch(
    cloud: Cloud,
    region: str,
    snapshot: str,
    held: Held,
    indices: Sequence[int],
    use: Callable[[int, bytes], None],
    limits: Limits,
    stage: Stage | None = None,
) -> None:
    """Hand each of these held blocks to `use`, in any order, from many threads.

    A block that does not match the checksum sent with it is read again. Raises InvarError.
    """
    ebs = cloud.ebs(region)
    total = len(indices) * BLOCK
    lock = threading.Lock()
    done = 0

    def where(index: int) -> str:
        return f"ebs:GetSnapshotBlock {region} {snapshot}, block {index}"

    def get(index: int) -> None:
        nonlocal done
        for _ in range(DAMAGE_TRIES):
            answer = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=held.tokens[index])
            data = answer["BlockData"].read()
            if answer["Checksum"] == base64.b64encode(hashlib.sha256(data).digest()).decode():
                break
        else:
            raise InvarError(
                "a block arrives damaged",
                where=where(index),
                why="its bytes do not match the checksum that AWS sends with it",
            )
        use(index, data)
        if stage is not None:
            with lock:
                done += 1
                stage.progress(done * BLOCK, total, "bytes")

    transfer(indices, get, where=where, limits=limits)
