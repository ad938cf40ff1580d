"""The packages layer: packages unpacked, configured, normalised, and sealed as EROFS with a verity hash tree."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from invar.core.canonical import digest
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.debian.deb import UnpackedDeb
from invar.debian.lock import Lock
from invar.debian.mirrors import Mirrors
from invar.debian.provision import fetch_and_unpack
from invar.image.compose import Composition, compose
from invar.image.configure import configure
from invar.image.finish import finish
from invar.image.layer import Layer, PackagesLayer
from invar.image.mkfs import make_from_tar
from invar.image.normalise import DEFAULT_EXCLUDES
from invar.image.pack import KERNEL, MANIFEST, MODULES, RESULT, Packed, pack_argv, read_result
from invar.image.programs import programs_by_package
from invar.image.tools import Tools
from invar.image.verity import append_hash_tree
from invar.sandbox.launch import last_lines
from invar.sandbox.removal import remove_tree
from invar.sandbox.session import Session
from invar.sandbox.spec import Bind, Command, Overlay
from invar.store.objects import Store

KIND = "packages-layer"
REVISION = 2
"""Raised whenever the same packages would give other bytes."""

IMAGE = "layer.img"
RECORD = "layer.json"

_COMPRESSION = ("-zlz4hc,level=3", "-C65536", "-Eztailpacking")
"""lz4 is what an emulated or a small machine reads fastest; larger clusters gain 2 % and cost every random read."""
_MAKERS = ("erofs-utils", "liblz4-1")
_PACK_SECONDS = 900.0


def layer_key(lock: Lock, path_excludes: Sequence[str] = ()) -> str:
    """The layer's identity: every package's hash, what is left out, the date, the compressor, and how it is built."""
    packages = [[package.name, package.version, package.sha256] for package in lock.image_packages()]
    return digest(
        {
            "revision": REVISION,
            "architecture": lock.architecture,
            "packages": packages,
            "excludes": _excludes(path_excludes),
            "epoch": lock.epoch,
            "compression": _COMPRESSION,
            "makers": [lock.sha256(name) for name in _MAKERS],
        }
    )


def build_packages_layer(
    lock: Lock, store: Store, tools: Tools, mirrors: Mirrors, report: Report, *, path_excludes: Sequence[str] = ()
) -> PackagesLayer:
    """The packages layer of a lock, built or found in the store. `path_excludes` adds dpkg patterns to the usual ones.

    The object holds the image, its record, the kernel, its modules, and `manifest.jsonl` (every path with type, mode,
    owner and SHA-256) to compare two layers by. Raises InvarError when packages can't be had, can't lie together or
    can't be configured.
    """
    key = layer_key(lock, path_excludes)
    with report.stage("packages layer") as stage, store.creating(KIND, key) as temporary:
        stage.cached = temporary is None
        if temporary is not None:
            debs = fetch_and_unpack(lock.image_packages(), store, mirrors, report, date=lock.date)
            temporary.mkdir()
            scratch = temporary / "scratch"
            scratch.mkdir()
            try:
                _build(lock, key, debs, tools, report, temporary, scratch, _excludes(path_excludes))
            finally:
                remove_tree(scratch)
    return load_packages_layer(store.path(KIND, key))


def load_packages_layer(root: Path) -> PackagesLayer:
    """The record of a packages layer that lies at `root` in the store."""
    data: dict[str, Any] = json.loads((root / RECORD).read_text(encoding="utf-8"))
    layer = Layer(
        kind="packages",
        key=data["key"],
        image=root / IMAGE,
        data_blocks=data["data_blocks"],
        total_blocks=data["total_blocks"],
        root_hash=data["root_hash"],
        salt=data["salt"],
    )
    return PackagesLayer(
        layer=layer,
        kernel=root / KERNEL,
        kernel_version=data["kernel_version"],
        modules=root / MODULES,
        accounts=data["accounts"],
        programs={name: tuple(paths) for name, paths in data["programs"].items()},
        packages=data["packages"],
    )


def _build(
    lock: Lock,
    key: str,
    debs: Mapping[str, UnpackedDeb],
    tools: Tools,
    report: Report,
    output: Path,
    scratch: Path,
    excludes: tuple[str, ...],
) -> None:
    with report.stage("compose"):
        composition = compose(debs, scratch)
    with report.stage("configure"):
        upper = configured_upper(lock, composition, debs, scratch)
    overlay = _overlay((upper, *composition.lowers), scratch / "finish")
    with Session(overlay) as session:
        with report.stage("finish"):
            finish(session, debs, lock.epoch)
        with report.stage("pack"):
            packed = pack(session, overlay.merged, tools, output, lock.epoch, excludes, key)
    with report.stage("verity"):
        tree = append_hash_tree(output / IMAGE, bytes.fromhex(key))
    record = {
        "key": key,
        "data_blocks": tree.data_blocks,
        "total_blocks": tree.total_blocks,
        "root_hash": tree.root_hash,
        "salt": tree.salt,
        "kernel_version": packed.kernel_version,
        "accounts": packed.accounts,
        "programs": programs_by_package(debs, output / MANIFEST),
        "packages": {name: deb.version for name, deb in debs.items()},
    }
    (output / RECORD).write_text(json.dumps(record, sort_keys=True), encoding="utf-8")
    (output / RESULT).unlink()


def configured_upper(lock: Lock, composition: Composition, debs: Mapping[str, UnpackedDeb], scratch: Path) -> Path:
    """Run the maintainer scripts under the shims; the directory of all that they wrote."""
    overlay = _overlay((composition.shims, *composition.lowers), scratch / "configure")
    with Session(overlay) as session:
        configure(session, overlay.merged, lock.image_packages(), debs, lock.epoch)
    for shim in composition.shims.rglob("*"):
        written = overlay.upper / shim.relative_to(composition.shims)
        if shim.is_file() and written.is_file() and not written.is_symlink():
            written.unlink()
    return overlay.upper


def pack(
    session: Session, merged: Path, tools: Tools, output: Path, epoch: int, excludes: tuple[str, ...], key: str
) -> Packed:
    """Stream the configured root, normalised, into mkfs.erofs; the image and the kernel appear in `output`.

    mkfs.erofs keeps the stream in a temporary file below `output/scratch`: it may be larger than memory. Any number of
    workers from 1 on gives the same bytes; none at all gives others.
    """
    argv = tools.command(
        [
            "mkfs.erofs",
            "--tar=f",
            "--sort=none",
            "--quiet",
            f"--workers={os.cpu_count() or 1}",
            "--all-time",
            f"-T{epoch}",
            f"-U{uuid.UUID(hex=key[:32])}",
            *_COMPRESSION,
            f"/output/{IMAGE}",
        ],
        binds=[Bind(output, "/output", read_only=False)],
        environment={"TMPDIR": "/output/scratch"},
    )
    command = Command(pack_argv(merged, output, epoch, excludes), timeout=_PACK_SECONDS, in_root=False)
    packer = make_from_tar(
        argv, lambda stream: session.run(command, stdout=stream, check=False), output, seconds=_PACK_SECONDS
    )
    if packer.status != 0:
        raise InvarError("the packages layer could not be packed", why=last_lines(packer.output))
    packed = read_result(output)
    if packed.kernel_version is None:
        raise InvarError("the packages contain no kernel", hint="ask for one, such as linux-image-cloud-amd64")
    return packed


def _overlay(lowers: tuple[Path, ...], scratch: Path) -> Overlay:
    scratch.mkdir()
    return Overlay(lowers, scratch)


def _excludes(path_excludes: Sequence[str]) -> tuple[str, ...]:
    return (*DEFAULT_EXCLUDES, *sorted(set(path_excludes) - set(DEFAULT_EXCLUDES)))
