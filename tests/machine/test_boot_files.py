"""Kernel and initrd of a boot entry are told from altered ones."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from invar.machine.boot_files import found_files

KERNEL, INITRD = b"MZ kernel\0\0", b"070701 initrd" * 50
RECORDED = {name: hashlib.sha256(content).hexdigest() for name, content in (("kernel", KERNEL), ("initrd", INITRD))}


def test_what_was_recorded_is_found() -> None:
    assert found_files({".linux": KERNEL, ".initrd": INITRD, ".cmdline": b"ro"}) == RECORDED


@given(st.sampled_from([".linux", ".initrd"]), st.integers(0, 10), st.integers(1, 255))
def test_a_flipped_byte_is_another_file(section: str, at: int, flip: int) -> None:
    sections = {".linux": bytearray(KERNEL), ".initrd": bytearray(INITRD)}
    sections[section][at] ^= flip
    found = found_files({name: bytes(content) for name, content in sections.items()})
    altered = "kernel" if section == ".linux" else "initrd"
    assert {name for name in found if found[name] != RECORDED[name]} == {altered}


def test_an_entry_without_them_is_altered_too() -> None:
    found = found_files({})
    assert all(found[name] != RECORDED[name] for name in RECORDED)
