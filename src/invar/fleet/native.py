"""From what the native engine built to what is published."""

from __future__ import annotations

from collections.abc import Callable

from invar.aws.blocks import block_map
from invar.aws.images import Architecture
from invar.core.events import Report
from invar.engines.native_results import Built
from invar.engines.project import Project
from invar.engines.repository import source_of
from invar.fleet.publish import PROVENANCE, SIGNED, Artifact
from invar.fleet.tags import Identity
from invar.image.provenance import with_disk
from invar.store.objects import Store

ARCHITECTURES: dict[str, Architecture] = {"amd64": "x86_64", "arm64": "arm64"}


def native_artifact(
    built: Built, project: Project, store: Store, report: Report, sign: Callable[[bytes], bytes] | None = None
) -> Artifact:
    """The raw image with its block map (made once for each image), identity, and every document beside it.

    The provenance then speaks of the disk too; `sign` makes the envelope that is kept with it.
    """
    image, artifact, revision = built.image, built.artifact, built.revision
    blocks = block_map(store, image.key, artifact.file, report)
    documents = {path.name: path.read_bytes() for path in sorted(artifact.directory.iterdir()) if path != artifact.file}
    if PROVENANCE in documents:
        documents[PROVENANCE] = with_disk(documents[PROVENANCE], blocks.digest)
        if sign is not None:
            documents[SIGNED] = sign(documents[PROVENANCE])
    return Artifact(
        path=artifact.file,
        blocks=blocks,
        identity=Identity(
            configuration=built.system.name,
            system_digest=image.system_digest,
            spec_digest=image.spec_digest,
            lock_digest=built.lock.digest,
            commit=revision.commit,
            dirty=revision.dirty,
            source=source_of(project.configuration) if revision.commit else None,
            output=(project.target.fragment or None) if project.target is not None else None,
        ),
        architecture=ARCHITECTURES[image.architecture],
        documents=documents,
    )
