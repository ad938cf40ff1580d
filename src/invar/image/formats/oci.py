"""An OCI image in a tar file, which is also what `docker load` takes: one layer of the image for each of the system's.

Follows the OCI image format specification 1.1 (image-layout.md, manifest.md, config.md, layer.md) and, for Docker
before 25, the manifest.json of `docker save`. The packages are a layer of their own: a registry has it already when
only the configuration has changed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from invar.core.canonical import canonical_json
from invar.image.assemble import Image
from invar.image.erofs_tree import Contents
from invar.image.formats.gzipped import gzipped
from invar.image.formats.tarball import END, write_directory, write_member
from invar.image.layer import Layer
from invar.image.pieces import Piece
from invar.image.rootfs import unpacked
from invar.image.tools import Tools
from invar.image.tree import Tree, text_file, write_tar

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BLOBS = "blobs/sha256"
WHITEOUT = ".wh."

STOP_SIGNAL = "SIGRTMIN+3"
"""systemd's signal for a clean end (systemd(1), "Signals")."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Content by its SHA-256 in lower-case hex; `size` is in bytes."""

    kind: str
    digest: str
    size: int
    content: Piece

    @classmethod
    def of(cls, kind: str, value: Any) -> Blob:
        """A JSON document."""
        data = canonical_json(value)
        return cls(kind, hashlib.sha256(data).hexdigest(), len(data), data)

    @property
    def descriptor(self) -> dict[str, Any]:
        """How other documents refer to it."""
        return {"mediaType": self.kind, "digest": f"sha256:{self.digest}", "size": self.size}

    @property
    def path(self) -> str:
        """Where it is in the layout."""
        return f"{BLOBS}/{self.digest}"


@dataclass(frozen=True, slots=True)
class Oci:
    """For Docker, Podman and Kubernetes: systemd is PID 1, so the container needs what systemd needs."""

    name: str = "docker"
    aliases: tuple[str, ...] = ("oci",)
    suffix: str = "oci.tar"
    description: str = "OCI image with systemd as PID 1: docker load, podman load, skopeo"
    is_disk: bool = False

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write blobs, index and manifests."""
        made = [_layer(layer, path.parent, image.epoch, tools) for layer in (image.packages, image.config)]
        layers = [blob for blob, _ in made]
        config = Blob.of(CONFIG, _config(image, [diff for _, diff in made]))
        annotations = _annotations(image)
        manifest = Blob.of(
            MANIFEST,
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config.descriptor,
                "layers": [layer.descriptor for layer in layers],
                "annotations": annotations,
            },
        )
        name = f"{image.base_name}:{image.system_digest[:12]}"
        tag = {"org.opencontainers.image.ref.name": image.system_digest[:12], "io.containerd.image.name": name}
        entry = {**manifest.descriptor, "annotations": tag, "platform": _platform(image)}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        docker = [{"Config": config.path, "RepoTags": [name], "Layers": [layer.path for layer in layers]}]
        with path.open("xb") as output:
            for directory in ("blobs/", f"{BLOBS}/"):
                write_directory(output, directory, epoch=image.epoch)
            for blob in (*layers, config, manifest):
                write_member(output, blob.path, [blob.content], epoch=image.epoch)
            for file, value in (
                ("index.json", index),
                ("manifest.json", docker),
                ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
            ):
                write_member(output, file, [canonical_json(value)], epoch=image.epoch)
            output.write(END)
        for layer in layers:
            cast("Path", layer.content).unlink()


def _layer(layer: Layer, directory: Path, epoch: int, tools: Tools) -> tuple[Blob, str]:
    """A layer's gzipped tar in a file of `directory`, and the SHA-256 of the tar itself."""
    place = directory / f"{layer.kind}.tar.gz"
    with unpacked(layer, directory / layer.kind, tools) as contents, gzipped(place, tools) as stream:
        hashing = _Hashing(stream)
        write_tar(with_whiteouts(contents), cast("IO[bytes]", hashing), None, epoch)
    with place.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Blob(LAYER, digest, place.stat().st_size, place), hashing.sha256.hexdigest()


def with_whiteouts(contents: Contents) -> Tree:
    """The tree with an empty `.wh.NAME` for every name that hides one below (layer.md, "Whiteouts")."""
    marks = {}
    for path in contents.whiteouts:
        directory, _, name = path.rpartition("/")
        marks[f"{directory}/{WHITEOUT}{name}" if directory else WHITEOUT + name] = text_file("")
    return contents.tree | marks


class _Hashing:
    """A stream that passes everything on and keeps its hash."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write to the stream behind."""
        self.sha256.update(data)
        return self._stream.write(data)


def _config(image: Image, diff_ids: list[str]) -> dict[str, Any]:
    created = _created(image)
    return {
        **_platform(image),
        "created": created,
        "config": {
            "Cmd": ["/sbin/init"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=oci"],
            "Labels": _annotations(image),
            "StopSignal": STOP_SIGNAL,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in diff_ids]},
        "history": [
            {"created": created, "created_by": "invar build", "comment": f"the {layer.kind} layer"}
            for layer in (image.packages, image.config)
        ],
    }


def _platform(image: Image) -> dict[str, str]:
    return {"architecture": image.architecture, "os": "linux"}


def _annotations(image: Image) -> dict[str, str]:
    return {
        "invar.spec-digest": image.spec_digest,
        "invar.system-digest": image.system_digest,
        "org.opencontainers.image.created": _created(image),
        "org.opencontainers.image.title": image.base_name,
        "org.opencontainers.image.version": image.system_digest[:12],
    }


def _created(image: Image) -> str:
    return datetime.fromtimestamp(image.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
