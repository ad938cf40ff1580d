"""The block digest map: which blocks an image has, and which of them a delta puts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.aws.blocks import (
    BLOCK,
    ZEROS_DIGEST,
    BlockMap,
    Change,
    block_map,
    changes,
    decode,
    encode,
    find,
    keep,
    map_blocks,
)
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.store.objects import Store

MakeImage = Callable[..., Path]
digests = st.binary(min_size=32, max_size=32)
maps = st.builds(
    BlockMap, st.integers(0, 1 << 46), st.dictionaries(st.integers(0, (1 << 32) - 1), digests, max_size=40)
)


def test_zero_blocks_and_holes_are_left_out(make_image: MakeImage) -> None:
    image = make_image("disk.raw", {1: b"x" * BLOCK, 3: bytes(BLOCK), 200: b"y" * BLOCK})
    found = map_blocks(image, Report())
    assert found.image_bytes == 256 * BLOCK
    assert found.digests == {
        1: hashlib.sha256(b"x" * BLOCK).digest(),
        200: hashlib.sha256(b"y" * BLOCK).digest(),
    }


def test_a_sparse_image_maps_like_a_full_one(make_image: MakeImage, tmp_path: Path) -> None:
    sparse = make_image("disk.raw", {0: 1, 7: 2, 8: b"edge", 100: 3})
    full = tmp_path / "full.raw"
    full.write_bytes(sparse.read_bytes())
    assert map_blocks(sparse, Report()) == map_blocks(full, Report())


def test_the_last_block_counts_as_filled_up_with_zeros(tmp_path: Path) -> None:
    image = tmp_path / "odd.raw"
    image.write_bytes(b"z" * (BLOCK + 10))
    found = map_blocks(image, Report())
    assert found.digests[1] == hashlib.sha256(b"z" * 10 + bytes(BLOCK - 10)).digest()
    assert found.gib == 1


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvarError) as caught:
        map_blocks(tmp_path / "none.raw", Report())
    assert "none.raw" in str(caught.value)


@given(maps)
def test_a_map_survives_encoding(blocks: BlockMap) -> None:
    assert decode(encode(blocks), "test") == blocks


@given(maps, st.integers(0, 2000))
def test_a_cut_off_map_is_refused(blocks: BlockMap, cut: int) -> None:
    data = encode(blocks)
    with pytest.raises(InvarError):
        decode(data[: min(cut, len(data) - 1)], "test")


@given(maps, maps)
def test_changes_turn_the_parent_into_the_image(blocks: BlockMap, parent: BlockMap) -> None:
    plan = changes(blocks, parent)
    assert [change.index for change in plan] == sorted({change.index for change in plan})
    result = dict(parent.digests)
    for change in plan:
        assert result.get(change.index) != change.digest
        result[change.index] = change.digest
    assert {index: digest for index, digest in result.items() if digest != ZEROS_DIGEST} == blocks.digests


@given(maps)
def test_nothing_changes_over_itself_and_everything_over_nothing(blocks: BlockMap) -> None:
    assert changes(blocks, blocks) == []
    assert {change.index: change.digest for change in changes(blocks, None)} == blocks.digests


def test_a_block_that_became_zeros_is_put_as_zeros() -> None:
    parent = BlockMap(BLOCK * 2, {0: b"a" * 32, 1: b"b" * 32})
    image = BlockMap(BLOCK * 2, {1: b"b" * 32})
    assert changes(image, parent) == [Change(0, ZEROS_DIGEST, True)]


@pytest.mark.parametrize(("size", "gib"), [(0, 1), (1, 1), (1 << 30, 1), ((1 << 30) + 1, 2), (5 << 30, 5)])
def test_a_volume_is_whole_gib(size: int, gib: int) -> None:
    assert BlockMap(size, {}).gib == gib


def test_the_map_of_an_image_is_made_once(make_image: MakeImage, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    image = make_image("disk.raw", {4: 1})
    first = block_map(store, "abc123", image, Report())
    image.unlink()
    assert block_map(store, "abc123", image, Report()) == first


def test_maps_are_found_by_digest_and_damage_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    blocks = BlockMap(BLOCK, {0: b"d" * 32})
    keep(store, blocks)
    assert find(store, blocks.digest) == blocks
    store.path("block-maps", blocks.digest).write_bytes(b"invar block map 1\n")
    assert find(store, blocks.digest) is None
