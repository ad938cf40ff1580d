"""The System: the value of f(configuration, lock). Plain data, no timestamps, no host facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from invar.core.canonical import digest

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class EtcEntry:
    """One file of /etc. Exactly one of `text` and `source` is set.

    `target` is relative to /etc. `source` is an absolute path in the image (a store path, or /usr/...): then, or when
    `mode` is "symlink", the entry is a symbolic link; else it is a regular file with octal `mode` ("0644").
    """

    target: str
    text: str | None
    source: str | None
    mode: str
    user: str
    group: str


@dataclass(frozen=True, slots=True)
class StoreObject:
    """One path under /nix/store made from the configuration: a text file, or a directory of files and links.

    `path` is the absolute store path. `entries` maps a relative path ("" for the object itself) to a node:
    {"type": "file", "text": str, "executable": bool} | {"type": "symlink", "target": str} | {"type": "directory"}.
    `package` names the Debian packages whose programs the object links to: then `entries` is empty and the config layer
    makes `bin/NAME` -> /usr/bin/NAME (or /usr/sbin/NAME) out of those packages' file lists, `share` -> /usr/share,
    `lib` -> /usr/lib, `etc` -> /etc.
    """

    path: str
    entries: dict[str, dict[str, Any]]
    package: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A declared user. `uid` None: derived from the name. `hashed_password` None: no password login."""

    name: str
    uid: int | None
    group: str
    extra_groups: tuple[str, ...]
    description: str
    home: str
    create_home: bool
    shell: str
    normal: bool
    hashed_password: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """A declared group. `gid` None: derived from the name."""

    name: str
    gid: int | None
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """What must hold on a machine that runs the system (`invar.checks.NAME`).

    kind "unit": `unit` is active. "tcp": `port` accepts. "http": GET `path` on `port` gives `status` and, when set, a
    body that contains `body`. "command": `command` (argv, run inside as `user`) exits 0. `timeout` in seconds.
    """

    name: str
    kind: Literal["unit", "tcp", "http", "command"]
    timeout: int
    unit: str | None = None
    port: int | None = None
    path: str | None = None
    status: int | None = None
    body: str | None = None
    command: tuple[str, ...] = ()
    user: str = "root"


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the image. `size_mib` None: automatic. `base_name` is the image's file name without its ending."""

    size_mib: int | None
    base_name: str


@dataclass(frozen=True, slots=True)
class System:
    """Packages, /etc, users, kernel command line and checks of one configuration under one lock."""

    name: str
    host_name: str
    architecture: Literal["amd64", "arm64"]
    packages: tuple[str, ...]
    kernel_package: str
    kernel_params: tuple[str, ...]
    initrd_modules: tuple[str, ...]
    etc: tuple[EtcEntry, ...]
    store_objects: tuple[StoreObject, ...]
    users: tuple[User, ...]
    groups: tuple[Group, ...]
    checks: tuple[Check, ...]
    disk: Disk
    state_version: str
    path_excludes: tuple[str, ...] = ()
    machine: bool = False
    """Whether Invar itself is in the image, so that instances switch by themselves (`invar.machine.enable`)."""
    origins: dict[str, str] = field(default_factory=dict, compare=False)
    """Where each package was asked for ("file:line"); for messages only, not part of the identity."""

    def to_data(self) -> dict[str, Any]:
        """The record as plain JSON data, without `origins`."""
        data = plain(self)
        assert isinstance(data, dict)
        del data["origins"]
        return {"schema": SCHEMA, **data}

    @property
    def spec_digest(self) -> str:
        """SHA-256 of the canonical JSON: the identity of the input."""
        return digest(self.to_data())


def plain(value: Any) -> Any:
    """A dataclass tree as dicts, lists and scalars."""
    slots = getattr(type(value), "__dataclass_fields__", None)
    if slots is not None:
        return {name: plain(getattr(value, name)) for name in slots}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
