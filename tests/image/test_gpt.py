"""The partition table is one that sfdisk and the kernel agree with."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.image.gpt import TYPE_ESP, TYPE_LINUX, Partition, guid, partition_table, read_partition_table

MIB = 1 << 20
DISK = 64 * MIB


def partition(label: str, offset: int, size: int) -> Partition:
    return Partition(label, TYPE_LINUX, guid(label), offset, size)


def test_sfdisk_reads_both_copies(tmp_path: Path) -> None:
    if shutil.which("sfdisk") is None:
        pytest.skip("sfdisk (fdisk) is not installed")
    esp = Partition("ESP", TYPE_ESP, guid("ESP"), MIB, 2 * MIB)
    var = partition("invar-var", 3 * MIB, 60 * MIB)
    table = partition_table([esp, var], disk_guid=guid("disk"), disk_bytes=DISK)
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(DISK)
        file.write(table.head)
        file.seek(table.tail_offset)
        file.write(table.tail)
        assert file.tell() == DISK
    checked = subprocess.run(["sfdisk", "--verify", str(disk)], capture_output=True, text=True)
    assert "No errors detected" in checked.stdout, checked.stdout + checked.stderr
    found = json.loads(subprocess.run(["sfdisk", "--json", str(disk)], check=True, capture_output=True).stdout)
    found = found["partitiontable"]
    assert uuid.UUID(found["id"]) == guid("disk")
    assert [(p["name"], p["start"] * 512, p["size"] * 512) for p in found["partitions"]] == [
        ("ESP", MIB, 2 * MIB),
        ("invar-var", 3 * MIB, 60 * MIB),
    ]
    assert [uuid.UUID(p["type"]) for p in found["partitions"]] == [TYPE_ESP, TYPE_LINUX]
    with disk.open("r+b") as file:
        file.seek(512)
        file.write(bytes(512))
    mended = subprocess.run(["sfdisk", "--list", str(disk)], capture_output=True, text=True)
    assert "invar-var" in mended.stdout or "Linux filesystem" in mended.stdout


@pytest.mark.parametrize(
    ("partitions", "problem"),
    [
        ([partition("a", MIB, 2 * MIB), partition("b", 2 * MIB, MIB)], "overlaps"),
        ([partition("a", 0, MIB)], "overlaps"),
        ([partition("a", 63 * MIB, MIB)], "last usable"),
        ([partition("a", MIB, 100)], "whole sectors"),
        ([partition("x" * 37, MIB, MIB)], "longer than 36"),
    ],
)
def test_impossible_places_are_refused(partitions: list[Partition], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        partition_table(partitions, disk_guid=guid("disk"), disk_bytes=DISK)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_guids_are_rfc_9562s_version_8(parts: list[str]) -> None:
    value = guid(*parts)
    assert value.variant == uuid.RFC_4122
    assert value.version == 8
    assert value == guid(*parts)


def made() -> bytearray:
    esp = Partition("ESP", TYPE_ESP, guid("ESP"), MIB, 2 * MIB)
    table = partition_table([esp, partition("invar-var", 3 * MIB, 60 * MIB)], disk_guid=guid("disk"), disk_bytes=DISK)
    disk = bytearray(DISK)
    disk[: len(table.head)] = table.head
    disk[table.tail_offset :] = table.tail
    return disk


def test_what_was_written_is_read() -> None:
    disk = made()
    found = read_partition_table(lambda offset, length: bytes(disk[offset : offset + length]))
    assert [(one.label, one.kind, one.offset, one.size) for one in found] == [
        ("ESP", TYPE_ESP, MIB, 2 * MIB),
        ("invar-var", TYPE_LINUX, 3 * MIB, 60 * MIB),
    ]
    assert [one.guid for one in found] == [guid("ESP"), guid("invar-var")]


@pytest.mark.parametrize(
    "at", [510, 512, 512 + 24, 512 + 56, 1024, 1024 + 60, DISK - 512, DISK - 512 + 40, DISK - 16896]
)
def test_every_altered_byte_of_a_table_is_noticed(at: int) -> None:
    disk = made()
    disk[at] ^= 1
    with pytest.raises(ValueError, match=r"partition table|MBR"):
        read_partition_table(lambda offset, length: bytes(disk[offset : offset + length]))
