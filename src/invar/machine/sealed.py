"""What of a running machine is sealed: files whose mount is of a layer that dm-verity proves, in whatever namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from invar.machine.mounts import mount_of

OVERLAID = ("/etc", "/nix")
"""Where, besides /, layers are mounted over one another (activation.py)."""

_DM_NAME = "invar-"


@dataclass(frozen=True, slots=True)
class Mounted:
    """Of one line of mountinfo (proc(5)): its superblock's device as MAJOR:MINOR, place, type, superblock options."""

    device: str
    place: str
    kind: str
    options: tuple[str, ...]


def read_mountinfo(text: str) -> dict[int, Mounted]:
    """Mounts by their identity."""
    found = {}
    for line in text.splitlines():
        words = line.split(" ")
        separator = words.index("-", 6)
        place = words[4].encode().decode("unicode_escape")
        found[int(words[0])] = Mounted(words[2], place, words[separator + 1], tuple(words[separator + 3].split(",")))
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


class Sealed:
    """Tells what is sealed, as the machine is mounted now."""

    def __init__(self) -> None:
        self._own = read_mountinfo(Path("/proc/self/mountinfo").read_text())
        self._by_namespace: dict[str, dict[int, Mounted]] = {}
        names = {mount.device: _dm_name(mount.device) for mount in self._own.values() if mount.kind == "erofs"}
        self.devices = sealed_devices(self._own, mount_of(Path("/")), names)

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
