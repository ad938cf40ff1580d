"""Reading a snapshot back: it is the image, or the blocks that are not are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invar.aws.blocks import BLOCK, BlockMap, map_blocks
from invar.aws.client import Cloud
from invar.aws.snapshot_read import ReadBack, download, list_blocks, read_back
from invar.aws.snapshot_start import Upload
from invar.aws.snapshot_upload import upload
from invar.aws.transfer import Limits
from invar.core.errors import InvarError
from invar.core.events import Report

REGION = "us-east-1"
Control = Callable[..., dict[str, Any]]


@pytest.fixture
def image(make_image: Callable[..., Path]) -> Path:
    return make_image("disk.raw", {0: 1, 1: 2, 2: 3, 50: 4})


@pytest.fixture
def blocks(image: Path) -> BlockMap:
    return map_blocks(image, Report())


@pytest.fixture
def snapshot(cloud: Cloud, image: Path, blocks: BlockMap, journals: Path) -> str:
    return upload(cloud, Upload(image, blocks, REGION, "a test", journals), Report()).snapshot


def test_one_altered_block_is_found(cloud: Cloud, snapshot: str, blocks: BlockMap, controlled: Control) -> None:
    assert read_back(cloud, REGION, snapshot, blocks, Report()).same
    controlled("POST", "alter", {"snapshot": snapshot, "block": 2, "offset": BLOCK - 1})
    found = read_back(cloud, REGION, snapshot, blocks, Report())
    assert (found.differing, found.missing, found.unexpected) == ((2,), (), ())
    assert found.wrong_bytes == [(2 * BLOCK, 3 * BLOCK)]


def test_missing_and_unexpected_blocks_are_told_apart(cloud: Cloud, snapshot: str, blocks: BlockMap) -> None:
    digests = {index: digest for index, digest in blocks.digests.items() if index != 50} | {7: b"d" * 32}
    found = read_back(cloud, REGION, snapshot, BlockMap(blocks.image_bytes, digests), Report())
    assert (found.differing, found.missing, found.unexpected) == ((), (7,), (50,))


def test_wrong_ranges_are_joined() -> None:
    found = ReadBack("snap-1", 5, (1, 9), (2,), (3,), 0.0)
    assert found.wrong_bytes == [(BLOCK, 4 * BLOCK), (9 * BLOCK, 10 * BLOCK)]


def test_reading_survives_faults(cloud: Cloud, snapshot: str, blocks: BlockMap, controlled: Control) -> None:
    controlled("POST", "faults", {"operation": "GetSnapshotBlock", "action": "drop", "times": 2})
    controlled("POST", "faults", {"operation": "ListSnapshotBlocks", "action": "error", "times": 1})
    assert read_back(cloud, REGION, snapshot, blocks, Report()).same


def test_a_download_is_the_image_and_sparse(cloud: Cloud, snapshot: str, image: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.raw"
    download(cloud, REGION, snapshot, target, Report())
    with target.open("rb") as copied:
        assert copied.read(256 * BLOCK) == image.read_bytes()
    assert target.stat().st_size == 1 << 30
    assert target.stat().st_blocks * 512 < 16 * BLOCK


def test_a_failed_download_leaves_nothing(cloud: Cloud, snapshot: str, controlled: Control, tmp_path: Path) -> None:
    denied = {"action": "error", "code": "AccessDeniedException", "status": 403}
    controlled("POST", "faults", {"operation": "GetSnapshotBlock", "after": 1, "times": None, **denied})
    with pytest.raises(InvarError) as caught:
        download(cloud, REGION, snapshot, tmp_path / "copy.raw", Report())
    assert f"ebs:GetSnapshotBlock {REGION} {snapshot}, block" in (caught.value.where or "")
    assert not list(tmp_path.glob("copy.raw*"))


def test_an_unknown_snapshot_is_named(cloud: Cloud) -> None:
    with pytest.raises(InvarError) as caught:
        list_blocks(cloud, REGION, "snap-00000000000000000", Limits())
    assert "snap-00000000000000000" in str(caught.value)
