"""What of a running machine is sealed: files whose mount is of a layer that dm-verity proves, in whatever namespace."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from invar.machine import state
from invar.machine.mounts import mount_of
from invar.system.proof import FileProof

OVERLAID = ("/etc", "/nix")
"""Where, besides /, layers are mounted over one another (activation.py)."""

EXPECTED = frozenset({"/dev", "/etc/machine-id", "/proc", "/run", "/sys", "/tmp", "/var"})
"""What is mounted on the sealed root by the initrd and by systemd."""
LISTED = 16
"""Covered places that a proof names at most."""

_DM_NAME = "invar-"


@dataclass(frozen=True, slots=True)
class Mounted:
    """Of one line of mountinfo (proc(5)): the mount that it is on, its superblock's device as MAJOR:MINOR, place, type,
    source and superblock options."""

    parent: int
    device: str
    place: str
    kind: str
    source: str
    options: tuple[str, ...]


def read_mountinfo(text: str) -> dict[int, Mounted]:
    """Mounts by their identity."""
    found = {}
    for line in text.splitlines():
        words = line.split(" ")
        separator = words.index("-", 6)
        place = words[4].encode().decode("unicode_escape")
        kind, source, options = words[separator + 1 : separator + 4]
        found[int(words[0])] = Mounted(int(words[1]), words[2], place, kind, source, tuple(options.split(",")))
    return found


def sealed_devices(mounts: Mapping[int, Mounted], root: int | None, dm_names: Mapping[str, str]) -> frozenset[str]:
    """The devices of the file systems that hold the sealed system.

    `root` is the mount that / is, `dm_names` names device-mapper devices by MAJOR:MINOR. An overlay that can be
    written to holds nothing sealed.
    """
    found = set()
    for identity, mount in mounts.items():
        if mount.kind == "erofs":
            if dm_names.get(mount.device, "").startswith(_DM_NAME):
                found.add(mount.device)
        elif identity != root and mount.place not in OVERLAID:
            continue
        elif mount.kind == "overlay" and not any(option.startswith("upperdir=") for option in mount.options):
            found.add(mount.device)
    return frozenset(found)


def covering(
    mounts: Mapping[int, Mounted], devices: frozenset[str], layers: Sequence[Path]
) -> list[tuple[str, Mounted]]:
    """What is mounted over something of the sealed system, and is not of it: the place, and the mount.

    `layers` are where the layers' own roots are mounted. Over an empty directory nothing is covered.
    """
    return [
        (mount.place, mount)
        for mount in mounts.values()
        if mount.parent in mounts
        and mounts[mount.parent].device in devices
        and mount.device not in devices
        and mount.place not in EXPECTED
        and any(_holds_something(layer / mount.place.lstrip("/")) for layer in layers)
    ]


def _holds_something(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        return any(path.iterdir())
    return os.path.lexists(path)


class Sealed:
    """Tells what is sealed, as the machine is mounted now."""

    def __init__(self) -> None:
        self._own = read_mountinfo(Path("/proc/self/mountinfo").read_text())
        self._by_namespace: dict[str, dict[int, Mounted]] = {}
        names = {mount.device: _dm_name(mount.device) for mount in self._own.values() if mount.kind == "erofs"}
        self.devices = sealed_devices(self._own, mount_of(Path("/")), names)

    def covered(self) -> tuple[FileProof, ...]:
        """Files and directories of the sealed system that something else was mounted over."""
        layers = [one for one in (state.ACTIVE_ROOT, state.CONFIG_ROOT, state.PACKAGES_ROOT) if one.is_dir()]
        found = covering(self._own, self.devices, layers)[:LISTED]
        return tuple(
            FileProof(place, "covered", "source", "", "", message=f"{mount.kind} of {mount.source}")
            for place, mount in found
        )

    def holds(self, path: Path) -> bool:
        """Whether a file (behind links) is of the sealed system. One that is not there is not."""
        try:
            identity = mount_of(path)
        except OSError:
            return False
        return self._is_sealed(self._own, identity)

    def runs(self, pid: int) -> bool:
        """Whether a process's program is of the sealed system. Raises OSError when the process is gone."""
        namespace = str(Path(f"/proc/{pid}/ns/mnt").readlink())
        if namespace not in self._by_namespace:
            self._by_namespace[namespace] = read_mountinfo(Path(f"/proc/{pid}/mountinfo").read_text())
        return self._is_sealed(self._by_namespace[namespace], mount_of(Path(f"/proc/{pid}/exe")))

    def _is_sealed(self, mounts: Mapping[int, Mounted], identity: int | None) -> bool:
        mount = None if identity is None else mounts.get(identity)
        return mount is not None and mount.device in self.devices


def _dm_name(device: str) -> str:
    try:
        return Path(f"/sys/dev/block/{device}/dm/name").read_text().strip()
    except OSError:
        return ""
