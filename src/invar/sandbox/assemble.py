"""Inside the new mount namespace: put the root together. No pathlib: it would be a third of the start-up."""

# ruff: noqa: PTH101, PTH102, PTH103, PTH109, PTH110, PTH112, PTH114, PTH115, PTH120, PTH208, PTH211

from __future__ import annotations

import os
from typing import Any

from invar.sandbox import kernel

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
LAYERS_AT_ONCE = 400
"""Lower directories of one overlay mount: the kernel takes 500, and their names (four bytes each) must fit one page."""

Opened = list[tuple[int, str, bool, bool]]


def assemble_root(root: dict[str, Any], binds: list[tuple[str, str, bool]]) -> str:
    """Mount everything but /proc; returns the directory that is to become `/`.

    Sources of binds are opened before anything is mounted, so that a mount can't hide them.
    """
    opened = _open_binds(binds)
    devices = [(name, os.open(f"/dev/{name}", os.O_PATH)) for name in DEVICES if os.path.exists(f"/dev/{name}")]
    if root["kind"] == "overlay":
        top = _overlay(root)
    elif root["writable"]:
        top = str(root["path"])
        kernel.mount(top, top, "", kernel.MS_BIND | kernel.MS_REC)
    else:
        top = _shielded(root["path"])
    for name, mode in (("dev", "0755"), ("run", "0755"), ("tmp", "1777")):
        _tmpfs(f"{top}/{name}", mode)
    os.makedirs(f"{top}/proc", exist_ok=True)
    _devices(f"{top}/dev", devices)
    for descriptor, target, is_directory, read_only in opened:
        place = top + target
        _make_mount_point(place, is_directory)
        kernel.bind(f"/proc/self/fd/{descriptor}", place, read_only)
        os.close(descriptor)
    return top


def _open_binds(binds: list[tuple[str, str, bool]]) -> Opened:
    opened = []
    for source, target, read_only in binds:
        opened.append((os.open(source, os.O_PATH), target, os.path.isdir(source), read_only))
    return opened


def _overlay(root: dict[str, Any]) -> str:
    scratch = root["scratch"]
    top = f"{scratch}/merged"
    for name in ("upper", "work", "merged"):
        os.makedirs(f"{scratch}/{name}", exist_ok=True)
    os.chmod(f"{scratch}/upper", 0o755)
    extra = ",userxattr" if root["userxattr"] else ""
    lowers = list(root["lowers"])
    _tmpfs(top, "0755")
    if len(lowers) > LAYERS_AT_ONCE:
        groups = [lowers[i : i + LAYERS_AT_ONCE] for i in range(0, len(lowers), LAYERS_AT_ONCE)]
        lowers = []
        for number, group in enumerate(groups):
            place = f"{top}/group{number}"
            os.mkdir(place)
            _mount_overlay(f"{top}/links{number}", group, place, extra.lstrip(","))
            lowers.append(place)
    options = f"upperdir={scratch}/upper,workdir={scratch}/work,volatile{extra}"
    _mount_overlay(f"{top}/links", lowers, top, options)
    return top


def _mount_overlay(links: str, lowers: list[str], target: str, options: str) -> None:
    """mount(2) has one page for options: the lower directories go by short names, relative to the working directory."""
    os.mkdir(links)
    names = []
    for number, lower in enumerate(lowers):
        names.append(f"{number:x}")
        os.symlink(lower, f"{links}/{names[-1]}")
    if len(names) == 1 and "upperdir" not in options:
        kernel.bind(lowers[0], target, True)
        return
    before = os.getcwd()
    os.chdir(links)
    kernel.mount("overlay", target, "overlay", 0, ",".join(filter(None, (f"lowerdir={':'.join(names)}", options))))
    os.chdir(before)


def _shielded(directory: str) -> str:
    """A tmpfs over the directory, with its entries bound read-only into it. (A mount on `/` could not be entered.)"""
    path = directory if directory != "/" else "/tmp"
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    beneath = f"/proc/self/fd/{descriptor}"
    entries = sorted(os.listdir(directory))
    _tmpfs(path, "0755")
    for name in entries:
        source, place = f"{beneath}/{name}", f"{path}/{name}"
        if os.path.islink(source):
            os.symlink(os.readlink(source), place)
        elif name not in ("dev", "proc", "run", "tmp"):
            _make_mount_point(place, os.path.isdir(source))
            kernel.bind(source, place, True)
    os.close(descriptor)
    return path


def _tmpfs(place: str, mode: str) -> None:
    os.makedirs(place, exist_ok=True)
    kernel.mount("tmpfs", place, "tmpfs", kernel.MS_NOSUID, f"mode={mode}")


def _devices(place: str, devices: list[tuple[str, int]]) -> None:
    for name, descriptor in devices:
        _make_mount_point(f"{place}/{name}", False)
        kernel.bind(f"/proc/self/fd/{descriptor}", f"{place}/{name}", False)
        os.close(descriptor)
    for name, target in DEVICE_LINKS.items():
        os.symlink(target, f"{place}/{name}")
    os.mkdir(f"{place}/shm", 0o1777)
    os.chmod(f"{place}/shm", 0o1777)


def _make_mount_point(place: str, is_directory: bool) -> None:
    if os.path.lexists(place):
        return
    if is_directory:
        os.makedirs(place)
        return
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
