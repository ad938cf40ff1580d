"""From what the native engine built to what is published."""

from __future__ import annotations

from invar.aws.blocks import block_map
from invar.aws.images import Architecture
from invar.core.events import Report
from invar.engines.native import Built
from invar.fleet.publish import Artifact
from invar.fleet.source import Source
from invar.fleet.tags import Identity
from invar.store.objects import Store

ARCHITECTURES: dict[str, Architecture] = {"amd64": "x86_64", "arm64": "arm64"}


def native_artifact(built: Built, source: Source | None, store: Store, report: Report) -> Artifact:
    """The raw image with its block map (made once for each image), identity, and every document beside it."""
    image, artifact = built.image, built.artifact
    return Artifact(
        path=artifact.file,
        blocks=block_map(store, image.key, artifact.file, report),
        identity=Identity(
            configuration=built.system.name,
            system_digest=image.system_digest,
            spec_digest=image.spec_digest,
            lock_digest=built.lock.digest,
            commit=None if source is None else source.commit,
            dirty=source is not None and source.dirty,
            source=None if source is None else source.path,
        ),
        architecture=ARCHITECTURES[image.architecture],
        documents={
            path.name: path.read_bytes() for path in sorted(artifact.directory.iterdir()) if path != artifact.file
        },
    )
