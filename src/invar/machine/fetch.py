"""A published system into this machine: manifest, layers, kernel and initrd, each proven before it gets its name.

A transfer that was cut off goes on where it stopped; what is in the machine already is not fetched again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.image.layer import BLOCK
from invar.image.publication import (
    BootFile,
    Publication,
    configuration_path,
    initrd_path,
    kernel_path,
    read_configuration_document,
    read_publication,
    system_path,
)
from invar.image.verity import verify
from invar.machine import state
from invar.machine.cache_source import Absent, Broken, Source
from invar.machine.generations import Generation, LayerRecord
from invar.system.user_data import PublicKey, split_signature, verified

DOWNLOADS = state.STATE / "downloads"
"""What is on its way here, and kernels and initrds until they are in a boot entry."""

_ATTEMPTS = 5
_FIRST_PAUSE = 0.5
_SPARE_BYTES = 64 << 20
_MANIFEST_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class Part:
    """A file to fetch: its name in the cache, its place here, its size in bytes, and what proves it.

    `prove` raises InvarError for a file that is not what was asked for.
    """

    name: str
    place: Path
    bytes: int
    prove: Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A published system that is here, whole. `kernel` and `initrd` are None where they are those that run."""

    publication: Publication
    packages: LayerRecord
    config: LayerRecord
    kernel: Path | None
    initrd: Path | None


def find_publication(digest: str, sources: Sequence[Source]) -> tuple[Publication, Source]:
    """The manifest of a system digest, and the first cache that has it. Raises InvarError when none does."""
    faults = []
    for source in sources:
        try:
            text = _small(source, system_path(digest))
            return read_publication(text, digest, f"{source.address}/{system_path(digest)}"), source
        except (Absent, Broken) as error:
            faults.append(f"{source.address}: {error}")
        except InvarError as error:
            faults.append(f"{source.address}: {error.what} ({error.why})")
    raise InvarError(
        f"system {digest[:12]} cannot be had from a build cache",
        why="\n".join(faults) or "there is no cache to ask",
        hint="`invar cache export` puts a system into one; an image names its caches in invar.cache.url",
    )


def find_configuration(
    configuration_digest: str, sources: Sequence[Source], trusted: Sequence[PublicKey], report: Report
) -> str | None:
    """The digest of the system that a configuration was last built to, as the first cache that is believed tells it.

    Nothing but trust proves that: a signature by one of the keys, or, where there are no keys, who the cache is.
    """
    for source in sources:
        try:
            text = _small(source, configuration_path(configuration_digest))
            if trusted:
                text = verified(text, trusted)
            elif not source.authentic:
                raise InvarError("plain http is not believed without a signature")
            digest = read_configuration_document(split_signature(text)[0], configuration_digest)
            if digest is not None:
                return digest
            report.warn(f"{source.address}: what it says of configuration {configuration_digest[:12]} is no digest")
        except Absent:
            continue
        except (Broken, InvarError) as error:
            report.warn(f"{source.address}, of configuration {configuration_digest[:12]}: {error}")
    return None


def fetch(
    publication: Publication, source: Source, base: Generation, known: Sequence[Generation], report: Report
) -> Fetched:
    """Everything of a published system that is not here yet. `base` is the generation whose kernel may be its own.

    Raises InvarError when /var has no room, the cache gives no whole part, or a part is not what its name says.
    """
    packages = _layer("packages", publication)
    config = _layer("config", publication)
    here = {layer.root_hash for one in known for layer in (one.packages, one.config)}
    parts = [
        Part(f"layers/{layer.root_hash}", state.LAYERS / layer.file_name, layer.bytes, _proves_layer(layer))
        for layer in (packages, config)
        if layer.root_hash not in here
    ]
    files: dict[str, Path | None] = {"kernel": None, "initrd": None}
    for kind, file, name, own in (
        ("kernel", publication.kernel, kernel_path(publication.kernel), base.kernel_sha256),
        ("initrd", publication.initrd, initrd_path(publication.initrd), base.initrd_sha256),
    ):
        if file.sha256 != own:
            place = DOWNLOADS / f"{kind}-{file.sha256}"
            files[kind] = place
            parts.append(Part(name, place, file.bytes, _proves_file(file)))
    _fetch_parts(parts, source, report)
    return Fetched(publication, packages, config, files["kernel"], files["initrd"])


