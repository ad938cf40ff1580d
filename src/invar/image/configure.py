"""Run the maintainer scripts of composed packages as dpkg would after unpacking them all."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from invar.core.errors import InvarError
from invar.debian.deb import UnpackedDeb
from invar.debian.dpkg import info_name
from invar.debian.lock import LockedPackage
from invar.image.collisions import diverted, read_diversions
from invar.image.compose import DPKG
from invar.sandbox.session import Session
from invar.sandbox.spec import Command

FIRST = ("base-passwd", "base-files")
"""Configured before all others: they make the accounts and the directories that every script takes for granted."""
_EARLY = ("mawk", "passwd")
_SECONDS = 900.0

_SET_OWNERSHIP = """
import json, os, sys
root, changes = sys.argv[1], json.load(sys.stdin)
for path, (uid, gid, mode) in changes.items():
    place = root + path
    if uid or gid:
        os.chown(place, uid, gid, follow_symlinks=False)
    if mode is not None:
        os.chmod(place, mode)
"""


def script_environment(epoch: int) -> dict[str, str]:
    """What maintainer scripts find in their environment: nobody to ask, and nothing that differs between two runs."""
    return {
        "DEBIAN_FRONTEND": "noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN": "true",
        "DEBCONF_NOWARNINGS": "yes",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PERL_HASH_SEED": "0",
        "SYSTEMD_OFFLINE": "1",
    }


def configure(
    session: Session, merged: Path, packages: list[LockedPackage], debs: Mapping[str, UnpackedDeb], epoch: int
) -> None:
    """Take every package from "unpacked" to "installed" in the session's root, which is mounted at `merged`.

    `packages` is in configuration order. Raises InvarError that names the package whose script failed, with its last
    words.
    """
    environment = script_environment(epoch)
    set_ownership(session, merged, debs)
    _run(session, ("sh", "-c", preinst_script(packages, debs)), environment)
    _apply_diversions(session, merged, debs)
    for names in configuration_steps(packages):
        options = ("--force-depends",) if names else ()
        _run(
            session,
            ("dpkg", "--log=/dev/null", "--force-unsafe-io", *options, "--configure", *(names or ("-a",))),
            environment,
        )


def set_ownership(session: Session, merged: Path, debs: Mapping[str, UnpackedDeb]) -> None:
    """Give files the owners and modes that their packages say: the store's copies belong to whoever unpacked them."""
    changes: dict[str, tuple[int, int, int | None]] = {}
    for deb in debs.values():
        for path in sorted({*deb.owners, *deb.modes}):
            owner = deb.owners.get(path)
            mode = deb.modes.get(path)
            if owner and mode is None and not (deb.data / path.lstrip("/")).is_symlink():
                mode = (deb.data / path.lstrip("/")).stat().st_mode & 0o7777
            changes.setdefault(path, (owner.uid if owner else 0, owner.gid if owner else 0, mode))
    _run_inside(session, _SET_OWNERSHIP, (str(merged),), json.dumps(changes))


def preinst_script(packages: list[LockedPackage], debs: Mapping[str, UnpackedDeb]) -> str:
    """A shell script that calls every `preinst install` as dpkg does, `FIRST` first, until one fails."""
    names = [package.name for package in packages]
    ordered = [name for name in FIRST if name in debs] + [name for name in names if name not in FIRST]
    lines = [
        "export DPKG_ADMINDIR=/var/lib/dpkg DPKG_ROOT=",
        "export DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1",
    ]
    lines.append(
        f"export DPKG_RUNNING_VERSION={shlex.quote(upstream(debs['dpkg'].version)) if 'dpkg' in debs else '1.22.0'}"
    )
    for name in ordered:
        deb = debs[name]
        if (deb.control / "preinst").is_file():
            script = f"/{DPKG}/info/{info_name(deb)}.preinst"
            lines.append(
                f"DPKG_MAINTSCRIPT_PACKAGE={name} DPKG_MAINTSCRIPT_ARCH={deb.architecture} {script} install"
                f" || {{ echo 'error processing package {name} (preinst)'; exit 1; }}"
            )
    return "\n".join(lines)


def configuration_steps(packages: list[LockedPackage]) -> list[tuple[str, ...]]:
    """What to hand to `dpkg --configure`, in turn; the empty tuple stands for all that are left."""
    locked = {package.name: package for package in packages}
    steps = [(name,) for name in FIRST if name in locked]
    roots = [package.name for package in packages if package.essential] + [name for name in _EARLY if name in locked]
    closure: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name in locked and name not in closure:
            closure.add(name)
            pending += [*locked[name].pre_depends, *locked[name].depends]
    base = tuple(package.name for package in packages if package.name in closure and package.name not in FIRST)
    return [*steps, *([base] if base else []), ()]


def upstream(version: str) -> str:
    """A Debian version without epoch and revision."""
    return version.partition(":")[2].partition("-")[0] if ":" in version else version.partition("-")[0]


def _apply_diversions(session: Session, merged: Path, debs: Mapping[str, UnpackedDeb]) -> None:
    """preinst scripts diverted files that lay in their final places already: put both files where they belong."""
    shown = session.run(Command(("cat", f"/{DPKG}/diversions")))
    for diversion, other in diverted(read_diversions(shown.output.decode()), debs):
        own = debs.get(diversion.package or "")
        moves = [(debs[other].data / diversion.path.lstrip("/"), diversion.target)]
        if own is not None and diversion.path in own.paths:
            moves.append((own.data / diversion.path.lstrip("/"), diversion.path))
        for source, target in moves:
            session.run(Command(("cp", "-a", "--remove-destination", str(source), f"{merged}{target}"), in_root=False))


def _run_inside(session: Session, program: str, arguments: tuple[str, ...], text: str) -> None:
    """Run a Python program with the host's interpreter and the sandbox's rights."""
    with tempfile.TemporaryFile() as stdin:
        stdin.write(text.encode())
        stdin.seek(0)
        session.run(Command((sys.executable, "-I", "-S", "-c", program, *arguments), in_root=False), stdin=stdin)


def _run(session: Session, argv: tuple[str, ...], environment: Mapping[str, str]) -> None:
    completed = session.run(Command(argv, environment=environment, timeout=_SECONDS), check=False)
    if completed.status == 0:
        return
    text = completed.output.decode(errors="replace")
    package = re.search(r"error processing package (\S+)", text)
    raise InvarError(
        f"the package {package[1]} could not be configured" if package else "the packages could not be configured",
        where=" ".join(argv[:4]) if argv[0] == "dpkg" else "preinst scripts",
        why="\n".join(text.strip().splitlines()[-25:]),
        hint="if the package needs a service or a device while it is installed, it can't be part of an image",
    )
