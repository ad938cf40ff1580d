"""From what Nix built to what is published: the same as of any image, with NixOS's own identity."""

from __future__ import annotations

from pathlib import Path

from invar.aws.blocks import block_map
from invar.aws.images import Architecture
from invar.core.events import Report
from invar.engines.nix import NixImage
from invar.engines.repository import revision_of, source_of
from invar.flakes.place import flake_directory, is_url
from invar.fleet.publish import Artifact
from invar.fleet.tags import Identity
from invar.store.objects import Store

ARCHITECTURES: dict[str, Architecture] = {"amd64": "x86_64", "arm64": "arm64"}


def nix_artifact(image: NixImage, place: str, attribute: str | None, store: Store, report: Report) -> Artifact:
    """The raw disk with its block map (made once for each content), identity and documents.

    `place` and `attribute` are what was built; where that is in a repository, its commit is part of the identity.
    """
    reference, _, fragment = place.partition("#")
    file = None if is_url(reference) else _file(Path(reference or ".").expanduser().absolute())
    revision = None if file is None else revision_of(file.parent)
    return Artifact(
        path=image.raw,
        blocks=block_map(store, image.content_key, image.raw, report),
        identity=Identity(
            configuration=image.name,
            system_digest=image.system_digest,
            spec_digest=image.spec_digest,
            lock_digest=image.lock_digest,
            commit=None if revision is None else revision.commit,
            dirty=revision is not None and revision.dirty,
            source=source_of(file) if file is not None and revision is not None and revision.commit else None,
            output=attribute or fragment or None,
            engine="nix",
        ),
        architecture=ARCHITECTURES[image.architecture],
        boot_mode=image.boot_mode,
        documents=image.documents(),
    )


def _file(place: Path) -> Path:
    """The file that stands for a place: of a flake its flake.nix."""
    directory = flake_directory(place)
    if directory is not None:
        return directory / "flake.nix"
    return place / "configuration.nix" if place.is_dir() else place
