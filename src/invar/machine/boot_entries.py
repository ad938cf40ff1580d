"""Boot entries on the EFI system partition: UKIs by generation, with the tries that the boot loader counts down.

Names follow the UAPI group's Boot Loader Specification, "Boot counting": `invar-000002+3.efi` has three tries left;
without a counter the entry is known to be good; with none left it comes last in the menu.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.image.uki import file_length, read_sections
from invar.machine import state
from invar.machine.disk import partition

ESP_LABEL = "ESP"
LINUX = "EFI/Linux"

_NAME = re.compile(r"invar-(\d{6})(?:\+(\d+)(?:-(\d+))?)?\.efi", re.I)


@dataclass(frozen=True, slots=True)
class BootEntry:
    """An entry by its file name. `left` is None for one that is not counted."""

    path: Path
    number: int
    left: int | None
    done: int

    @property
    def on_trial(self) -> bool:
        """Whether it still has to show that it boots."""
        return self.left is not None


def entry_name(number: int, left: int | None = None, done: int = 0) -> str:
    """The file name of a generation's entry."""
    counter = "" if left is None else f"+{left}" + (f"-{done}" if done else "")
    return f"invar-{number:06}{counter}.efi"


def parse_name(path: Path) -> BootEntry | None:
    """The entry that a file is; None for any other file."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    left = None if match[2] is None else int(match[2])
    return BootEntry(path, int(match[1]), left, int(match[3] or 0))


def read_entries(esp: Path) -> tuple[BootEntry, ...]:
    """All entries, by number."""
    found = (parse_name(path) for path in (esp / LINUX).iterdir())
    return tuple(sorted((entry for entry in found if entry), key=lambda entry: entry.number))


def find_entry(esp: Path, number: int) -> BootEntry | None:
    """A generation's entry."""
    return next((entry for entry in read_entries(esp) if entry.number == number), None)


def sections(uki: Path) -> dict[str, bytes]:
    """The sections of a UKI by name (".linux", ".initrd", ".cmdline", ...). Raises InvarError for what is none.

    The kernel's section takes more memory than its file, so that only the kernel's own headers tell where it ends.
    """
    content = uki.read_bytes()
    try:
        found = {
            section.name: content[section.offset : section.offset + min(section.file_size, section.memory_size)]
            for section in read_sections(content)
        }
        kernel = found.get(".linux", b"")
        return found | ({".linux": kernel[: file_length(kernel)]} if file_length(kernel) else {})
    except (ValueError, IndexError) as error:
        raise InvarError(f"{uki.name} is no kernel image", where=str(uki), why=str(error)) from error


def rename(entry: BootEntry, *, left: int | None, done: int = 0) -> BootEntry:
    """Give an entry another counter."""
    path = entry.path.with_name(entry_name(entry.number, left, done))
    if path != entry.path:
        entry.path.rename(path)
        _flush(path.parent)
    return BootEntry(path, entry.number, left, done)


def add(esp: Path, number: int, uki: bytes, *, left: int | None) -> BootEntry:
    """Put a generation's UKI among the entries: complete on the disk before it has a name that counts."""
    path = esp / LINUX / entry_name(number, left)
    temporary = path.with_name(f"invar-{number:06}.new")
    try:
        with temporary.open("wb") as file:
            file.write(uki)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        _flush(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InvarError(
            f"the boot entry of generation {number} cannot be written",
            where=str(path),
            why=error.strerror,
            hint="`invar delete-generations` and `invar gc` make room",
        ) from error
    return BootEntry(path, number, left, 0)


def remove(entry: BootEntry) -> None:
    """Delete an entry."""
    entry.path.unlink(missing_ok=True)
    _flush(entry.path.parent)


def leftovers(esp: Path) -> tuple[Path, ...]:
    """What a power cut left of entries that were being written."""
    return tuple(sorted((esp / LINUX).glob("invar-*.new")))


@contextmanager
def mounted_esp() -> Iterator[Path | None]:
    """The EFI system partition of the disk that /var is on, mounted for the time of the block; None if it has none."""
    device = partition(ESP_LABEL)
    if device is None:
        yield None
        return
    place = state.RUN / "esp"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    done = subprocess.run(
        ["mount", "-t", "vfat", "-o", "umask=0077,nodev,nosuid,noexec", str(device), str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise InvarError("the EFI system partition cannot be mounted", where=str(device), why=done.stderr.strip())
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], capture_output=True, check=False)


def _flush(directory: Path) -> None:
    """Write everything of a file system out: vfat's directories and tables have no fsync of their own."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)
