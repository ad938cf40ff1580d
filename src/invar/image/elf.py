"""Which shared libraries an ELF program needs: its interpreter and DT_NEEDED entries, followed in a root directory.

Follows the System V ABI's ELF-64 (little endian), as elf(5) has it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
DYNAMIC = struct.Struct("<QQ")
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB = 0, 1, 5

LIBRARY_DIRECTORIES = {
    "amd64": ("usr/lib/x86_64-linux-gnu", "usr/lib"),
    "arm64": ("usr/lib/aarch64-linux-gnu", "usr/lib"),
}


@dataclass(frozen=True, slots=True)
class Linkage:
    """What a program asks the loader for; both empty when it is static."""

    interpreter: str | None
    needed: tuple[str, ...]


def closure(programs: Iterable[str], root: Path, architecture: str) -> dict[str, Path]:
    """The programs and all libraries that they need: path inside (relative) → file. `programs` are relative to `root`.

    Raises InvarError when one of them is missing.
    """
    found: dict[str, Path] = {}
    pending = [(path, "the initrd") for path in programs]
    while pending:
        inside, wanted_by = pending.pop()
        if inside in found:
            continue
        file = root / inside
        if not file.is_file():
            raise InvarError(f"{wanted_by} needs /{inside}, which is not there", where=str(root))
        found[inside] = file
        linkage = read_linkage(file.read_bytes(), inside)
        if linkage.interpreter:
            pending.append((linkage.interpreter.lstrip("/"), inside))
        pending.extend((_library(name, root, architecture, inside), inside) for name in linkage.needed)
    return found


def read_linkage(program: bytes, name: str = "the file") -> Linkage:
    """The interpreter and needed libraries. Raises InvarError when it is no 64-bit little-endian ELF file."""
    if program[:6] != b"\x7fELF\x02\x01":
        raise InvarError(f"{name} is not a 64-bit ELF program")
    header = HEADER.unpack_from(program)
    start, size, count = header[5], header[9], header[10]
    segments = [PROGRAM_HEADER.unpack_from(program, start + index * size) for index in range(count)]
    interpreter = None
    needed: list[int] = []
    strings = 0
    for kind, _, offset, _, _, length, _, _ in segments:
        if kind == PT_INTERP:
            interpreter = program[offset : offset + length].rstrip(b"\0").decode()
        elif kind == PT_DYNAMIC:
            for tag, value in DYNAMIC.iter_unpack(program[offset : offset + length]):
                if tag == DT_NULL:
                    break
                if tag == DT_NEEDED:
                    needed.append(value)
                elif tag == DT_STRTAB:
                    strings = _file_offset(value, segments)
    return Linkage(interpreter, tuple(_string(program, strings + at) for at in needed))


def _file_offset(address: int, segments: list[tuple[int, ...]]) -> int:
    for kind, _, offset, start, _, length, _, _ in segments:
        if kind == PT_LOAD and start <= address < start + length:
            return address - start + offset
    return address


def _string(program: bytes, at: int) -> str:
    return program[at : program.index(b"\0", at)].decode()


def _library(name: str, root: Path, architecture: str, wanted_by: str) -> str:
    for directory in LIBRARY_DIRECTORIES[architecture]:
        if (root / directory / name).is_file():
            return f"{directory}/{name}"
    raise InvarError(f"{wanted_by} needs the library {name}, which is not there", where=str(root))
