"""From what Nix built to what is published: the same as of any image, with NixOS's own identity."""

from __future__ import annotations

from pathlib import Path

from invar.aws.blocks import block_map
from invar.aws.images import Architecture
from invar.core.events import Report
from invar.engines.engine import BuiltImage
from invar.engines.repository import revision_of
from invar.fleet.publish import Artifact
from invar.fleet.tags import Identity
from invar.store.objects import Store

ARCHITECTURES: dict[str, Architecture] = {"amd64": "x86_64", "arm64": "arm64"}


def nix_artifact(image: BuiltImage, place: Path, store: Store, report: Report) -> Artifact:
    """The raw disk with its block map (made once for each content), identity and documents.

    `place` is what was built; where that is in a repository, its commit is part of the identity.
    """
    directory = Path(str(place).partition("#")[0] or ".").absolute()
    revision = revision_of(directory if directory.is_dir() else directory.parent)
    return Artifact(
        path=image.raw,
        blocks=block_map(store, image.content_key, image.raw, report),
        identity=Identity(
            configuration=image.name,
            system_digest=image.system_digest,
            spec_digest=image.spec_digest,
            lock_digest=image.lock_digest,
            commit=revision.commit,
            dirty=revision.dirty,
        ),
        architecture=ARCHITECTURES[image.architecture],
        documents=image.documents(),
    )
