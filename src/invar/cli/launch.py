"""From a verb's argument (an image file, or a configuration) to what a machine is started with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invar.cli.context import Session
from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.engines.choice import Engines
from invar.engines.native_results import Built
from invar.engines.nix import NixImage
from invar.flakes.place import flake_at
from invar.image.tools import Tools
from invar.system.record import System
from invar.system.user_data import check_size
from invar.vm.boot import Equipment, for_checks
from invar.vm.companion import Companion, save_companion
from invar.vm.machine import MachineSpec
from invar.vm.qemu import DiskDevice, DiskFormat, Forward
from invar.vm.record import Machine

MAGIC: dict[bytes, DiskFormat] = {b"QFI\xfb": "qcow2", b"KDMV": "vmdk", b"vhdxfile": "vhdx"}
VHD_FOOTER, VHD_COOKIE = 512, b"conectix"
ISO_AT, ISO_MAGIC = 16 * 2048, b"\x01CD001"


@dataclass(frozen=True, slots=True)
class Launch:
    """A machine about to start; `system` and `built` are None for a bare image file."""

    spec: MachineSpec
    equipment: Equipment
    tools: Tools
    system: System | None
    built: Built | None

    def remember(self, machine: Machine) -> None:
        """Leave what later commands need beside the machine's record."""
        save_companion(machine, Companion(self.tools, self.system))


def launchable(
    session: Session,
    report: Report,
    place: Path,
    name: str | None,
    memory: int,
    cpus: int,
    ports: tuple[int, ...],
    user_data: Path | None,
    engines: Engines,
) -> Launch:
    """Build what has to be built, and say how to start it."""
    engine = engines.native
    built: Built | None = None
    is_image = place.is_file() and place.suffix != ".nix"
    if not is_image and engines.of(str(place)) == "nix":
        image = engines.nix_image(str(place))
        check_boot_mode(image)
        path, tools, system = image.raw, engine.own_tools(), None
        digest, label = image.system_digest, image.name
    elif "#" in str(place) or place.is_dir() or place.suffix == ".nix" or flake_at(str(place)) is not None:
        built = engine.build(engine.project(place), "amazon")
        path, tools, system = built.artifact.file, built.tools, built.system
        digest, label = built.image.system_digest, system.name
    else:
        if not place.is_file():
            raise InvarError(f"there is no image {place}", exit_code=ExitCode.USAGE)
        path, tools, system = place.absolute(), engine.own_tools(), None
        digest, label = None, place.stem
    image_format, device = recognise(path)
    data = user_data.read_bytes() if user_data else None
    if data is not None:
        check_size(data, where=str(user_data))
    spec = MachineSpec(
        image=path,
        format=image_format,
        disk_device=device,
        name=name or label,
        digest=digest,
        memory=memory,
        cpus=cpus,
        forwards=tuple(Forward(port) for port in sorted({22, *ports})),
        user_data=data,
    )
    equipment = Equipment.from_tools(tools, session.home)
    return Launch(for_checks(spec, system.checks if system else (), equipment.access), equipment, tools, system, built)


def check_boot_mode(image: NixImage) -> None:
    """Raise InvarError for an image that wants a BIOS: local machines have UEFI."""
    if image.boot_mode == "legacy-bios":
        raise InvarError(
            f"the image {image.name} boots with a BIOS only",
            where=image.output,
            why="its image-info.json has the boot mode legacy-bios; local machines boot under UEFI",
            hint="set ec2.efi = true in the NixOS configuration",
        )


def started_data(machine: Machine) -> dict[str, Any]:
    """What `--json` tells of a started machine."""
    return {
        "name": machine.name,
        "instance_id": machine.instance_id,
        "ports": {str(guest): host for guest, host in sorted(machine.ports.items())},
        "digest": machine.digest,
        "console": str(machine.console_log),
    }


def recognise(path: Path) -> tuple[DiskFormat, DiskDevice]:
    """An image file's format by its magic numbers, and the drive that it belongs into."""
    with path.open("rb") as file:
        head = file.read(8)
        for magic, name in MAGIC.items():
            if head.startswith(magic):
                return name, "nvme"
        file.seek(ISO_AT)
        if file.read(len(ISO_MAGIC)) == ISO_MAGIC:
            return "raw", "ide-cd"
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - VHD_FOOTER))
        return "vpc" if file.read(len(VHD_COOKIE)) == VHD_COOKIE else "raw", "nvme"
