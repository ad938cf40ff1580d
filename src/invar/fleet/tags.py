"""The tags on Invar's images: what an image is, where it came from, and its place in the line of generations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from invar.aws.snapshot_start import TAG_BLOCKS

CONFIGURATION = "invar:configuration"
GENERATION = "invar:generation"
SYSTEM = "invar:system"
SPEC = "invar:spec"
LOCK = "invar:lock"
COMMIT = "invar:commit"
DIRTY = "invar:dirty"
PARENT = "invar:parent"
VERSION = "invar:version"
SOURCE = "invar:source"
"""Tag: the configuration's file, relative to its repository's root."""
OUTPUT = "invar:output"
"""Tag: of a flake's image the output, as it was named behind `#`; of a plain file that Nix built, the attribute."""
ENGINE = "invar:engine"
"""Tag: "nix" on what Nix built."""
RECORD = "invar:record"
"""Tag: the digest of the image's record (record.py)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What an image is. Digests are lower-case hex.

    `system_digest` is what makes an image the same image: of Invar's own engine the system digest, of another whatever
    follows from its content alone. `commit` None: not from a repository. `source` is the configuration's file in it,
    `output` what of that file was built. `engine` None: the native one.
    """

    configuration: str
    system_digest: str
    spec_digest: str
    lock_digest: str | None = None
    commit: str | None = None
    dirty: bool = False
    source: str | None = None
    output: str | None = None
    engine: str | None = None


def image_tags(
    identity: Identity, *, generation: int, parent: str | None, blocks: str, record: str, version: str
) -> dict[str, str]:
    """The tags of a new image.

    `parent`: system digest of the generation before; `blocks`: the block map's digest; `record`: the record's.
    """
    tags = {
        CONFIGURATION: identity.configuration,
        GENERATION: str(generation),
        SYSTEM: identity.system_digest,
        SPEC: identity.spec_digest,
        TAG_BLOCKS: blocks,
        RECORD: record,
        VERSION: version,
    }
    optional = {
        LOCK: identity.lock_digest,
        COMMIT: identity.commit,
        SOURCE: identity.source,
        OUTPUT: identity.output,
        ENGINE: identity.engine,
        DIRTY: "true" if identity.dirty else None,
        PARENT: parent,
    }
    return tags | {key: value for key, value in optional.items() if value is not None}


def generation_of(tags: Mapping[str, str]) -> int:
    """The generation that tags tell of; 0 when they tell of none."""
    text = tags.get(GENERATION, "")
    return int(text) if text.isdecimal() else 0
