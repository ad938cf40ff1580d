"""Kernel and initrd of the boot entry that was booted: looked at once a boot, so that proof tells of altered ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

from invar.machine import active, boot_entries, generations, state

_SECTIONS = {"kernel": "linux", "initrd": "initrd"}


def look_once(esp: Path) -> str | None:
    """Keep the hashes of what this boot's entry holds; what is altered in it, told once a boot, else None.

    Raises InvarError for an entry that is no kernel image.
    """
    if state.BOOT_FILES.exists():
        return None
    booted = generations.by_digest(generations.read_all(), active.parse_cmdline(active.CMDLINE.read_text()).digest)
    entry = boot_entries.find_entry(esp, booted.number) if booted else None
    if booted is None or entry is None or not booted.kernel_sha256:
        return None
    found = found_files(boot_entries.sections(entry.path))
    state.write_json(state.BOOT_FILES, found)
    recorded = {"kernel": booted.kernel_sha256, "initrd": booted.initrd_sha256}
    altered = sorted(name for name in recorded if found[name] != recorded[name])
    return f"the {' and the '.join(altered)} of generation {booted.number} was altered" if altered else None


def found_files(sections: dict[str, bytes]) -> dict[str, str]:
    """The SHA-256 of "kernel" and "initrd" in a UKI's sections."""
    return {name: hashlib.sha256(sections.get(f".{kind}", b"")).hexdigest() for name, kind in _SECTIONS.items()}
