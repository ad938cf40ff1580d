"""The FAT32 writer: fsck.fat is content, and the kernel (or mtools) reads back what went in."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.image.esp import ESP_BYTES, Generation, esp_extents
from invar.image.fat import format_fat32

needs_fsck = pytest.mark.skipif(shutil.which("fsck.fat") is None, reason="fsck.fat (dosfstools) is not installed")
needs_mtools = pytest.mark.skipif(shutil.which("mcopy") is None, reason="mtools is not installed")

characters = st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_characters='"*/:<>?\\|.~\x7f')
stems = st.text(characters, min_size=1, max_size=30)
names = st.builds(lambda stem, suffix: stem + suffix, stems, st.sampled_from(["", ".efi", ".conf", ".a.b", ".EFI"]))
paths = st.builds("/".join, st.lists(names, min_size=1, max_size=3))
file_sets = st.dictionaries(
    paths,
    st.sampled_from([0, 1, 4095, 4096, 4097, 50_000]).map(lambda size: b"invar " * (size // 6 + 1)),
    max_size=12,
)


def write(path: Path, files: dict[str, bytes]) -> None:
    with path.open("wb") as image:
        image.truncate(ESP_BYTES)
        end = 0
        for offset, data in format_fat32(files, size=ESP_BYTES, volume_id=0x12345678, label="ESP"):
            assert offset >= end
            image.seek(offset)
            image.write(data)
            end = offset + len(data)


def fsck(path: Path) -> None:
    run = subprocess.run(["fsck.fat", "-n", "-v", str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def read_back(path: Path, scratch: Path) -> dict[str, bytes]:
    environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"}
    subprocess.run(["mcopy", "-s", "-n", "-i", str(path), "::*", str(scratch)], check=True, env=environment)
    return {str(file.relative_to(scratch)): file.read_bytes() for file in scratch.rglob("*") if file.is_file()}


@needs_fsck
@needs_mtools
def test_files_come_back_with_their_long_names(tmp_path: Path) -> None:
    files = {
        "EFI/BOOT/BOOTX64.EFI": b"loader" * 20_000,
        "EFI/Linux/invar-000001.efi": bytes(range(256)) * 4096,
        "EFI/Linux/invar-000002.efi": b"second",
        "EFI/Linux/invar-000003+3.efi": b"",
        "loader/loader.conf": b"timeout 0\n",
        **{f"many/file number {index}.configuration": b"%d" % index for index in range(300)},
    }
    image = tmp_path / "esp"
    write(image, files)
    fsck(image)
    (tmp_path / "out").mkdir()
    assert read_back(image, tmp_path / "out") == files


@needs_fsck
@settings(max_examples=25)
@given(file_sets)
def test_fsck_finds_nothing_whatever_the_names(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    image = tmp_path_factory.mktemp("fat") / "esp"
    try:
        write(image, files)
    except ValueError as error:
        assert "twice" in str(error)
        return
    fsck(image)
    image.unlink()


def test_names_that_differ_only_in_case_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        list(format_fat32({"a/B": b"", "A/b": b""}, size=ESP_BYTES, volume_id=1, label="ESP"))


def test_too_much_content_is_refused() -> None:
    with pytest.raises(ValueError, match="the files take"):
        list(format_fat32({"big": bytes(300 << 20)}, size=260 << 20, volume_id=1, label="ESP"))


def test_a_size_for_fat16_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 65525"):
        list(format_fat32({}, size=100 << 20, volume_id=1, label="ESP"))


@needs_fsck
def test_the_esp_is_mostly_zero_and_clean(tmp_path: Path) -> None:
    extents = list(esp_extents("amd64", b"boot loader", Generation(1, b"uki" * 1_000_000), volume_id=7))
    assert sum(len(data) for _, data in extents) < 3_000_000 + (1 << 20)
    image = tmp_path / "esp"
    with image.open("wb") as file:
        file.truncate(ESP_BYTES)
        for offset, data in extents:
            file.seek(offset)
            file.write(data)
    fsck(image)
