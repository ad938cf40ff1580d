"""The writers of disk formats: their own standard readers find the same disk in them, and nothing to complain about."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.image.formats.gce import sparse_header, write_sparse_tar
from invar.image.formats.vhd import chs, footer
from invar.image.formats.vhdx import CHUNK_RATIO, write_vhdx
from invar.image.formats.vmdk import GRAIN, write_vmdk
from invar.image.sparse import copy_into

MIB = 1 << 20
GIB = 1 << 30
EPOCH = 1_750_000_000
IDENTITY = uuid.UUID("0123456789abcdef0123456789abcdef")

Pieces = dict[int, bytes]

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img (qemu-utils) is not installed")
needs_tar = pytest.mark.skipif(shutil.which("tar") is None, reason="GNU tar is not installed")


def make_raw(path: Path, size: int, pieces: Pieces) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data[: size - offset])
    return path


def to_vhdx(raw: Path, target: Path) -> None:
    with raw.open("rb") as source, target.open("w+b") as file:
        write_vhdx(source.fileno(), file.fileno(), IDENTITY)


def to_vmdk(raw: Path, target: Path) -> None:
    with raw.open("rb") as source, target.open("wb") as file:
        write_vmdk(source.fileno(), file, target.name, 0x1234)


def to_vpc(raw: Path, target: Path) -> None:
    size = raw.stat().st_size
    with target.open("w+b") as file:
        copy_into(file.fileno(), 0, raw)
        file.seek(size)
        file.write(footer(size, IDENTITY, EPOCH))


WRITERS: dict[str, Callable[[Path, Path], None]] = {"vhdx": to_vhdx, "vmdk": to_vmdk, "vpc": to_vpc}
every_writer = pytest.mark.parametrize("name", sorted(WRITERS))


def qemu_img(*argv: str | Path) -> str:
    run = subprocess.run(["qemu-img", *map(str, argv)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def check(name: str, raw: Path) -> Path:
    """Convert, and let QEMU compare; the format's own consistency check where QEMU has one."""
    made = raw.with_suffix(f".{name}")
    WRITERS[name](raw, made)
    qemu_img("compare", "-f", "raw", "-F", name, raw, made)
    if name != "vpc":
        qemu_img("check", "-f", name, made)
    return made


@needs_qemu_img
@every_writer
@settings(max_examples=8)
@given(runs=st.dictionaries(st.integers(0, 2000), st.integers(1, 30), max_size=8))
def test_qemu_reads_the_same_disk(tmp_path_factory: pytest.TempPathFactory, name: str, runs: dict[int, int]) -> None:
    pieces = {first * 50_000: b"invar" * 10_000 * count for first, count in sorted(runs.items())}
    check(name, make_raw(tmp_path_factory.mktemp(name) / "disk.raw", 128 * MIB, pieces))


@needs_qemu_img
@every_writer
def test_a_large_disk_with_little_on_it_takes_little_room(tmp_path: Path, name: str) -> None:
    pieces = {0: b"head", 3 * GIB: b"middle", 6 * GIB - 512: b"tail"}
    made = check(name, make_raw(tmp_path / "disk.raw", 6 * GIB, pieces))
    assert made.stat().st_blocks * 512 < 8 * MIB


@every_writer
def test_equal_disks_give_equal_files(tmp_path: Path, name: str) -> None:
    made = []
    for number in range(2):
        raw = make_raw(tmp_path / f"{number}.raw", 64 * MIB, {5 * MIB: b"x" * MIB * number or b"x" * MIB, 0: b"y"})
        target = tmp_path / str(number) / "disk"
        target.parent.mkdir()
        WRITERS[name](raw, target)
        made.append(target.read_bytes())
    assert made[0] == made[1]


@needs_qemu_img
def test_vhdx_blocks_beyond_the_first_chunk_are_found(tmp_path: Path) -> None:
    beyond = (CHUNK_RATIO + 3) * MIB
    made = check("vhdx", make_raw(tmp_path / "disk.raw", 2 * beyond, {beyond - 3 * MIB: b"a", beyond: b"b"}))
    assert made.stat().st_size < 8 * MIB


@needs_qemu_img
def test_an_altered_vhdx_is_refused_by_its_reader(tmp_path: Path) -> None:
    made = check("vhdx", make_raw(tmp_path / "disk.raw", 4 * MIB, {0: b"x"}))
    with made.open("r+b") as file:
        for table in (192 << 10, 256 << 10):
            file.seek(table + 40)
            file.write(b"\xff")
    assert subprocess.run(["qemu-img", "check", "-f", "vhdx", str(made)], capture_output=True).returncode != 0


