"""The block digest map of a raw image: the SHA-256 of every 512 KiB block that is not all zeros."""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.store.objects import Store

BLOCK = 512 * 1024
GIB = 1 << 30
DIGEST_BYTES = 32
KIND = "block-maps"
_MAGIC = b"invar block map 1\n"
_HEADER = struct.Struct(">QI")
_ZEROS = bytes(BLOCK)
_BATCH = 64


@dataclass(frozen=True, slots=True)
class BlockMap:
    """Which blocks an image has: block index → SHA-256 (32 bytes), without the blocks of zeros.

    `image_bytes` is the image's size; its last block counts as filled up with zeros.
    """

    image_bytes: int
    digests: dict[int, bytes]

    @property
    def gib(self) -> int:
        """The smallest volume, in whole GiB, that holds the image."""
        return max(1, -(-self.image_bytes // GIB))

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the encoded map: the identity of the image's content."""
        return hashlib.sha256(encode(self)).hexdigest()


@dataclass(frozen=True, slots=True)
class Change:
    """A block to be put. `digest` is of its content; `zeros` tells that it became zeros over a parent's data."""

    index: int
    digest: bytes
    zeros: bool


ZEROS_DIGEST = hashlib.sha256(_ZEROS).digest()


def changes(blocks: BlockMap, parent: BlockMap | None) -> list[Change]:
    """What must be put, in order of index, over a parent (None: over nothing) so that the snapshot holds the image."""
    held = {} if parent is None else parent.digests
    found = [Change(index, digest, False) for index, digest in blocks.digests.items() if held.get(index) != digest]
    found += [Change(index, ZEROS_DIGEST, True) for index in held if index not in blocks.digests]
    return sorted(found, key=lambda change: change.index)


def read_block(descriptor: int, index: int) -> bytes:
    """Block `index` of an open image, filled up with zeros. Raises OSError."""
    data = os.pread(descriptor, BLOCK, index * BLOCK)
    return data if len(data) == BLOCK else data + _ZEROS[len(data) :]


def map_blocks(image: Path, report: Report) -> BlockMap:
    """Hash an image. Holes are not read; two threads hash at once; memory stays below 64 MiB. Raises InvarError."""
    try:
        with image.open("rb") as file, report.stage("hash blocks") as stage:
            size = os.fstat(file.fileno()).st_size
            indices = list(_data_blocks(file.fileno(), size))
            digests: dict[int, bytes] = {}
            workers = min(4, os.cpu_count() or 1)
            with ThreadPoolExecutor(workers) as pool:
                for start in range(0, len(indices), _BATCH):
                    batch = indices[start : start + _BATCH]
                    found = pool.map(lambda index: _digest(file.fileno(), index), batch)
                    digests.update((index, digest) for index, digest in zip(batch, found, strict=True) if digest)
                    stage.progress((start + len(batch)) * BLOCK, len(indices) * BLOCK, "bytes")
    except OSError as error:
        raise InvarError("cannot read the image", where=str(image), why=error.strerror or str(error)) from error
    return BlockMap(size, digests)


def block_map(store: Store, key: str, image: Path, report: Report) -> BlockMap:
    """The map of the image whose content `key` identifies (a hash), made once. Raises InvarError."""
    with store.creating(f"{KIND}-of-image", key) as target:
        if target is not None:
            made = map_blocks(image, report)
            keep(store, made)
            target.write_text(made.digest)
    kept = find(store, store.path(f"{KIND}-of-image", key).read_text().strip())
    if kept is None:
        kept = map_blocks(image, report)
        keep(store, kept)
    return kept


def keep(store: Store, blocks: BlockMap) -> None:
    """Put a map into the store under its digest, so that a later upload can take the image as its parent."""
    with store.creating(KIND, blocks.digest) as target:
        if target is not None:
            target.write_bytes(encode(blocks))


def find(store: Store, digest: str) -> BlockMap | None:
    """The map with this digest, if the store has it."""
    path = store.find(KIND, digest)
    if path is None:
        return None
    data = path.read_bytes()
    return decode(data, str(path)) if hashlib.sha256(data).hexdigest() == digest else None


def encode(blocks: BlockMap) -> bytes:
    """The map as bytes: a header (image bytes, count), then the indices (32 bits, big-endian), then the digests."""
    indices = sorted(blocks.digests)
    head = _MAGIC + _HEADER.pack(blocks.image_bytes, len(indices))
    return head + struct.pack(f">{len(indices)}I", *indices) + b"".join(blocks.digests[index] for index in indices)


def decode(data: bytes, where: str) -> BlockMap:
    """The map in `data`. Raises InvarError when it is not one."""
    try:
        if not data.startswith(_MAGIC):
            raise ValueError
        at = len(_MAGIC)
        image_bytes, count = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if len(data) != at + count * (4 + DIGEST_BYTES):
            raise ValueError
        indices = struct.unpack_from(f">{count}I", data, at)
        at += count * 4
    except (ValueError, struct.error):
        raise InvarError("not a block map", where=where, hint="delete it: it is made again") from None
    digests = {index: data[at + n * DIGEST_BYTES : at + (n + 1) * DIGEST_BYTES] for n, index in enumerate(indices)}
    return BlockMap(image_bytes, digests)


def _data_blocks(descriptor: int, size: int) -> Iterator[int]:
    """Indices of the blocks that the file system has data for."""
    offset = 0
    following = 0
    while offset < size:
        try:
            offset = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = min(os.lseek(descriptor, offset, os.SEEK_HOLE), size)
        first = max(following, offset // BLOCK)
        following = -(-end // BLOCK)
        yield from range(first, following)
        offset = end


def _digest(descriptor: int, index: int) -> bytes | None:
    data = read_block(descriptor, index)
    return None if data == _ZEROS else hashlib.sha256(data).digest()
