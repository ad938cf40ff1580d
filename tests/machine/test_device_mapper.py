"""The device mapper's answers, laid out as linux/dm-ioctl.h has them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.machine.device_mapper import Target, status, targets_of, verity_of

ROOT = "ab" * 32
TABLE = f"1 259:2 259:2 4096 4096 61440 61440 sha256 {ROOT} {'cd' * 32}"


def spec(start: int, length: int, following: int, kind: bytes, text: bytes) -> bytes:
    packed = struct.pack("<QQiI16s", start, length, 0, following, kind) + text + b"\0"
    return packed + b"\0" * (-len(packed) % 8)


def test_targets_follow_one_another_by_their_offsets() -> None:
    first = spec(0, 8, 0, b"linear", b"8:1 0")
    first = spec(0, 8, len(first), b"linear", b"8:1 0")
    second = spec(8, 16, 0, b"verity", b"V")
    second = spec(8, 16, len(first) + len(second), b"verity", b"V")
    assert targets_of(b"\0" * 312 + first + second, 312, 2) == (
        Target(0, 8, "linear", "8:1 0"),
        Target(8, 16, "verity", "V"),
    )


@pytest.mark.parametrize(
    ("table", "state", "seen"),
    [
        (TABLE, "V", (ROOT, "verified")),
        (TABLE, "C", (ROOT, "corrupted")),
        (TABLE, "V extra", (ROOT, "verified")),
        (TABLE, "", (ROOT, "corrupted")),
    ],
)
def test_verity_says_which_root_and_whether_blocks_matched(table: str, state: str, seen: tuple[str, str]) -> None:
    assert verity_of((Target(0, 8, "verity", table),), (Target(0, 8, "verity", state),)) == seen


def test_another_kind_of_device_proves_nothing() -> None:
    linear = (Target(0, 8, "linear", "8:1 0"),)
    assert verity_of(linear, linear) == ("", "missing")
    assert verity_of((), ()) == ("", "missing")


@pytest.mark.skipif(Path("/dev/mapper/control").exists(), reason="this computer has a device mapper")
def test_without_a_device_mapper_there_is_an_error() -> None:
    with pytest.raises(InvarError, match="invar-packages"):
        status("invar-packages")