def _fetch_parts(parts: Sequence[Part], source: Source, report: Report) -> None:
    missing = [part for part in parts if not part.place.exists()]
    if not missing:
        return
    for directory in (DOWNLOADS, state.LAYERS):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    needed = sum(part.bytes - _have(_partial(part)) for part in missing)
    free = shutil.disk_usage(DOWNLOADS).free
    if needed + _SPARE_BYTES > free:
        raise InvarError(
            f"/var has {free >> 20} MiB left, and the system takes {needed >> 20} MiB more",
            hint="`invar delete-generations --keep 2 --yes` makes room, or a larger volume",
        )
    with report.stage("fetch"):
        for part in missing:
            report.note(f"{part.name[:24]}...: {part.bytes / 1e6:.1f} MB from {source.address}")
            fetch_part(part, source)


def fetch_part(part: Part, source: Source) -> None:
    """Fetch one file, from where an earlier transfer stopped; it has its name once it is proven. Raises InvarError."""
    partial = _partial(part)
    why = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
        try:
            _transfer(part, partial, source)
        except Absent as error:
            raise InvarError(f"{part.name} is not in the build cache", where=source.address, why=str(error)) from None
        except Broken as error:
            why = str(error)
            continue
        except OSError as error:
            raise InvarError(f"{partial} cannot be written", why=error.strerror) from error
        try:
            part.prove(partial)
        except InvarError:
            partial.unlink(missing_ok=True)
            raise
        partial.replace(part.place)
        state.sync_directory(part.place.parent)
        return
    raise InvarError(
        f"{part.name} cannot be fetched",
        where=source.address,
        why=why,
        hint="run it again: it goes on where it stopped",
    )


def _transfer(part: Part, partial: Path, source: Source) -> None:
    """Raises Absent, Broken, OSError. What has arrived stays, unless it is more than there should be."""
    offset = _have(partial)
    if offset > part.bytes:
        partial.unlink()
        offset = 0
    if offset == part.bytes:
        return
    with partial.open("ab") as file, source.open(part.name, offset) as (start, chunks):
        if start != offset:
            file.truncate(start)
        size = start
        for chunk in chunks:
            size += len(chunk)
            if size > part.bytes:
                file.truncate(0)
                raise Broken(f"it is longer than the {part.bytes} bytes that it should have")
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if size < part.bytes:
        raise Broken(f"it ended after {size} of {part.bytes} bytes")


def _small(source: Source, name: str) -> bytes:
    content = b""
    with source.open(name, 0) as (_, chunks):
        for chunk in chunks:
            content += chunk
            if len(content) > _MANIFEST_LIMIT:
                raise Broken(f"{name} is longer than {_MANIFEST_LIMIT} bytes")
    return content


def _partial(part: Part) -> Path:
    return DOWNLOADS / f"{part.place.name}.part"


def _have(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _layer(kind: str, publication: Publication) -> LayerRecord:
    layer = publication.packages if kind == "packages" else publication.config
    return LayerRecord(
        "packages" if kind == "packages" else "config",
        layer.root_hash,
        layer.salt,
        layer.data_blocks,
        layer.bytes // BLOCK,
    )


def _proves_layer(layer: LayerRecord) -> Callable[[Path], None]:
    return lambda path: verify(path, layer.root_hash, layer.salt, layer.data_blocks)


def _proves_file(file: BootFile) -> Callable[[Path], None]:
    def prove(path: Path) -> None:
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != file.sha256:
            raise InvarError(f"{path.name} is not what its name says", where=str(path), why=f"its SHA-256 is {found}")

    return prove
