"""Disk images of others, made by qemu-img, into raw ones."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.image.disk_reader import kind_of, write_raw

SIZE = 24 << 20
PIECES = {0: 5000, 3 << 20: 70000, (9 << 20) + 512: 1 << 20, SIZE - 4096: 4096}

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img (qemu-utils) is not installed")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sparse raw disk, half of its data compressible."""
    path = tmp_path_factory.mktemp("disk") / "disk.raw"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for number, (offset, length) in enumerate(PIECES.items()):
            file.seek(offset)
            file.write(random.Random(number).randbytes(length) if number % 2 else b"invar" * (length // 5))
    return path


@needs_qemu_img
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["-O", "qcow2"], "qcow2"),
        (["-O", "qcow2", "-c"], "qcow2"),
        (["-O", "qcow2", "-o", "compat=0.10,cluster_size=4096"], "qcow2"),
        (["-O", "vpc", "-o", "subformat=fixed,force_size=on"], "vhd-fixed"),
        (["-O", "vpc", "-o", "subformat=dynamic,force_size=on"], "vhd-dynamic"),
        (["-O", "raw"], "raw"),
    ],
    ids=["qcow2", "compressed", "qcow2-v2", "fixed", "dynamic", "raw"],
)
def test_the_disk_comes_back_with_its_holes(options: list[str], kind: str, disk: Path, tmp_path: Path) -> None:
    image, raw = tmp_path / "image", tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-f", "raw", *options, str(disk), str(image)], check=True)
    assert kind_of(image) == kind
    write_raw(image, raw)
    assert raw.read_bytes() == disk.read_bytes()
    assert raw.stat().st_blocks * 512 < SIZE // 3


@needs_qemu_img
def test_an_image_that_is_not_whole_is_refused(disk: Path, tmp_path: Path) -> None:
    base, overlay = tmp_path / "base.qcow2", tmp_path / "overlay.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(disk), str(base)], check=True)
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(overlay)]
    subprocess.run(create, check=True)
    with pytest.raises(InvarError, match="no image by itself"):
        write_raw(overlay, tmp_path / "raw")
    with base.open("r+b") as file:
        file.truncate(100)
    with pytest.raises(InvarError, match="damaged qcow2"):
        write_raw(base, tmp_path / "other")
