"""EC2's names of NVMe volumes, out of what a controller says of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.machine import nvme_volume
from invar.machine.nvme_volume import EBS, IDENTIFY_BYTES, INSTANCE_STORE, names_of


def identify(model: str, name: bytes) -> bytes:
    data = bytearray(IDENTIFY_BYTES)
    data[24:64] = model.encode().ljust(40)
    data[3072 : 3072 + len(name)] = name
    return bytes(data)


@pytest.mark.parametrize(
    ("model", "said", "names"),
    [
        (EBS, b"/dev/sdf".ljust(32), ("sdf",)),
        (EBS, b"xvdba\0\0\0", ("xvdba",)),
        (EBS, b"sda1".ljust(32), ("sda1",)),
        (INSTANCE_STORE, b"ephemeral0:sdb".ljust(32), ("ephemeral0", "sdb")),
        (INSTANCE_STORE, b"ephemeral1:none".ljust(32), ("ephemeral1",)),
        (INSTANCE_STORE, b"", ()),
        ("QEMU NVMe Ctrl", b"/dev/sdf", ()),
        (EBS, b"/dev/../../etc/passwd", ()),
        (EBS, b"/dev/sd f", ()),
        (EBS, b"\xff\xfe", ()),
    ],
)
def test_names(model: str, said: bytes, names: tuple[str, ...]) -> None:
    assert names_of(identify(model, said)) == names


@given(st.binary(max_size=32))
def test_whatever_a_device_says_no_name_leaves_dev(said: bytes) -> None:
    assert all(name.isalnum() for name in names_of(identify(EBS, said)))


def test_a_short_answer_has_no_name() -> None:
    assert names_of(identify(EBS, b"sdf")[:-1]) == ()


def test_what_is_no_nvme_device_is_told_by_status_and_no_trace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for argument, code in ((str(tmp_path / "file"), 1), (str(tmp_path / "none"), 1), (None, 2)):
        command = [sys.executable, "-IBS", str(nvme_volume.__file__), *([argument] if argument else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (code, "")
        assert "Traceback" not in done.stderr and done.stderr
