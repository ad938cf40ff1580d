"""What a disk is, judged by its own bytes: partitions, what boots, both layers' root hashes and so the system digest.

The bytes come from a block source, a file or a snapshot, and may be altered or hostile. Every block is read once.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from invar.core.canonical import digest
from invar.core.errors import InvarError
from invar.core.events import Report, Stage
from invar.image.fat_read import read_fat32
from invar.image.gpt import TYPE_ESP, Partition, read_partition_table
from invar.image.sparse import data_extents
from invar.image.uki import read_sections
from invar.image.verity_blocks import PIECE, LayerCheck, LayerOutcome

T = TypeVar("T")

BLOCK = PIECE
LARGEST_UKI = 256 << 20
UKIS = "EFI/Linux/"
PARAMETER = re.compile(r"([0-9a-f]{64}):((?:[0-9a-f]{2}){0,256}):([1-9]\d{0,9})")
_ZEROS = bytes(BLOCK)


class BlockSource(Protocol):
    """A disk in blocks of 512 KiB. `held` are the indices of those that may be other than zeros."""

    @property
    def where(self) -> str:
        """The disk's name, for messages."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def held(self) -> Collection[int]:
        """Indices of the blocks that may hold data."""

    def fetch(self, indices: Sequence[int], use: Callable[[int, bytes], None], stage: Stage | None = None) -> None:
        """Hand each of these held blocks, filled up to 512 KiB, to `use`, in any order, from many threads."""


@dataclass(frozen=True, slots=True)
class ClaimedLayer:
    """A layer as the command line claims it: `root_hash` and `salt` in hex."""

    kind: str
    root_hash: str
    salt: str
    data_blocks: int


@dataclass(frozen=True, slots=True)
class Boot:
    """The UKI in the ESP. `cmdline` is whole; digests are SHA-256 in hex.

    `kernel_sha256` are the candidates: the UKI fills the kernel up with zeros, and does not tell its length.
    """

    path: str
    cmdline: str
    kernel_version: str
    kernel_sha256: tuple[str, ...]
    initrd_sha256: str

    @property
    def claimed_digest(self) -> str | None:
        """The system digest on the command line."""
        return _parameter(self.cmdline, "digest")

    @property
    def layers(self) -> tuple[ClaimedLayer, ...]:
        """The layers on the command line, as far as they are well-formed."""
        found = ((kind, PARAMETER.fullmatch(_parameter(self.cmdline, kind) or "")) for kind in ("packages", "config"))
        return tuple(ClaimedLayer(kind, one[1], one[2], int(one[3])) for kind, one in found if one)


@dataclass(frozen=True, slots=True)
class DiskReading:
    """All that was found. `partitions` and `boot` are None where `trouble` ("partition table", "ESP") says why.

    `layers`: kind → what its bytes give. `system_digest` follows from the bytes alone. `digests`: block index → SHA-256
    of every block held.
    """

    partitions: tuple[Partition, ...] | None
    boot: Boot | None
    trouble: dict[str, str]
    claimed: tuple[ClaimedLayer, ...]
    layers: dict[str, LayerOutcome]
    system_digest: str | None
    digests: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Fallback:
    """Where partitions lie and which layers there are, from elsewhere, for what an altered disk does not tell."""

    partitions: tuple[tuple[str, int, int], ...] = ()
    layers: tuple[ClaimedLayer, ...] = ()


