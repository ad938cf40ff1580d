"""Who has to be told that a file below /etc has changed, where no unit says so itself: decided by a table."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_RESTART = {
    "systemd/journald.conf": "systemd-journald.service",
    "systemd/logind.conf": "systemd-logind.service",
    "systemd/resolved.conf": "systemd-resolved.service",
    "systemd/timesyncd.conf": "systemd-timesyncd.service",
    "systemd/networkd.conf": "systemd-networkd.service",
}
_RELOAD = {"dbus-1/": "dbus.service"}
_COMMANDS = {
    "sysctl.d/": ("/usr/lib/systemd/systemd-sysctl",),
    "sysctl.conf": ("/usr/lib/systemd/systemd-sysctl",),
    "modules-load.d/": ("/usr/lib/systemd/systemd-modules-load",),
    "systemd/network/": ("networkctl", "reload"),
    "udev/": ("udevadm", "control", "--reload"),
}
_MANAGER = ("systemd/system.conf", "systemd/system-generators/")


@dataclass(frozen=True, slots=True)
class Consumed:
    """`manager`: systemd itself is started anew. Then units to reload and restart if they run, and programs to run."""

    manager: bool = False
    reload: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


def consumed(files: Iterable[str]) -> Consumed:
    """Who is to be told of changed files, given by path below /etc."""
    changed = sorted(files)

    def of(table: dict[str, str]) -> tuple[str, ...]:
        return tuple(sorted({who for path in changed for key, who in table.items() if _is(path, key)}))

    commands = [command for key, command in _COMMANDS.items() if any(_is(path, key) for path in changed)]
    return Consumed(
        manager=any(_is(path, key) for path in changed for key in _MANAGER),
        reload=of(_RELOAD),
        restart=of(_RESTART),
        commands=tuple(dict.fromkeys(commands)),
    )


def changed_files(before: Path, after: Path) -> tuple[str, ...]:
    """The files (and links) that are in one of two trees only, or differ, by path below them, sorted."""
    old, new = _listing(before), _listing(after)
    found = []
    for path in sorted({*old, *new}):
        left, right = old.get(path), new.get(path)
        if left != right or (left is not None and left[0] == "file" and _differs(before / path, after / path)):
            found.append(path)
    return tuple(found)


def _is(path: str, key: str) -> bool:
    return path.startswith(key) if key.endswith("/") else path == key


def _differs(before: Path, after: Path) -> bool:
    return before.read_bytes() != after.read_bytes()


def _listing(root: Path) -> dict[str, tuple[str, str | int, int]]:
    """Path to (kind, target or size, mode): cheap to compare; contents are read only where these agree."""
    found: dict[str, tuple[str, str | int, int]] = {}
    todo = [root]
    while todo:
        directory = todo.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                path = entry.path[len(str(root)) + 1 :]
                if entry.is_symlink():
                    found[path] = ("link", os.readlink(entry.path), 0)  # noqa: PTH115
                elif entry.is_dir():
                    todo.append(Path(entry.path))
                else:
                    info = entry.stat()
                    found[path] = ("file", info.st_size, stat.S_IMODE(info.st_mode))
    return found
