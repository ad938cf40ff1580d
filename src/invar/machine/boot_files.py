"""Kernel and initrd of the boot entry that was booted: looked at once a boot, so that proof tells of altered ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

from invar.machine import active, boot_entries, generations, state
from invar.machine.generations import Generation


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
    found = found_files(boot_entries.sections(entry.path), booted)
    state.write_json(state.BOOT_FILES, found)
    recorded = {"kernel": booted.kernel_sha256, "initrd": booted.initrd_sha256}
    altered = sorted(name for name in recorded if found[name] != recorded[name])
    return f"the {' and the '.join(altered)} of generation {booted.number} was altered" if altered else None


def found_files(sections: dict[str, bytes], booted: Generation) -> dict[str, str]:
    """The SHA-256 of "kernel" and "initrd" in a UKI: the recorded one where it comes out, whatever zeros fill up."""
    found = {}
    for name, section, recorded in (
        ("kernel", sections.get(".linux", b""), booted.kernel_sha256),
        ("initrd", sections.get(".initrd", b""), booted.initrd_sha256),
    ):
        whole = hashlib.sha256(section).hexdigest()
        found[name] = recorded if recorded == whole or recorded in active.possible_sha256(section) else whole
    return found
