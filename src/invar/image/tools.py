"""The tools layer: what a build and a local machine run (mkfs.erofs, QEMU, ...), out of locked Debian packages."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from invar.core.canonical import digest
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.debian.deb import UnpackedDeb
from invar.debian.lock import Lock
from invar.debian.mirrors import Mirrors
from invar.debian.provision import fetch_and_unpack
from invar.sandbox.launch import long_running_argv, run
from invar.sandbox.spec import Bind, Command, Completed, Directory
from invar.store.objects import Store

KIND = "tools"
REVISION = 1
"""Raised when the tree is made differently out of the same packages."""

_COMMON = (
    "busybox-static",
    "cryptsetup-bin",
    "dmsetup",
    "e2fsprogs",
    "erofs-utils",
    "kmod",
    "lz4",
    "netcat-openbsd",
    "openssh-client",
    "qemu-utils",
    "systemd-boot-efi",
    "zstd",
)
_BY_ARCHITECTURE = {
    "amd64": ("ovmf", "qemu-system-x86"),
    "arm64": ("qemu-efi-aarch64", "qemu-system-arm"),
}
_KEPT = ("usr", "etc")
_ALIASES = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_NOT_KEPT = (
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/locale/",
    "usr/share/info/",
    "usr/share/lintian/",
    "usr/share/bug/",
)


def tool_requests(architecture: str) -> tuple[str, ...]:
    """The packages to ask the lock for, by the image's architecture (the machine that builds has the same)."""
    return tuple(sorted((*_COMMON, *_BY_ARCHITECTURE[architecture])))


@dataclass(frozen=True, slots=True)
class Tools:
    """The unpacked tools. `root` is their root directory (`usr`, `etc`, `bin` -> `usr/bin`, ...), read-only to all.

    Nobody has run maintainer scripts in it: there are no users, no alternatives, no configuration.
    """

    root: Path

    def run(
        self,
        argv: Sequence[str],
        *,
        binds: Sequence[Bind] = (),
        stdin: IO[bytes] | int | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: str = "/",
        timeout: float = 600.0,
        check: bool = True,
    ) -> Completed:
        """Run a tool to its end, without network. Raises InvarError with the last lines of its output.

        Binds of host paths may have the same path inside, except below `/usr` and `/etc`.
        """
        command = Command(tuple(argv), environment=environment or {}, cwd=cwd, timeout=timeout)
        return run(command, Directory(self.root), binds=binds, stdin=stdin, check=check)

    def command(
        self,
        argv: Sequence[str],
        *,
        binds: Sequence[Bind] = (),
        network: bool = False,
        environment: Mapping[str, str] | None = None,
        cwd: str = "/",
    ) -> list[str]:
        """The argv for a `subprocess.Popen` that runs a tool for long, such as QEMU; `network` shares the host's.

        See `invar.sandbox.launch.long_running_argv` for signals and exit status. Hand `Bind(Path("/dev/kvm"),
        "/dev/kvm", read_only=False)` in for hardware virtualisation.
        """
        command = Command(tuple(argv), environment=environment or {}, cwd=cwd)
        return long_running_argv(command, Directory(self.root), binds=binds, network=network)

    def path(self, inside: str) -> Path:
        """A file of the tools ("usr/share/OVMF/OVMF_CODE_4M.fd") as the host sees it. InvarError if there is none."""
        found = self.root / inside
        if not found.exists():
            raise InvarError(
                f"the tools lack /{inside}", where=str(self.root), hint="run `invar lock` to lock current tools"
            )
        return found


def realise_tools(lock: Lock, store: Store, mirrors: Mirrors, report: Report) -> Tools:
    """The lock's tools, fetched, unpacked and put into one tree by hard links; found again by the packages' hashes."""
    packages = lock.tool_packages()
    key = digest({"revision": REVISION, "packages": [package.sha256 for package in packages]})
    found = store.find(KIND, key)
    with report.stage("tools") as stage:
        stage.cached = found is not None
        if found is None:
            unpacked = fetch_and_unpack(packages, store, mirrors, report, date=lock.date)
            with store.creating(KIND, key) as temporary:
                if temporary is not None:
                    link_tree(unpacked.values(), temporary)
    return Tools(store.path(KIND, key))


def link_tree(packages: Iterable[UnpackedDeb], root: Path) -> None:
    """One tree of hard links to the packages' files under /usr and /etc, with /bin, /lib, ... as links into /usr.

    Of files that several packages have, the first package's stays: tools diverge in nothing that matters here.
    """
    (root / "usr").mkdir(parents=True)
    (root / "etc").mkdir()
    for alias in _ALIASES:
        (root / alias).symlink_to(f"usr/{alias}")
    for package in packages:
        _link(str(package.data), "", str(root))


def _link(source: str, inside: str, root: str) -> None:
    with os.scandir(f"{source}/{inside}" if inside else source) as entries:
        for entry in entries:
            path = f"{inside}/{entry.name}" if inside else entry.name
            if not inside and entry.name not in (*_KEPT, *_ALIASES):
                continue
            if f"{path}/".startswith(_NOT_KEPT):
                continue
            place = f"{root}/{path}"
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                Path(place).mkdir(parents=True, exist_ok=True)
                _link(source, path, root)
            elif not os.path.lexists(place):
                os.link(entry.path, place, follow_symlinks=False)
