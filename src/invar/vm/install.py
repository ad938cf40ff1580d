"""Where QEMU, its firmware and the ssh client come from: the tools layer, or (for development) the host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.image.tools import Tools
from invar.sandbox.launch import sandbox_argv
from invar.sandbox.spec import Bind, Command, Directory

_RELAY = Path(__file__).with_name("relay.py")
_FIRMWARE_CODE = "usr/share/OVMF/OVMF_CODE_4M.fd"
_FIRMWARE_VARS = "usr/share/OVMF/OVMF_VARS_4M.fd"
_NETCAT = "usr/bin/nc.openbsd"
_VERSION_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class QemuInstall:
    """A QEMU for x86-64 with OVMF.

    `system` and `image` are argv prefixes of qemu-system-x86_64 and qemu-img, `relay` one of the program that QEMU
    starts with the name of a unix socket to join with its standard input and output. `firmware_code` is a path as QEMU
    sees it, `firmware_vars` one of the host. `root` is the directory in which they run as their root; None means the
    host's own.
    """

    system: tuple[str, ...]
    image: tuple[str, ...]
    relay: tuple[str, ...]
    firmware_code: str
    firmware_vars: Path
    root: Path | None

    @classmethod
    def from_tools(cls, tools: Tools) -> QemuInstall:
        """The tools layer's QEMU, run in a sandbox. Raises InvarError when the tools lack a part of it."""
        tools.path("usr/bin/qemu-system-x86_64")
        tools.path(_FIRMWARE_CODE)
        tools.path(_NETCAT)
        return cls(
            system=("qemu-system-x86_64",),
            image=("qemu-img",),
            relay=(f"/{_NETCAT}", "-N", "-U"),
            firmware_code=f"/{_FIRMWARE_CODE}",
            firmware_vars=tools.path(_FIRMWARE_VARS),
            root=tools.root,
        )

    @classmethod
    def from_host(cls, system: Sequence[str], image: Sequence[str], firmware: Path) -> QemuInstall:
        """A QEMU of the host, given as argv prefixes, with OVMF's two files in the directory `firmware`."""
        return cls(
            system=tuple(system),
            image=tuple(image),
            relay=(sys.executable, "-I", "-S", str(_RELAY)),
            firmware_code=str(firmware / Path(_FIRMWARE_CODE).name),
            firmware_vars=firmware / Path(_FIRMWARE_VARS).name,
            root=None,
        )

    def argv(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        reads: Sequence[Path] = (),
        writes: Sequence[Path] = (),
        lifeline: int | None = None,
    ) -> list[str]:
        """The argv that runs a command in `cwd`, with the host's network, where the paths named have the same names.

        `lifeline` is an inherited descriptor of a pipe: what runs in a sandbox is killed when the pipe's other end
        closes.
        """
        if self.root is None:
            return list(command)
        own = [cwd] if cwd != Path("/") else []
        paths = [*((path, True) for path in reads), *((path, False) for path in (*writes, *own))]
        binds = [Bind(path, str(path), read_only=read_only) for path, read_only in paths]
        inside = Command(tuple(command), cwd=str(cwd))
        return sandbox_argv(inside, Directory(self.root), binds, True, lifeline=lifeline, fault=None)

    def version(self) -> tuple[int, int]:
        """QEMU's major and minor version. Raises InvarError when it can't be run."""
        argv = self.argv((*self.system, "--version"), cwd=Path("/"))
        try:
            said = subprocess.run(argv, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False)
        except FileNotFoundError as fault:
            raise InvarError(f"there is no {fault.filename} here") from fault
        return parse_version(said.stdout + said.stderr)


@dataclass(frozen=True, slots=True)
class SshInstall:
    """The OpenSSH client as argv prefixes. It runs in the host's file system: it needs the user's terminal and name."""

    ssh: tuple[str, ...]
    keygen: tuple[str, ...]
    keyscan: tuple[str, ...]

    @classmethod
    def from_tools(cls, tools: Tools) -> SshInstall:
        """The tools layer's client, started through the tools' own dynamic loader."""
        loaders = sorted((tools.root / "usr").glob("lib*/ld-linux-*.so.*"))
        library_paths = sorted(path for path in (tools.root / "usr/lib").glob("*-linux-gnu") if path.is_dir())
        if not loaders or not library_paths:
            raise InvarError(
                "the tools have no dynamic loader", where=str(tools.root), hint="run `invar lock` to lock current tools"
            )
        loader = (str(loaders[0]), "--library-path", ":".join(map(str, library_paths)))
        return cls(
            ssh=(*loader, str(tools.path("usr/bin/ssh"))),
            keygen=(*loader, str(tools.path("usr/bin/ssh-keygen"))),
            keyscan=(*loader, str(tools.path("usr/bin/ssh-keyscan"))),
        )

    @classmethod
    def from_host(cls) -> SshInstall:
        """The host's client. Raises InvarError when there is none."""
        found = [shutil.which(name) for name in ("ssh", "ssh-keygen", "ssh-keyscan")]
        ssh, keygen, keyscan = found
        if ssh is None or keygen is None or keyscan is None:
            raise InvarError("there is no OpenSSH client here", hint="install openssh-client, or use the tools layer")
        return cls((ssh,), (keygen,), (keyscan,))


def parse_version(text: str) -> tuple[int, int]:
    """The major and minor version that `qemu-system-x86_64 --version` prints."""
    found = re.search(r"version (\d+)\.(\d+)", text)
    if found is None:
        raise InvarError("QEMU does not tell its version", why=text.strip() or None)
    return int(found[1]), int(found[2])
