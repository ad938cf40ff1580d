"""A soft-reboot into another generation: its layers are mounted as /run/nextroot, and systemd starts anew in there.

Follows systemd-soft-reboot.service(8). The devices, /var and what is in /run stay, the mounts below /run do not: those
of the layers are made again by invar-layers.service (machine.nix). The kernel's command line stays what it was.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.image.cmdline import with_digest
from invar.machine import active, deadline, state
from invar.machine.generations import Generation, LayerRecord
from invar.machine.layer_device import mount_layer, release, unmount_layer
from invar.machine.layer_source import find_layer
from invar.machine.mounts import bind, is_mount, mount_overlay, unmount
from invar.machine.settings import read_settings

NEXT_ROOT = Path("/run/nextroot")
_STAGE = state.RUN / "stage"
SETTINGS = state.SETTINGS.relative_to("/")
FIRST_DEVICES = ("invar-packages", "invar-config")
"""The verity devices that the initrd made, which nothing takes away when their last mount goes."""


@dataclass(frozen=True, slots=True)
class _Mounted:
    """A layer at a place of its own, and its verity device's name."""

    place: Path
    device: str

    @property
    def block_device(self) -> str:
        """Its device node."""
        number = self.place.stat().st_dev
        return "/dev/" + Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve().name


def soft_reboot(target: Generation) -> None:
    """Mount a generation's system and have systemd start it. Raises InvarError, and then nothing has changed."""
    with ExitStack() as done, ExitStack() as undo:
        packages, config = (_mounted(layer, done) for layer in (target.packages, target.config))
        _mount_root(config.place, packages.place, undo)
        shutil.rmtree(state.CACHE, ignore_errors=True)
        for path in (state.STARTED, state.ACTIVE, state.LAYER_DEVICES):
            _keep(path, undo)
        devices = f"PACKAGES={packages.block_device}\nCONFIG={config.block_device}\n"
        state.write_whole(state.LAYER_DEVICES, devices.encode())
        state.write_whole(state.STARTED, with_digest(target.cmdline, target.digest).encode())
        active.set_active(target.digest, target.number, config.device, packages.device)
        hang = read_settings(config.place / SETTINGS).boot_hang
        if hang is not None:
            deadline.arm(hang)
            undo.callback(deadline.call_off)
        # Before systemd is asked: it ends who asks, and what is released stays for as long as it is mounted.
        for name in FIRST_DEVICES:
            release(name)
        asked = subprocess.run(["systemctl", "--no-block", "soft-reboot"], capture_output=True, text=True, check=False)
        if asked.returncode != 0:
            raise InvarError("systemd takes no soft-reboot", why=asked.stderr.strip() or None)
        undo.pop_all()


def _mounted(layer: LayerRecord, done: ExitStack) -> _Mounted:
    device = f"invar-{layer.kind}-{layer.root_hash[:12]}-{os.getpid()}"
    place = _STAGE / device
    mount_layer(find_layer(layer), layer, device, place)
    done.callback(unmount_layer, place)
    return _Mounted(place, device)


def _keep(path: Path, undo: ExitStack) -> None:
    """Have a small file as it is now again if this fails."""
    if path.exists():
        undo.callback(state.write_whole, path, path.read_bytes())
    else:
        undo.callback(path.unlink, missing_ok=True)


def _mount_root(config: Path, packages: Path, undo: ExitStack) -> None:
    try:
        NEXT_ROOT.mkdir(parents=True, exist_ok=True)
        while is_mount(NEXT_ROOT / "var"):
            unmount(NEXT_ROOT / "var")
        while is_mount(NEXT_ROOT):
            unmount(NEXT_ROOT)
        mount_overlay([config, packages], NEXT_ROOT)
        undo.callback(_unmount, NEXT_ROOT)
        bind(Path("/var"), NEXT_ROOT / "var")
        undo.callback(_unmount, NEXT_ROOT / "var")
    except OSError as error:
        raise InvarError(
            "the next system cannot be mounted", where=str(error.filename or NEXT_ROOT), why=error.strerror
        ) from error


def _unmount(place: Path) -> None:
    with suppress(OSError):
        unmount(place)