@needs_qemu_img
def test_an_altered_grain_is_refused_by_its_reader(tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "disk.raw", 4 * MIB, {0: b"x" * GRAIN})
    made = check("vmdk", raw)
    with made.open("r+b") as file:
        file.seek(128 * 512 + 12 + 2 + 5 + 1000)
        file.write(b"y")
    argv = ["qemu-img", "compare", "-f", "raw", "-F", "vmdk", str(raw), str(made)]
    assert subprocess.run(argv, capture_output=True).returncode != 0


def test_a_vmdk_is_a_stream_of_markers_from_front_to_back(tmp_path: Path) -> None:
    """Read as an importer does that cannot seek: it meets every grain, in order, and then the tables."""
    written = {0: b"a" * GRAIN, 40 * MIB: b"b" * GRAIN, 41 * MIB: b"c" * GRAIN}
    made = tmp_path / "disk.vmdk"
    to_vmdk(make_raw(tmp_path / "disk.raw", 64 * MIB, written), made)
    data = made.read_bytes()
    assert b'createType="streamOptimized"' in data[512 : 21 * 512]
    at, met = 128 * 512, []
    while at < len(data):
        value, size, kind = struct.unpack_from("<QII", data, at)
        if size:
            met.append(("grain", value * 512))
            at += -(-(12 + size) // 512) * 512
        else:
            met.append((("end", "table", "directory", "footer")[kind], None))
            at += 512 * (1 + value)
    assert met == [
        ("grain", 0),
        ("table", None),
        ("grain", 40 * MIB),
        ("grain", 41 * MIB),
        ("table", None),
        ("directory", None),
        ("footer", None),
        ("end", None),
    ]


@given(st.integers(4096, 65535 * 16 * 255))
def test_vhd_geometry_never_exceeds_the_disk(sectors: int) -> None:
    cylinders, heads, track = chs(sectors)
    assert 0 < cylinders * heads * track <= sectors
    assert heads <= 16 and track <= 255 and cylinders <= 65535


def test_a_vhd_footer_sums_up() -> None:
    made = footer(10 * GIB, IDENTITY, EPOCH)
    (checksum,) = struct.unpack_from(">I", made, 64)
    assert len(made) == 512
    assert checksum == ~(sum(made) - sum(made[64:68])) & 0xFFFFFFFF


def sparse_tar(raw: Path) -> bytes:
    stream = io.BytesIO()
    with raw.open("rb") as source:
        write_sparse_tar(source.fileno(), stream, EPOCH)
    return stream.getvalue()


def scattered(count: int) -> Pieces:
    """More pieces than a header has room for, and more than its first extension."""
    return {number * MIB: bytes([number + 1]) * 1000 for number in range(count)}


@pytest.mark.parametrize("count", [0, 1, 4, 5, 26, 60])
def test_python_reads_the_sparse_member(tmp_path: Path, count: int) -> None:
    raw = make_raw(tmp_path / "disk.raw", 64 * MIB, scattered(count))
    with tarfile.open(fileobj=io.BytesIO(sparse_tar(raw))) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.size, member.mtime, member.sparse is not None) == (
            "disk.raw",
            64 * MIB,
            EPOCH,
            True,
        )
        file = archive.extractfile(member)
        assert file is not None
        assert file.read() == raw.read_bytes()


@needs_tar
def test_gnu_tar_extracts_the_same_sparse_disk(tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "made.raw", 12 * GIB, {**scattered(30), 12 * GIB - 1000: b"end"})
    archive = tmp_path / "disk.tar"
    archive.write_bytes(sparse_tar(raw))
    subprocess.run(["tar", "-xSf", str(archive), "-C", str(tmp_path)], check=True)
    extracted = tmp_path / "disk.raw"
    assert extracted.stat().st_size == 12 * GIB
    assert extracted.stat().st_blocks * 512 < 8 * MIB
    again = io.BytesIO()
    with extracted.open("rb") as source:
        write_sparse_tar(source.fileno(), again, EPOCH)
    assert again.getvalue() == archive.read_bytes()


def test_a_disk_beyond_eight_gib_has_its_size_in_base_256() -> None:
    header = sparse_header("disk.raw", 20 * GIB, [(0, 65536)], EPOCH)
    assert tarfile.TarInfo.frombuf(header, "ascii", "strict").size == 65536
    assert header[483:495] == (1 << 95 | 20 * GIB).to_bytes(12, "big")
