"""Compose unpacked packages into one root: a lower directory for each, dpkg's database, and shims over them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.debian.deb import UnpackedDeb
from invar.debian.dpkg import info_files, status, trigger_files
from invar.image.collisions import Collision, find_collisions

DPKG = "var/lib/dpkg"

_NOTHING = "#!/bin/sh\nexit 0\n"
_FORBIDDEN = "#!/bin/sh\nexit 101\n"

SHIMS: Mapping[str, str] = {
    "usr/sbin/policy-rc.d": _FORBIDDEN,
    "usr/sbin/invoke-rc.d": _NOTHING,
    "usr/sbin/update-rc.d": _NOTHING,
    "usr/bin/deb-systemd-helper": _NOTHING,
    "usr/bin/deb-systemd-invoke": _NOTHING,
    "usr/bin/systemctl": _NOTHING,
    "usr/bin/udevadm": _NOTHING,
    "usr/sbin/update-initramfs": _NOTHING,
    "usr/sbin/update-grub": _NOTHING,
    "usr/bin/kernel-install": _NOTHING,
    "usr/bin/bootctl": _NOTHING,
    "usr/bin/ssh-keygen": _NOTHING,
    "usr/sbin/make-ssl-cert": _NOTHING,
    "usr/bin/pg_createcluster": _NOTHING,
    "usr/bin/py3compile": _NOTHING,
    "usr/bin/py3clean": _NOTHING,
    "usr/bin/mandb": _NOTHING,
    "usr/sbin/update-ca-certificates": _NOTHING,
    "usr/bin/dbus-uuidgen": _NOTHING,
    "usr/bin/systemd-machine-id-setup": _NOTHING,
    "usr/bin/journalctl": _NOTHING,
}
"""Programs that do nothing while packages are configured.

They start services, enable units, make keys, identities or clusters that belong to one machine, or do what is done once
at the end.
"""


@dataclass(frozen=True, slots=True)
class Composition:
    """A root to be: `lowers` topmost first, without `shims`, which go on top while maintainer scripts run."""

    shims: Path
    lowers: tuple[Path, ...]


def compose(debs: Mapping[str, UnpackedDeb], directory: Path) -> Composition:
    """Write the shims and the database into a new `directory` and say what lies on what.

    `debs` is in configuration order: what others depend on comes first and lies on top, so that a shared directory has
    the mode that unpacking in this order would give it. Raises InvarError for packages that can't lie on one another.
    """
    _check_merged_usr(debs)
    collisions = find_collisions(debs)
    shims, database = directory / "shims", directory / "database"
    for path, text in SHIMS.items():
        _write(shims / path, text, 0o755)
    write_database(debs, database)
    link_winners(collisions, debs, database)
    return Composition(shims, (database, *(deb.data for deb in debs.values())))


def write_database(debs: Mapping[str, UnpackedDeb], root: Path) -> None:
    """dpkg's database below `root`, in which every package is "install ok unpacked"."""
    admin = root / DPKG
    for name in ("info", "triggers", "updates", "alternatives", "parts"):
        _make_directory(admin / name)
    _write(admin / "status", status(debs.values()), 0o644)
    for name in ("available", "diversions", "statoverride"):
        _write(admin / name, "", 0o644)
    _write(admin / "info/format", "1\n", 0o644)
    for deb in debs.values():
        for name, content in info_files(deb).items():
            if isinstance(content, Path):
                os.link(content, admin / "info" / name)
            else:
                _write(admin / "info" / name, content, 0o644)
    for name, text in trigger_files(debs.values()).items():
        _write(admin / "triggers" / name, text, 0o644)


def link_winners(collisions: list[Collision], debs: Mapping[str, UnpackedDeb], root: Path) -> None:
    """Put the winner's file of every collision below `root`, which lies over all packages."""
    for collision in collisions:
        inside = collision.path.lstrip("/")
        place = root / inside
        source = debs[collision.winner].data
        for parent in reversed(Path(inside).parents):
            if not (root / parent).exists():
                (root / parent).mkdir()
                (root / parent).chmod((source / parent).stat().st_mode & 0o7777)
        os.link(source / inside, place, follow_symlinks=False)


def _check_merged_usr(debs: Mapping[str, UnpackedDeb]) -> None:
    wrong = [
        f"{name}: /{alias}"
        for name, deb in debs.items()
        for alias in ("bin", "sbin", "lib", "lib64")
        if (deb.data / alias).is_dir() and not (deb.data / alias).is_symlink()
    ]
    if wrong:
        raise InvarError(
            "packages ship files outside of the merged /usr",
            why="\n".join(wrong),
            hint="use the versions of a release whose packages have moved to /usr (trixie or later)",
        )


def _make_directory(path: Path) -> None:
    """Make a directory and its parents, 0755 whatever the umask: copied up, their modes would reach the layer."""
    for directory in (*reversed(path.parents), path):
        if not directory.exists():
            directory.mkdir()
            directory.chmod(0o755)


def _write(path: Path, text: str, mode: int) -> None:
    _make_directory(path.parent)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
