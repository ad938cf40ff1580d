"""What a sandbox is asked for: a root, binds, a command; and what a command gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOST_NAME = "localhost"
"""The host name seen inside, whatever the machine is called."""

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
}
"""The whole environment of a command, but for what the command adds."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or directory of the host seen inside at `target` (absolute; created where the root lets it be)."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Directory:
    """A root that is a plain directory.

    Unless `writable`, its top-level entries are bound read-only into a fresh tmpfs, so that mount points for binds can
    be made beside them and the directory itself stays untouched.
    """

    path: Path
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Overlay:
    """A root that is an overlay of directories, `lowers[0]` on top, any number of them.

    `scratch` is an existing directory on a file system that can hold an upper layer; `upper`, `work` and `merged` are
    made in it. Only one overlay at a time may use it.
    """

    lowers: tuple[Path, ...]
    scratch: Path

    @property
    def upper(self) -> Path:
        """What was written, after the kernel's Documentation/filesystems/overlayfs.rst."""
        return self.scratch / "upper"

    @property
    def merged(self) -> Path:
        """Where the overlay is mounted; only processes of the sandbox see it."""
        return self.scratch / "merged"


Root = Directory | Overlay


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run inside. `argv[0]` is looked up in the PATH of the environment.

    `environment` adds to `ENVIRONMENT`. `timeout` is in seconds, for everything. With `in_root` false the program is
    the host's own: it sees the host's files (and an overlay at `Overlay.merged`) with the user's and mount namespace's
    rights.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    timeout: float = 600.0
    in_root: bool = True

    def to_data(self) -> dict[str, Any]:
        """As plain data for the program inside."""
        return {
            "argv": list(self.argv),
            "environment": {**ENVIRONMENT, **self.environment},
            "cwd": self.cwd,
            "uid": self.uid,
            "gid": self.gid,
            "in_root": self.in_root,
        }


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended: exit status (128 + signal number when killed), and its stdout and stderr, interleaved."""

    status: int
    output: bytes
