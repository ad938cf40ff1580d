"""UKIs: sections where a PE loader finds them, checked with our reader and binutils' objdump."""

from __future__ import annotations

import itertools
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from invar.image.uki import add_sections, build_uki, file_length, image_size, read_sections, replace_sections
from invar.machine.boot_entries import sections
from small_disk import pe_program


def contents(program: bytes) -> dict[str, bytes]:
    return {
        section.name: program[section.offset : section.offset + min(section.memory_size, section.file_size)]
        for section in read_sections(program)
    }


def make(stub: bytes) -> bytes:
    return build_uki(
        stub,
        kernel=pe_program(b"kernel" * 1000, memory=0x90000),
        kernel_version="6.12.1",
        initrd=b"initrd" * 999,
        cmdline="invar.digest=00 console=ttyS0",
        os_release="ID=invar\n",
    )


def test_every_part_is_a_section() -> None:
    stub = pe_program()
    uki = make(stub)
    found = contents(uki)
    assert list(found) == [".text", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"]
    assert found[".cmdline"] == b"invar.digest=00 console=ttyS0"
    assert found[".initrd"] == b"initrd" * 999
    assert found[".uname"] == b"6.12.1"
    assert found[".text"] == contents(stub)[".text"]


def test_a_signed_kernel_of_any_length_is_read_back_as_it_was(tmp_path: Path) -> None:
    kernel = bytearray(pe_program(b"kernel" * 1000, memory=0x90000))
    signature = b"signature" * 9
    struct.pack_into("<II", kernel, 0x40 + 24 + 112 + 4 * 8, len(kernel), len(signature))
    kernel += signature
    assert len(kernel) % 512 and file_length(bytes(kernel) + bytes(300)) == len(kernel)
    uki = tmp_path / "invar.efi"
    uki.write_bytes(
        build_uki(pe_program(), kernel=bytes(kernel), kernel_version="6", initrd=b"i", cmdline="c", os_release="o")
    )
    assert sections(uki)[".linux"] == kernel
    uki.write_bytes(
        build_uki(pe_program(), kernel=b"no PE program", kernel_version="6", initrd=b"i", cmdline="c", os_release="o")
    )
    assert sections(uki)[".linux"] == b"no PE program"


def test_sections_are_aligned_and_do_not_overlap() -> None:
    uki = make(pe_program())
    sections = read_sections(uki)
    for one, next_one in itertools.pairwise(sections):
        assert one.address % 4096 == 0
        assert one.offset % 512 == 0
        assert one.address + one.memory_size <= next_one.address
        assert one.offset + one.file_size <= next_one.offset
    last = sections[-1]
    assert last.offset + last.file_size == len(uki)
    assert image_size(uki) >= last.address + last.memory_size


def test_the_kernel_gets_the_memory_that_it_asks_for() -> None:
    linux = read_sections(make(pe_program()))[-1]
    assert linux.name == ".linux"
    assert linux.memory_size == 0x90000


def test_objdump_sees_the_same_sections(tmp_path: Path) -> None:
    if shutil.which("objdump") is None:
        pytest.skip("objdump (binutils) is not installed")
    file = tmp_path / "uki.efi"
    file.write_bytes(make(pe_program()))
    run = subprocess.run(["objdump", "-h", str(file)], capture_output=True, text=True, check=True)
    seen = re.findall(r"^\s+\d+ (\S+)\s+[0-9a-f]+\s+[0-9a-f]+\s+[0-9a-f]+\s+([0-9a-f]+)", run.stdout, re.MULTILINE)
    assert seen == [(section.name, f"{section.offset:08x}") for section in read_sections(file.read_bytes())]


def test_a_stub_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="room for"):
        add_sections(pe_program(header_room=0x200), [(f".s{n}", b"x") for n in range(9)])


@pytest.mark.parametrize("program", [b"", b"MZ", b"\x7fELF" + bytes(200), b"MZ" + bytes(300)])
def test_what_is_no_program_is_refused(program: bytes) -> None:
    with pytest.raises(ValueError, match="not a PE32"):
        read_sections(program)


def test_a_section_is_exchanged_as_if_it_had_been_built_so() -> None:
    stub = pe_program()
    uki = make(stub)
    assert replace_sections(uki, {}) == uki
    changes = {".cmdline": b"another one, and a longer one at that" * 40, ".osrel": b"ID=other\n"}
    changed = replace_sections(uki, changes)
    assert contents(changed) == {**contents(uki), **changes}
    assert replace_sections(changed, {name: contents(uki)[name] for name in changes}) == uki


def test_what_is_no_uki_is_refused() -> None:
    with pytest.raises(ValueError, match="not a unified kernel image"):
        replace_sections(pe_program(), {".cmdline": b""})
