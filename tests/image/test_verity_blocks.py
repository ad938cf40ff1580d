"""The check from pieces agrees with the one that has the whole layer, whatever is altered and in whatever order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.image.layer import BLOCK
from invar.image.verity import hash_tree
from invar.image.verity_blocks import PIECE, LayerCheck, LayerOutcome

SALT = b"salt"


def layer(blocks: int) -> tuple[str, bytes]:
    """Root hash, and data with its tree, of a layer of so many blocks."""
    data = random.Random(blocks).randbytes(blocks * BLOCK)
    root, tree = hash_tree(data, SALT)
    return root, data + tree


def check(content: bytes, blocks: int, *, seed: int = 0) -> LayerOutcome:
    made = LayerCheck(SALT.hex(), blocks)
    pieces = [(at // PIECE, content[at : at + PIECE].ljust(PIECE, b"\xee")) for at in range(0, len(content), PIECE)]
    assert len(pieces) == made.pieces
    random.Random(seed).shuffle(pieces)
    for number, data in pieces:
        made.feed(number, data)
    return made.outcome()


@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 300, 128 * 128, 128 * 128 + 1])
def test_an_unaltered_layer_gives_its_root_hash(blocks: int) -> None:
    root, content = layer(blocks)
    assert check(content, blocks) == LayerOutcome(root, True, ())


@settings(max_examples=60)
@given(blocks=st.sampled_from([1, 2, 128, 129, 300, 700]), data=st.data(), seed=st.integers(0, 9))
def test_any_flipped_bit_is_found_in_its_piece(blocks: int, data: st.DataObject, seed: int) -> None:
    root, content = layer(blocks)
    at = data.draw(st.integers(0, len(content) - 1))
    altered = bytearray(content)
    altered[at] ^= 1 << data.draw(st.integers(0, 7))
    found = check(bytes(altered), blocks, seed=seed)
    if at < blocks * BLOCK:
        assert found.root_hash != root
        assert found.wrong == ((at // PIECE,) if blocks > 1 else ())
    else:
        assert (found.root_hash, found.tree_sound) == (root, False)
        assert len(found.wrong) == 1


def test_pieces_that_never_come_count_as_zeros() -> None:
    blocks = 300
    data = random.Random(1).randbytes(128 * BLOCK) + bytes(128 * BLOCK) + random.Random(2).randbytes(44 * BLOCK)
    root, tree = hash_tree(data, SALT)
    content = data + tree
    made = LayerCheck(SALT.hex(), blocks)
    for number in (2, 0):
        made.feed(number, content[number * PIECE : (number + 1) * PIECE].ljust(PIECE, b"\0"))
    assert made.outcome() == LayerOutcome(root, True, ())


def test_a_layer_without_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        LayerCheck("", 0)
