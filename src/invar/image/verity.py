"""dm-verity hash trees: built behind the data in one file, and checked without the kernel.

The format is version 1 of Documentation/admin-guide/device-mapper/verity.rst: SHA-256 with the salt in front, 4 KiB
data and hash blocks, no superblock, the levels on disk from the root's block down to the leaves'.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.image.layer import BLOCK

DIGEST = 32
FAN_OUT = BLOCK // DIGEST
CHUNK_BLOCKS = 4096


@dataclass(frozen=True, slots=True)
class VerityTree:
    """A hash tree behind `data_blocks` blocks of data; `total_blocks` counts both. `root_hash` and `salt` are hex."""

    root_hash: str
    salt: str
    data_blocks: int
    total_blocks: int


def append_hash_tree(path: Path, salt: bytes) -> VerityTree:
    """Pad the file with zeros to whole blocks and append its hash tree. The file must not be empty.

    `salt` is at most 256 bytes, the kernel's limit. Appending again would count the first tree as data.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        data_blocks = -(-size // BLOCK)
        file.truncate(data_blocks * BLOCK)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
            levels = hash_levels(view, salt)
        root_hash = levels.pop()
        tree = b"".join(reversed(levels))
        file.seek(data_blocks * BLOCK)
        file.write(tree)
    return VerityTree(root_hash.hex(), salt.hex(), data_blocks, data_blocks + len(tree) // BLOCK)


def hash_tree(data: bytes | memoryview, salt: bytes) -> tuple[str, bytes]:
    """Root hash (hex) and the tree's blocks, as they go behind `data`, whose length is a multiple of 4096 and not 0."""
    levels = hash_levels(memoryview(data), salt)
    root_hash = levels.pop()
    return root_hash.hex(), b"".join(reversed(levels))


def hash_levels(data: memoryview, salt: bytes) -> list[bytes]:
    """The levels from the leaves' hashes up, each padded to whole blocks; the last item is the bare root hash.

    A single data block has no level: its hash is the root hash, as in the kernel.
    """
    if len(data) == 0 or len(data) % BLOCK:
        raise ValueError(f"verity data must be whole blocks of {BLOCK} bytes, not {len(data)} bytes")
    levels: list[bytes] = []
    hashes = _hash_blocks(data, salt)
    while len(hashes) > DIGEST:
        level = hashes + bytes(-len(hashes) % BLOCK)
        levels.append(level)
        hashes = _hash_blocks(memoryview(level), salt)
    return [*levels, hashes]


def tree_blocks(data_blocks: int) -> int:
    """How many blocks the hash tree of `data_blocks` blocks takes."""
    total, level = 0, data_blocks
    while level > 1:
        level = -(-level // FAN_OUT)
        total += level
    return total


def verify(path: Path, root_hash: str, salt: str, data_blocks: int) -> None:
    """Check data and tree against the root hash. InvarError names the first block that is wrong."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        wanted = (data_blocks + tree_blocks(data_blocks)) * BLOCK
        if size < wanted or data_blocks < 1:
            raise InvarError(f"{path.name} is cut short", where=str(path), why=f"{size} bytes of {wanted}")
        with mmap.mmap(file.fileno(), wanted, access=mmap.ACCESS_READ) as image, memoryview(image) as view:
            wrong = first_wrong_block(view, bytes.fromhex(root_hash), bytes.fromhex(salt), data_blocks)
    if wrong is not None:
        raise InvarError(
            f"{path.name} is damaged: block {wrong} does not match the verity root hash",
            where=str(path),
            why=f"root hash {root_hash}",
            hint="delete the file and build again; if it comes back, the disk or the memory is at fault",
        )


def first_wrong_block(image: memoryview, root_hash: bytes, salt: bytes, data_blocks: int) -> int | None:
    """The first block, from the root down, whose hash is not the one that its parent holds; None if all match."""
    expected = root_hash
    for start, count in levels_from_root(data_blocks):
        level = image[start * BLOCK : (start + count) * BLOCK]
        found = _hash_blocks(level, salt)
        if found != expected[: len(found)]:
            wrong = next(i for i in range(count) if found[i * DIGEST :][:DIGEST] != expected[i * DIGEST :][:DIGEST])
            level.release()
            return start + wrong
        if start > 0:
            expected = bytes(level)
        level.release()
    return None


def levels_from_root(data_blocks: int) -> Iterator[tuple[int, int]]:
    """(first block, number of blocks) of each level in a layer, from the root's down to the data (at block 0)."""
    counts = [data_blocks]
    while counts[-1] > 1:
        counts.append(-(-counts[-1] // FAN_OUT))
    start = data_blocks
    for count in reversed(counts[1:]):
        yield start, count
        start += count
    yield 0, data_blocks


def _hash_blocks(data: memoryview, salt: bytes) -> bytes:
    """The digests of all blocks of `data`, one after another. hashlib lets go of the GIL for each block."""
    blocks = len(data) // BLOCK
    salted = hashlib.sha256(salt)

    def hash_chunk(first: int) -> bytes:
        digests = []
        for at in range(first * BLOCK, min(first + CHUNK_BLOCKS, blocks) * BLOCK, BLOCK):
            hasher = salted.copy()
            hasher.update(data[at : at + BLOCK])
            digests.append(hasher.digest())
        return b"".join(digests)

    chunks = range(0, blocks, CHUNK_BLOCKS)
    if len(chunks) == 1:
        return hash_chunk(0)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        return b"".join(pool.map(hash_chunk, chunks))
