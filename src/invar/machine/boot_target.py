"""Which generation the next boot takes: the boot entry of a new one, and the counters of those that are to wait."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.image.cmdline import with_digest
from invar.image.uki import generation_os_release, replace_sections
from invar.machine import boot_entries
from invar.machine.boot_entries import BootEntry
from invar.machine.generations import Generation

_SPARE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Rename:
    """An entry, and the counter that it gets."""

    entry: BootEntry
    left: int | None


@dataclass(frozen=True, slots=True)
class BootFiles:
    """A kernel and an initrd that are not those of the started generation; None where they are."""

    kernel: Path | None = None
    initrd: Path | None = None


def make_uki(
    esp: Path, started: Generation, generation: Generation, files: Collection[str], boot_files: BootFiles
) -> bytes:
    """The UKI of a generation: the started one's with another command line, and maybe another kernel and initrd.

    `files` are the kinds of its layers that are files in /var, not partitions. Raises InvarError.
    """
    entry = boot_entries.find_entry(esp, started.number)
    if entry is None:
        raise InvarError(f"the boot entry of generation {started.number} is gone", where=str(esp / boot_entries.LINUX))
    where = f" invar.files={','.join(sorted(files))}" if files else ""
    changes = {
        ".osrel": generation_os_release(generation.number, generation.digest).encode(),
        ".cmdline": (with_digest(generation.cmdline, generation.digest) + where).encode(),
        ".uname": generation.kernel_version.encode(),
    }
    for section, path in ((".linux", boot_files.kernel), (".initrd", boot_files.initrd)):
        if path is not None:
            changes[section] = path.read_bytes()
    try:
        return replace_sections(entry.path.read_bytes(), changes)
    except (OSError, ValueError) as error:
        raise InvarError(f"no boot entry can be made of generation {started.number}'s", why=str(error)) from error


def room_for(esp: Path, size: int) -> None:
    """Raise InvarError unless the partition has room for a UKI of `size` bytes."""
    found = os.statvfs(esp)
    free = found.f_bavail * found.f_frsize
    if free < size + _SPARE_BYTES:
        raise InvarError(
            f"the EFI system partition has {free >> 20} MiB left, and a generation takes {size >> 20}",
            hint="`invar delete-generations --keep 5` makes room",
        )


def boot_into(esp: Path, target: Generation, tries: int) -> None:
    """Make a generation that has an entry the one that is booted next.

    The boot loader takes the newest entry that has tries left or needs none. So the target's is renewed first, then
    newer ones are put to the end, oldest first: whenever this is cut off, the old or the new target is booted. Tries
    that those had are forgotten, so that nobody takes them for ones that did not come up.
    """
    entries = boot_entries.read_entries(esp)
    for change in plan_renames(entries, target.number, None if target.state == "good" else tries):
        boot_entries.rename(change.entry, left=change.left, done=change.entry.done if change.left else 0)


def plan_renames(entries: tuple[BootEntry, ...], number: int, left: int | None) -> tuple[Rename, ...]:
    """The renames, in order, after which `number` is the first entry that the boot loader takes.

    Raises InvarError when it has no entry.
    """
    own = next((entry for entry in entries if entry.number == number), None)
    if own is None:
        raise InvarError(f"generation {number} has no boot entry")
    changes = [] if own.left == left or (own.left not in (None, 0) and left is not None) else [Rename(own, left)]
    newer = sorted((entry for entry in entries if entry.number > number), key=lambda entry: entry.number)
    return (*changes, *(Rename(entry, 0) for entry in newer if entry.left != 0))