def read_disk(source: BlockSource, report: Report, fallback: Fallback | None = None) -> DiskReading:
    """Read a whole disk. What is altered in it becomes part of the result; InvarError when it cannot be read at all.

    `fallback` tells where the layers are when the disk's own table or boot entry can't be used. Memory: the UKI, and
    some hundred bytes for each block.
    """
    fallback = fallback or Fallback()
    trouble: dict[str, str] = {}
    pieces = _Pieces(source)
    partitions = _attempt(trouble, "partition table", lambda: read_partition_table(pieces.read))
    esp = next((one for one in partitions or () if one.kind == TYPE_ESP), None)
    boot: Boot | None = None
    if esp is not None:
        start = esp.offset
        boot = _attempt(trouble, "ESP", lambda: _boot(lambda offset, length: pieces.read(start + offset, length)))
    claimed = boot.layers if boot is not None else fallback.layers
    places = {label: offset for label, offset, _ in fallback.partitions}
    places |= {one.label: one.offset for one in partitions or ()}
    checks = {
        layer.kind: (places[f"invar-{layer.kind}"] // BLOCK, LayerCheck(layer.salt, layer.data_blocks))
        for layer in claimed
        if f"invar-{layer.kind}" in places and _fits(layer, source)
    }
    digests = pieces.forget()
    lock = threading.Lock()

    def use(index: int, data: bytes) -> None:
        value = hashlib.sha256(data).digest()
        for first, check in checks.values():
            if first <= index < first + check.pieces:
                check.feed(index - first, data)
        with lock:
            digests[index] = value

    with report.stage(f"read {source.where}") as stage:
        source.fetch(sorted(set(source.held) - digests.keys()), use, stage)
    layers = {kind: check.outcome() for kind, (_, check) in checks.items()}
    return DiskReading(partitions, boot, trouble, claimed, layers, _system_digest(boot, layers), digests)


class FileBlocks:
    """A raw image file as a block source. Holes are not read. A context manager."""

    def __init__(self, path: Path) -> None:
        self.where = path.name
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise InvarError("cannot read the image", where=str(path), why=error.strerror) from error
        self.size = os.fstat(self._descriptor).st_size
        self.held: Collection[int] = sorted(
            {
                index
                for start, end in data_extents(self._descriptor)
                for index in range(start // BLOCK, -(-end // BLOCK))
            }
        )

    def __enter__(self) -> FileBlocks:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def fetch(self, indices: Sequence[int], use: Callable[[int, bytes], None], stage: Stage | None = None) -> None:
        """As BlockSource has it."""

        def one(index: int) -> None:
            data = os.pread(self._descriptor, BLOCK, index * BLOCK)
            use(index, data.ljust(BLOCK, b"\0"))

        try:
            with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
                for done, _ in enumerate(pool.map(one, indices), 1):
                    if stage is not None:
                        stage.progress(done * BLOCK, len(indices) * BLOCK, "bytes")
        except OSError as error:
            raise InvarError("cannot read the image", where=str(self._path), why=error.strerror) from error


class _Pieces:
    """Byte ranges of a source, for what is read first; remembers the blocks until `forget`."""

    def __init__(self, source: BlockSource) -> None:
        self._source = source
        self._held = frozenset(source.held)
        self._blocks: dict[int, bytes] = {}

    def read(self, offset: int, length: int) -> bytes:
        """The bytes; zeros where the source holds nothing. Raises ValueError for more than what is sane."""
        if length > LARGEST_UKI or offset < 0 or offset + length > self._source.size:
            raise ValueError(f"bytes {offset} to {offset + length} are none of the disk's")
        wanted = range(offset // BLOCK, -(-(offset + length) // BLOCK))
        missing = [index for index in wanted if index in self._held and index not in self._blocks]
        lock = threading.Lock()

        def use(index: int, data: bytes) -> None:
            with lock:
                self._blocks[index] = data

        if missing:
            self._source.fetch(missing, use)
        data = b"".join(self._blocks.get(index, _ZEROS) for index in wanted)
        start = offset - wanted.start * BLOCK
        return data[start : start + length]

    def forget(self) -> dict[int, bytes]:
        """The SHA-256 of every block read so far; the blocks themselves are let go."""
        digests = {index: hashlib.sha256(data).digest() for index, data in self._blocks.items()}
        self._blocks.clear()
        return digests


def _attempt(trouble: dict[str, str], part: str, work: Callable[[], T]) -> T | None:
    try:
        return work()
    except (ValueError, UnicodeError) as error:
        trouble[part] = str(error)
        return None


def _boot(read: Callable[[int, int], bytes]) -> Boot:
    files = read_fat32(read)
    found = sorted(path for path in files if path.startswith(UKIS) and path.lower().endswith(".efi"))
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} boot entries in {UKIS}, not one")
    path = found[0]
    if files[path].size > LARGEST_UKI:
        raise ValueError(f"{path} has {files[path].size} bytes")
    uki = files[path].content(read)
    sections = {section.name: section for section in read_sections(uki)}
    missing = [name for name in (".cmdline", ".linux", ".initrd") if name not in sections]
    if missing:
        raise ValueError(f"{path} has no section {missing[0]}")

    def content(name: str) -> bytes:
        section = sections.get(name)
        if section is None:
            return b""
        return uki[section.offset : section.offset + min(section.memory_size, section.file_size)]

    return Boot(
        path,
        content(".cmdline").decode("ascii"),
        content(".uname").decode("ascii"),
        _kernel_digests(content(".linux")),
        hashlib.sha256(content(".initrd")).hexdigest(),
    )


def _kernel_digests(padded: bytes) -> tuple[str, ...]:
    """SHA-256 of the kernel, for each number of zeros that may have been put behind it to fill up to 512 bytes."""
    zeros = min(len(padded) - len(padded.rstrip(b"\0")), 511)
    hasher = hashlib.sha256(padded[: len(padded) - zeros])
    digests = [hasher.hexdigest()]
    for _ in range(zeros):
        hasher.update(b"\0")
        digests.append(hasher.hexdigest())
    return tuple(reversed(digests))


def _fits(layer: ClaimedLayer, source: BlockSource) -> bool:
    return layer.data_blocks * 4096 <= source.size


def _system_digest(boot: Boot | None, layers: dict[str, LayerOutcome]) -> str | None:
    """The digest that the bytes have (docs/architecture.md): the one on the command line if the bytes give it."""
    if boot is None or layers.keys() != {"packages", "config"}:
        return None
    line = re.sub(r"^invar\.digest=\S* ", "", boot.cmdline)
    found = [
        digest(
            {
                "cmdline": line,
                "config": layers["config"].root_hash,
                "initrd": boot.initrd_sha256,
                "kernel": kernel,
                "packages": layers["packages"].root_hash,
            }
        )
        for kernel in boot.kernel_sha256
    ]
    return boot.claimed_digest if boot.claimed_digest in found else found[0]


def _parameter(cmdline: str, name: str) -> str | None:
    """The value of invar.NAME on a command line."""
    values = [word.partition("=")[2] for word in cmdline.split() if word.startswith(f"invar.{name}=")]
    return values[0] if len(values) == 1 else None
