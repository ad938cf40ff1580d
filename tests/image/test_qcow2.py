"""The qcow2 writer: QEMU's own tools find the same disk, and nothing to complain about."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.image.formats.qcow2 import CLUSTER, ENTRIES, plan_tables, write_qcow2
from invar.image.sparse import used_runs

MIB = 1 << 20
GIB = 1 << 30
needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img (qemu-utils) is not installed")


def convert(scratch: Path, size: int, pieces: dict[int, bytes]) -> tuple[Path, Path]:
    raw, qcow2 = scratch / "disk.raw", scratch / "disk.qcow2"
    with raw.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
    with raw.open("rb") as source, qcow2.open("wb") as target:
        write_qcow2(source.fileno(), target.fileno())
    return raw, qcow2


def check(raw: Path, qcow2: Path) -> None:
    for argv in (["check", "-f", "qcow2", qcow2], ["compare", "-f", "raw", "-F", "qcow2", raw, qcow2]):
        run = subprocess.run(["qemu-img", *map(str, argv)], capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr


@needs_qemu_img
@settings(max_examples=15)
@given(st.dictionaries(st.integers(0, 2000), st.integers(1, 3), max_size=8))
def test_qemu_reads_the_same_disk(tmp_path_factory: pytest.TempPathFactory, runs: dict[int, int]) -> None:
    scratch = tmp_path_factory.mktemp("qcow2")
    pieces = {first * 50_000: b"invar" * 10_000 * count for first, count in runs.items()}
    check(*convert(scratch, 128 * MIB, pieces))


@needs_qemu_img
def test_a_large_disk_with_little_on_it_is_a_small_file(tmp_path: Path) -> None:
    raw, qcow2 = convert(tmp_path, 50 * GIB, {0: b"head", 20 * GIB: b"middle", 50 * GIB - 512: b"tail"})
    check(raw, qcow2)
    assert qcow2.stat().st_size < MIB


def test_zeros_that_were_written_are_left_out(tmp_path: Path) -> None:
    raw, _ = convert(tmp_path, 4 * MIB, {0: bytes(MIB), 2 * MIB: b"x", 2 * MIB + CLUSTER: b"y"})
    with raw.open("rb") as source:
        assert used_runs(source.fileno(), CLUSTER) == [(32, 2)]


@given(st.integers(1, 200_000))
def test_every_cluster_of_the_file_is_counted(data_clusters: int) -> None:
    plan = plan_tables(200 * GIB, [(5, data_clusters)])
    offset, counts = plan.tables[1]
    assert len(counts) == 2 * plan.clusters
    assert plan.data // CLUSTER + data_clusters == plan.clusters
    table_offset, table = plan.tables[0]
    assert table_offset == CLUSTER
    assert struct.unpack_from(">Q", table) == (offset,)
    assert len(table) // 8 * CLUSTER // 2 >= plan.clusters
    l2_tables = len(plan.tables) - 3
    assert l2_tables == (5 + data_clusters - 1) // ENTRIES + 1
