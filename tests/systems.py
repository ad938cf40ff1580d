"""Small systems to compare."""

from __future__ import annotations

import dataclasses
from typing import Any

from invar.system.record import Check, Disk, EtcEntry, StoreObject, System, User

HASH = "0123456789abcdfghijklmnpqrsvwxyz"
OTHER_HASH = HASH[::-1]

EMPTY = System(
    name="web",
    host_name="web",
    architecture="amd64",
    packages=("nginx",),
    kernel_package="linux-image-cloud-amd64",
    kernel_params=("panic=1", "console=ttyS0"),
    initrd_modules=("nvme",),
    etc=(),
    store_objects=(),
    users=(),
    groups=(),
    checks=(),
    disk=Disk(None, "invar-web-amd64"),
    state_version="25.11",
)


def system(**fields: Any) -> System:
    """`EMPTY` with some fields of its own."""
    return dataclasses.replace(EMPTY, **fields)


def etc(target: str, text: str | None = None, source: str | None = None, mode: str = "0444") -> EtcEntry:
    """An entry of /etc: a file, or a link when it has a source."""
    return EtcEntry(target, text, source, "symlink" if source else mode, "root", "root")


def script(name: str, text: str, *, hashed: str = HASH, executable: bool = True) -> StoreObject:
    """A store object that is one file."""
    return StoreObject(f"/nix/store/{hashed}-{name}", {"": {"type": "file", "text": text, "executable": executable}})


def user(name: str, **fields: Any) -> User:
    """A normal user."""
    made = User(name, None, "users", (), "", f"/home/{name}", True, "/bin/bash", True, None)
    return dataclasses.replace(made, **fields)


def check(name: str, **fields: Any) -> Check:
    """A check of a port."""
    return dataclasses.replace(Check(name, "tcp", 60, port=22), **fields)
