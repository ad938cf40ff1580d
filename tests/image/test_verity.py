"""dm-verity hash trees equal veritysetup's, and find every flipped byte."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.image.layer import BLOCK
from invar.image.verity import append_hash_tree, first_wrong_block, hash_tree, tree_blocks, verify

SALT = bytes(range(32))


def pattern(blocks: int) -> bytes:
    return b"".join(index.to_bytes(8, "big") * (BLOCK // 8) for index in range(blocks))


@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1])
def test_tree_equals_veritysetups(tmp_path: Path, blocks: int) -> None:
    veritysetup = shutil.which("veritysetup")
    if veritysetup is None:
        pytest.skip("veritysetup (cryptsetup-bin) is not installed")
    image, theirs = tmp_path / "image", tmp_path / "tree"
    image.write_bytes(pattern(blocks))
    run = subprocess.run(
        [veritysetup, "format", "--no-superblock", "--format=1", "--hash=sha256", "--data-block-size=4096",
         "--hash-block-size=4096", f"--salt={SALT.hex()}", str(image), str(theirs)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    root = re.search(r"Root hash:\s+([0-9a-f]{64})", run.stdout)
    assert root is not None
    ours = append_hash_tree(image, SALT)
    assert ours.root_hash == root[1]
    assert ours.data_blocks == blocks
    assert image.read_bytes()[blocks * BLOCK :] == theirs.read_bytes()
    assert image.stat().st_size == ours.total_blocks * BLOCK


def test_a_file_is_padded_to_whole_blocks(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"invar")
    tree = append_hash_tree(image, SALT)
    assert tree.data_blocks == 1
    assert image.read_bytes()[:BLOCK] == b"invar" + bytes(BLOCK - 5)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.touch()
    with pytest.raises(ValueError):
        append_hash_tree(image, SALT)


@settings(max_examples=40)
@given(blocks=st.integers(1, 300), salt=st.binary(max_size=64), data=st.data())
def test_every_flipped_bit_is_found_where_it_is(blocks: int, salt: bytes, data: st.DataObject) -> None:
    content = pattern(blocks)
    root, tree = hash_tree(content, salt)
    image = bytearray(content + tree)
    assert len(image) // BLOCK == blocks + tree_blocks(blocks)
    assert first_wrong_block(memoryview(image), bytes.fromhex(root), salt, blocks) is None
    at = data.draw(st.integers(0, len(image) - 1))
    image[at] ^= 1 << data.draw(st.integers(0, 7))
    wrong = first_wrong_block(memoryview(image), bytes.fromhex(root), salt, blocks)
    assert wrong == at // BLOCK


def test_verify_names_the_damaged_block(tmp_path: Path) -> None:
    image = tmp_path / "layer.img"
    image.write_bytes(pattern(200))
    tree = append_hash_tree(image, SALT)
    verify(image, tree.root_hash, tree.salt, tree.data_blocks)
    with image.open("r+b") as file:
        file.seek(130 * BLOCK + 5)
        file.write(b"!")
    with pytest.raises(InvarError, match="block 130"):
        verify(image, tree.root_hash, tree.salt, tree.data_blocks)


def test_verify_refuses_a_short_file(tmp_path: Path) -> None:
    image = tmp_path / "layer.img"
    image.write_bytes(pattern(200))
    tree = append_hash_tree(image, SALT)
    with image.open("r+b") as file:
        file.truncate(201 * BLOCK)
    with pytest.raises(InvarError, match="cut short"):
        verify(image, tree.root_hash, tree.salt, tree.data_blocks)
