"""A Unified Kernel Image: systemd-stub with the kernel, initrd and command line as further PE sections.

Follows the UAPI group's "Unified Kernel Image" specification and Microsoft's PE format; nothing in it depends on time.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

SECTION = struct.Struct("<8sIIIIIIHHI")
COFF = struct.Struct("<4sHHIIIHH")
PE_OFFSET_AT = 0x3C
PE32_PLUS = 0x20B
OPTIONAL_HEADER_AT = COFF.size

# Offsets within the optional header.
AT_INITIALIZED_DATA_SIZE = 8
AT_SECTION_ALIGNMENT = 32
AT_IMAGE_SIZE = 56
AT_CHECKSUM = 64
AT_DIRECTORY_COUNT = 108
AT_DIRECTORIES = 112
CERTIFICATES = 4
"""Index of the data directory that tells where the signatures are."""

SCN_CNT_CODE = 0x00000020
SCN_CNT_INITIALIZED_DATA = 0x00000040
SCN_MEM_EXECUTE = 0x20000000
SCN_MEM_READ = 0x40000000
UKI_SECTIONS = (".osrel", ".cmdline", ".uname", ".initrd", ".linux")

DATA = SCN_CNT_INITIALIZED_DATA | SCN_MEM_READ
CODE = SCN_CNT_CODE | SCN_MEM_EXECUTE | SCN_MEM_READ


@dataclass(frozen=True, slots=True)
class Section:
    """One section of a PE file, as its header tells: where in memory, where in the file, in bytes."""

    name: str
    address: int
    memory_size: int
    offset: int
    file_size: int


def build_uki(
    stub: bytes, *, kernel: bytes, kernel_version: str, initrd: bytes, cmdline: str, os_release: str
) -> bytes:
    """The EFI program. `stub` is systemd's linux*.efi.stub. Raises ValueError if it is no PE32+ file with room."""
    sections = [
        (".osrel", os_release.encode()),
        (".cmdline", cmdline.encode()),
        (".uname", kernel_version.encode()),
        (".initrd", initrd),
        (".linux", kernel),
    ]
    return add_sections(stub, sections)


def replace_sections(uki: bytes, changes: Mapping[str, bytes]) -> bytes:
    """A UKI with some of its sections' contents exchanged, all others as they are.

    Byte for byte what `build_uki` makes of the same stub and the new contents. Raises ValueError when it is no UKI, or
    has no such section.
    """
    present = read_sections(uki)
    added = [section for section in present if section.name in UKI_SECTIONS]
    missing = sorted(set(changes) - {section.name for section in added})
    if missing or present[len(present) - len(added) :] != added:
        raise ValueError(f"not a unified kernel image, or one without {', '.join(missing)}")
    contents = [
        (section.name, uki[section.offset : section.offset + min(section.memory_size, section.file_size)])
        for section in added
    ]
    return add_sections(_without(uki, added), [(name, changes.get(name, content)) for name, content in contents])


def _without(uki: bytes, added: list[Section]) -> bytes:
    """The stub again: what `add_sections` put behind it is gone from file and headers."""
    pe, optional = _headers(uki)
    head = bytearray(uki[: added[0].offset])
    (count,) = struct.unpack_from("<H", head, pe + 6)
    struct.pack_into("<H", head, pe + 6, count - len(added))
    table_end = _section_table(uki) + count * SECTION.size
    emptied = len(added) * SECTION.size
    head[table_end - emptied : table_end] = bytes(emptied)
    (initialized,) = struct.unpack_from("<I", head, optional + AT_INITIALIZED_DATA_SIZE)
    on_disk = sum(section.file_size for section in added)
    struct.pack_into("<I", head, optional + AT_INITIALIZED_DATA_SIZE, initialized - on_disk)
    return bytes(head)


def generation_os_release(number: int, system_digest: str) -> str:
    """The .osrel section of a generation: what the boot menu shows, and the version that it sorts by, newest first."""
    version = system_digest[:12]
    return (
        f"ID=invar\nNAME=Invar\nIMAGE_VERSION={number}\nVERSION_ID={version}\n"
        f'PRETTY_NAME="Invar, generation {number} ({version})"\n'
    )


