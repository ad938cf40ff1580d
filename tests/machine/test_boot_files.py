"""Kernel and initrd of a boot entry are told from altered ones, however many zeros fill up their sections."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.machine.boot_files import found_files
from invar.machine.generations import Generation, LayerRecord

KERNEL, INITRD = b"MZ kernel\0\0", b"070701 initrd" * 50
RECORDED = {name: hashlib.sha256(content).hexdigest() for name, content in (("kernel", KERNEL), ("initrd", INITRD))}
LAYERS = LayerRecord("packages", "p", "s", 1, 1), LayerRecord("config", "c", "s", 1, 1)
BOOTED = Generation(1, "d", "s", *LAYERS, "", "6.12", *RECORDED.values(), 0, "image", "good", True)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


@pytest.mark.parametrize("fill", [padded, bytes])
def test_what_was_recorded_is_found(fill: type[bytes]) -> None:
    assert found_files({".linux": fill(KERNEL), ".initrd": fill(INITRD)}, BOOTED) == RECORDED


@given(st.sampled_from([".linux", ".initrd"]), st.integers(0, 511), st.integers(1, 255))
def test_a_flipped_byte_is_another_file(section: str, at: int, flip: int) -> None:
    sections = {".linux": bytearray(padded(KERNEL)), ".initrd": bytearray(padded(INITRD))}
    sections[section][at] ^= flip
    found = found_files({name: bytes(content) for name, content in sections.items()}, BOOTED)
    altered = "kernel" if section == ".linux" else "initrd"
    assert {name for name in found if found[name] != RECORDED[name]} == {altered}


def test_an_entry_without_them_is_altered_too() -> None:
    found = found_files({}, BOOTED)
    assert all(found[name] != RECORDED[name] for name in RECORDED)
