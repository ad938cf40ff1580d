"""Which generation was booted and which is active: from the kernel command line, and from the last live switch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.image.cmdline import system_digest_of
from invar.machine import boot_entries, generations, state
from invar.machine.generations import Generation, LayerRecord
from invar.machine.mounts import read_mounts

CMDLINE = Path("/proc/cmdline")
_NOT_OF_THE_SYSTEM = ("invar.digest=", "invar.files=")
"""Words of a command line that the digest is not made of: itself, and where the layers lie."""

UNNUMBERED = 0
"""The generation of a system that `invar test` made active: it has no number."""


@dataclass(frozen=True, slots=True)
class Active:
    """`layers` maps "packages" and "config" to the device-mapper names of what is mounted now.

    The booted generation is the kernel's; the started one is what systemd began with, another one after a soft-reboot;
    the active one is what a live switch has made of that since.
    """

    booted_digest: str
    active_digest: str
    booted_generation: int
    active_generation: int
    started_generation: int
    layers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Booted:
    """What the kernel command line says: the digest, the line without it, the layers' verity parameters."""

    digest: str
    cmdline: str
    layers: Mapping[str, tuple[str, str, int]]


def active() -> Active:
    """What is booted and active. Reads only; a generation that is not registered yet counts as 0. Raises InvarError."""
    booted = parse_cmdline(CMDLINE.read_text())
    everything = generations.read_all()
    known = generations.by_digest(everything, booted.digest)
    begun = generations.by_digest(everything, started().digest)
    number = known.number if known else UNNUMBERED
    if known is not None:
        booted = replace(booted, digest=true_digest(booted, known))
    switched: dict[str, Any] = state.read_json(state.ACTIVE) if state.ACTIVE.exists() else {}
    return Active(
        booted_digest=booted.digest,
        active_digest=switched.get("digest", booted.digest),
        booted_generation=number,
        active_generation=switched.get("generation", number),
        started_generation=begun.number if begun else UNNUMBERED,
        layers={
            "packages": switched.get("packages", "invar-packages"),
            "config": switched.get("config", "invar-config"),
        },
    )


def true_digest(booted: Booted, generation: Generation) -> str:
    """The digest of what was booted, made anew: one that the command line only claims tells of no edited parameter.

    Kernel and initrd are those that the boot entry was found to have (boot_files.py), else those of the record.
    """
    if not generation.kernel_sha256:
        return booted.digest
    found: dict[str, Any] = state.read_json(state.BOOT_FILES) if state.BOOT_FILES.exists() else {}
    return system_digest_of(
        booted.cmdline,
        packages=booted.layers["packages"][0],
        config=booted.layers["config"][0],
        kernel_sha256=found.get("kernel", generation.kernel_sha256),
        initrd_sha256=found.get("initrd", generation.initrd_sha256),
    )


def set_active(digest: str, generation: int, config_device: str, packages_device: str) -> None:
    """Remember what a switch or a soft-reboot made active, until the next boot."""
    state.write_json(
        state.ACTIVE,
        {"digest": digest, "generation": generation, "config": config_device, "packages": packages_device},
    )


def started() -> Booted:
    """The system that systemd began with, whose layers are at CONFIG_ROOT and PACKAGES_ROOT. Raises InvarError."""
    return parse_cmdline((state.STARTED if state.STARTED.exists() else CMDLINE).read_text())


def started_config_device() -> str:
    """The verity device, by its device-mapper name, that is mounted at CONFIG_ROOT. Raises InvarError."""
    for mount in reversed(read_mounts()):
        if mount.place == str(state.CONFIG_ROOT):
            return Path(f"/sys/dev/block/{mount.device}/dm/name").read_text().strip()
    raise InvarError("the config layer that this machine started with is not mounted", where=str(state.CONFIG_ROOT))


def parse_cmdline(text: str) -> Booted:
    """The parts of a kernel command line that Invar put there. Raises InvarError when they are not there."""
    words = text.replace("\0", " ").strip().split(" ")
    digest = None
    layers: dict[str, tuple[str, str, int]] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name == "invar.digest":
            digest = value
        elif name in ("invar.packages", "invar.config"):
            parts = value.split(":")
            if len(parts) == 3 and parts[2].isdigit():
                layers[name.removeprefix("invar.")] = (parts[0], parts[1], int(parts[2]))
    if digest is None or len(layers) != 2:
        raise InvarError("this machine was not booted from an image of Invar", where=str(CMDLINE))
    line = " ".join(word for word in words if not word.startswith(_NOT_OF_THE_SYSTEM))
    return Booted(digest, line, layers)


def register_started() -> Generation:
    """The started generation's record, made now if this is its first boot. The lock must be held.

    The number is that of the boot entry, so that the first one of an image is 1; where that is taken, by a generation
    of another image that used this disk, or where there is no boot entry, it is the next one.
    """
    known = generations.read_all()
    booted = started()
    found = generations.by_digest(known, booted.digest)
    if found is not None:
        return found
    record = state.read_record(state.CONFIG_ROOT / "etc/invar/image.json")
    number, kernel, initrd = UNNUMBERED, "", ""
    with boot_entries.mounted_esp() as esp:
        for entry in boot_entries.read_entries(esp) if esp else ():
            parts = boot_entries.sections(entry.path)
            line = parts.get(".cmdline", b"").rstrip(b"\0\n").decode(errors="replace")
            if f"invar.digest={booted.digest}" in line.split():
                number = entry.number
                booted = parse_cmdline(line)
                initrd = hashlib.sha256(parts[".initrd"]).hexdigest()
                kernel = hashlib.sha256(parts[".linux"]).hexdigest()
                break
    bootable = number != UNNUMBERED and all(one.number != number for one in known)
    generation = Generation(
        number=number if bootable else generations.next_number(known),
        digest=booted.digest,
        spec_digest=record.system.spec_digest,
        packages=_layer("packages", booted),
        config=_layer("config", booted),
        cmdline=booted.cmdline,
        kernel_version=record.packages.kernel_version,
        kernel_sha256=kernel,
        initrd_sha256=initrd,
        created=generations.now(),
        origin="image",
        state="new",
        bootable=bootable,
    )
    generations.write(generation)
    return generation


def _layer(kind: Any, booted: Booted) -> LayerRecord:
    from invar.image.verity import tree_blocks

    root_hash, salt, data_blocks = booted.layers[kind]
    return LayerRecord(kind, root_hash, salt, data_blocks, data_blocks + tree_blocks(data_blocks))
