"""Compiled code for instances: Python's byte code and compiled Nix, made ahead by the very Python that is in the image.

Without it every boot of every instance would compile Invar and the module library anew: nothing that is compiled on an
instance is kept on a disk, where verity would not prove it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from invar.core.canonical import digest
from invar.core.events import Report
from invar.debian.lock import Lock, LockedPackage
from invar.debian.mirrors import Mirrors
from invar.debian.provision import fetch_and_unpack
from invar.image.instance_files import CODE
from invar.sandbox.removal import remove_tree
from invar.sandbox.session import Session
from invar.sandbox.spec import Command, Overlay
from invar.store.objects import Store

KIND = "compiled-code"
REVISION = 1
"""Raised when the same sources give other bytes."""

PYTHON = "python3"
_ROOT = "base-files"
"""Has the links of a merged /usr, through which a program finds its loader."""

_SECONDS = 300.0
_PACKAGE = f"/{CODE}/invar"
_BYTE_CODE = ("python3", "-m", "compileall", "-q", "-j1", "--invalidation-mode", "unchecked-hash", _PACKAGE)
"""At run time it is not compared with its source: verity proves both."""
_NIX = ("python3", "-B", "-m", "invar.nix.precompile", f"{_PACKAGE}/nix/precompiled", f"{_PACKAGE}/nixos")
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1", "PYTHONPATH": f"/{CODE}"}
"""Byte code must not depend on the order of sets."""


def compiled_code(
    code: Mapping[str, bytes], lock: Lock, store: Store, mirrors: Mirrors, report: Report
) -> dict[str, bytes]:
    """What is compiled of `code` (`instance_files.own_code`), by path below the package; nothing without Python.

    Made once of the same sources and Python packages. Raises InvarError when a package can't be had, or a source is
    wrong.
    """
    packages = python_packages(lock)
    if not packages:
        return {}
    key = digest(
        {
            "revision": REVISION,
            "architecture": lock.architecture,
            "packages": [package.sha256 for package in packages],
            "code": {path: hashlib.sha256(content).hexdigest() for path, content in code.items()},
        }
    )
    with report.stage("compiled code") as stage, store.creating(KIND, key) as temporary:
        stage.cached = temporary is None
        if temporary is not None:
            temporary.mkdir()
            scratch = temporary / "scratch"
            scratch.mkdir()
            try:
                _compile(code, packages, scratch, temporary, store, mirrors, report, lock.date)
            finally:
                remove_tree(scratch)
    root = store.path(KIND, key)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def python_packages(lock: Lock) -> tuple[LockedPackage, ...]:
    """Python and all that it depends on, as the lock has it for the image; empty where the image has none."""
    image = {package.name: package for package in lock.image_packages()}
    if PYTHON not in image or _ROOT not in image:
        return ()
    found = {_ROOT}
    new = {PYTHON}
    while new:
        found |= new
        depended = {name for one in new for name in (*image[one].pre_depends, *image[one].depends)}
        new = {name for name in depended if name in image} - found
    return tuple(image[name] for name in sorted(found))


def _compile(
    code: Mapping[str, bytes],
    packages: Sequence[LockedPackage],
    scratch: Path,
    output: Path,
    store: Store,
    mirrors: Mirrors,
    report: Report,
    date: str | None,
) -> None:
    debs = fetch_and_unpack(packages, store, mirrors, report, date=date)
    sources = scratch / "sources"
    for path, content in code.items():
        place = sources / CODE / "invar" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    overlay = Overlay((sources, *(deb.data for deb in debs.values())), scratch / "root")
    overlay.scratch.mkdir()
    with Session(overlay) as session:
        for argv in (_BYTE_CODE, _NIX):
            session.run(Command(argv, environment=_ENVIRONMENT, timeout=_SECONDS))
    made = overlay.upper / CODE / "invar"
    for compiled in sorted(one for one in made.rglob("*") if one.is_file()):
        place = output / compiled.relative_to(made)
        place.parent.mkdir(parents=True, exist_ok=True)
        compiled.rename(place)
