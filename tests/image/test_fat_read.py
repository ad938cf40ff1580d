"""The FAT32 reader reads what the writer writes, and refuses what contradicts itself."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.image.fat import format_fat32
from invar.image.fat_read import read_fat32

SIZE = 300 << 20
FILES = {
    "EFI/BOOT/BOOTX64.EFI": b"loader" * 5000,
    "EFI/Linux/invar-000001.efi": random.Random(1).randbytes(99_999),
    "loader/loader.conf": b"timeout 0\n",
    "a name with blanks and ünïcode.txt": b"",
}


class Sparse:
    """Bytes with holes."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.extents = [
            (offset, bytearray(data)) for offset, data in format_fat32(files, size=SIZE, volume_id=1, label="ESP")
        ]

    def read(self, offset: int, length: int) -> bytes:
        found = bytearray(length)
        for start, data in self.extents:
            first, end = max(start, offset), min(start + len(data), offset + length)
            if first < end:
                found[first - offset : end - offset] = data[first - start : end - start]
        return bytes(found)


def test_what_was_written_is_read() -> None:
    disk = Sparse(FILES)
    found = read_fat32(disk.read)
    assert {path: file.content(disk.read) for path, file in found.items()} == FILES


def test_a_file_system_of_mkfs_is_read(tmp_path: Path) -> None:
    if shutil.which("mkfs.vfat") is None or shutil.which("mcopy") is None:
        pytest.skip("mkfs.vfat (dosfstools) or mcopy (mtools) is not installed")
    disk = tmp_path / "disk"
    subprocess.run(["mkfs.vfat", "-F", "32", "-s", "1", "-C", str(disk), "102400"], check=True, capture_output=True)
    content = tmp_path / "A long Name.efi"
    content.write_bytes(random.Random(2).randbytes(700_001))
    subprocess.run(["mmd", "-i", str(disk), "::/EFI"], check=True)
    subprocess.run(["mcopy", "-i", str(disk), str(content), "::/EFI/A long Name.efi"], check=True)
    with disk.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        found = read_fat32(read)
        assert found["EFI/A long Name.efi"].content(read) == content.read_bytes()


@settings(max_examples=150)
@given(st.data())
def test_altered_bytes_give_an_error_or_other_files_but_nothing_else(data: st.DataObject) -> None:
    disk = Sparse({**FILES, "many": random.Random(3).randbytes(40_000)})
    _, target = data.draw(st.sampled_from(disk.extents))
    for _ in range(data.draw(st.integers(1, 4))):
        target[data.draw(st.integers(0, len(target) - 1))] = data.draw(st.integers(0, 255))
    try:
        for file in read_fat32(disk.read).values():
            assert len(file.content(disk.read)) == file.size
    except ValueError as error:
        assert str(error)


def test_a_directory_that_contains_itself_is_refused() -> None:
    disk = Sparse({"a/b": b"x"})
    _, root = disk.extents[4]
    entry = next(at for at in range(0, len(root), 32) if root[at + 11] == 0x10)
    root[entry + 26 : entry + 28] = b"\x02\x00"
    with pytest.raises(ValueError, match="contains itself"):
        read_fat32(disk.read)


def test_what_is_no_file_system_is_refused() -> None:
    with pytest.raises(ValueError, match="no FAT32"):
        read_fat32(lambda offset, length: bytes(length))
