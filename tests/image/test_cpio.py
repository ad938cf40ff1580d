"""The cpio writer against cpio itself."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from invar.image.cpio import CpioDevice, CpioFile, CpioLink, CpioNode, write_cpio

NODES: dict[str, CpioNode] = {
    "init": CpioFile(b"#!/bin/sh\n", 0o755),
    "bin/sh": CpioLink("/usr/bin/busybox"),
    "usr/bin/busybox": CpioFile(b"x" * 4097, 0o755),
    "empty": CpioFile(b""),
}


def test_cpio_unpacks_what_was_packed(tmp_path: Path) -> None:
    program = shutil.which("cpio")
    argv = [program, "-idm"] if program else [shutil.which("busybox") or "", "cpio", "-idm"]
    if not argv[0]:
        pytest.skip("neither cpio nor busybox is installed")
    subprocess.run(argv, input=write_cpio(NODES, ("proc",)), cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((tmp_path / "init").stat().st_mode) == 0o755
    assert os.readlink(tmp_path / "bin/sh") == "/usr/bin/busybox"  # noqa: PTH115
    assert (tmp_path / "usr/bin/busybox").stat().st_size == 4097
    assert (tmp_path / "empty").stat().st_size == 0
    assert (tmp_path / "proc").is_dir()


def test_directories_come_before_what_is_in_them() -> None:
    archive = write_cpio({"a/b/c": CpioFile(b""), "dev/console": CpioDevice(5, 1)})
    order = [archive.index(name) for name in (b"a\0", b"a/b\0", b"a/b/c\0", b"dev\0", b"dev/console\0", b"TRAILER!!!")]
    assert order == sorted(order)


def test_the_order_of_the_arguments_does_not_matter() -> None:
    assert write_cpio(dict(reversed(NODES.items()))) == write_cpio(NODES)