def add_sections(program: bytes, sections: list[tuple[str, bytes]]) -> bytes:
    """The PE program with sections appended; the kernel's gets as much memory as its own header asks for."""
    present = read_sections(program)
    pe, optional = _headers(program)
    section_alignment, file_alignment = struct.unpack_from("<II", program, optional + AT_SECTION_ALIGNMENT)
    table_end = _section_table(program) + len(present) * SECTION.size
    room = min(section.offset for section in present if section.file_size) - table_end
    if room < len(sections) * SECTION.size:
        raise ValueError(f"the stub has room for {room // SECTION.size} more sections, not {len(sections)}")

    address = _up(max(section.address + section.memory_size for section in present), section_alignment)
    offset = _up(max(section.offset + section.file_size for section in present), file_alignment)
    headers = []
    pieces = [program[:offset].ljust(offset, b"\0")]
    added = 0
    for name, content in sections:
        memory = max(len(content), image_size(content)) if name == ".linux" else len(content)
        on_disk = _up(len(content), file_alignment)
        flags = CODE if name == ".linux" else DATA
        headers.append(SECTION.pack(name.encode(), memory, address, on_disk, offset, 0, 0, 0, 0, flags))
        pieces.append(content.ljust(on_disk, b"\0"))
        address = _up(address + memory, section_alignment)
        offset += on_disk
        added += on_disk

    head = bytearray(pieces[0])
    head[table_end : table_end + len(headers) * SECTION.size] = b"".join(headers)
    struct.pack_into("<H", head, pe + 6, len(present) + len(headers))
    (initialized,) = struct.unpack_from("<I", head, optional + AT_INITIALIZED_DATA_SIZE)
    struct.pack_into("<I", head, optional + AT_INITIALIZED_DATA_SIZE, initialized + added)
    struct.pack_into("<I", head, optional + AT_IMAGE_SIZE, address)
    struct.pack_into("<I", head, optional + AT_CHECKSUM, 0)
    pieces[0] = bytes(head)
    return b"".join(pieces)


def read_sections(program: bytes) -> list[Section]:
    """The sections of a PE file in order. Raises ValueError when it is none."""
    pe, _ = _headers(program)
    (count,) = struct.unpack_from("<H", program, pe + 6)
    table = _section_table(program)
    sections = []
    for index in range(count):
        name, memory, address, on_disk, offset, *_ = SECTION.unpack_from(program, table + index * SECTION.size)
        sections.append(Section(name.rstrip(b"\0").decode("ascii"), address, memory, offset, on_disk))
    return sections


def image_size(program: bytes) -> int:
    """How much memory a PE program takes when loaded; 0 when it is none (an uncompressed kernel of another kind)."""
    try:
        _, optional = _headers(program)
    except ValueError:
        return 0
    (size,) = struct.unpack_from("<I", program, optional + AT_IMAGE_SIZE)
    return int(size)


def file_length(program: bytes) -> int:
    """Where a PE program ends: behind its last section, or its signature (Microsoft PE/COFF, "The Attribute Certificate
    Table"). What follows is what padded it into a section. 0 when it is no PE program."""
    try:
        _, optional = _headers(program)
    except ValueError:
        return 0
    end = max((section.offset + section.file_size for section in read_sections(program)), default=0)
    (directories,) = struct.unpack_from("<I", program, optional + AT_DIRECTORY_COUNT)
    if directories > CERTIFICATES:
        offset, size = struct.unpack_from("<II", program, optional + AT_DIRECTORIES + 8 * CERTIFICATES)
        end = max(end, offset + size if size else 0)
    return int(end)


def _headers(program: bytes) -> tuple[int, int]:
    """Offsets of the PE signature and of the optional header."""
    if program[:2] == b"MZ" and len(program) > PE_OFFSET_AT + 4:
        (pe,) = struct.unpack_from("<I", program, PE_OFFSET_AT)
        optional = pe + OPTIONAL_HEADER_AT
        if program[pe : pe + 4] == b"PE\0\0" and struct.unpack_from("<H", program, optional) == (PE32_PLUS,):
            return pe, optional
    raise ValueError("not a PE32+ program")


def _section_table(program: bytes) -> int:
    pe, optional = _headers(program)
    (size,) = struct.unpack_from("<H", program, pe + 20)
    return optional + int(size)


def _up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment
