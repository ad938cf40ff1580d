"""What the native engine gives back: a lock that agrees with a configuration, an image in the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from invar.debian.lock import Lock

if TYPE_CHECKING:  # evaluation alone needs none of this, and loading it takes as long as evaluating
    from invar.debian.changes import Change
    from invar.engines.repository import Revision
    from invar.image.assemble import Image
    from invar.image.documents import BuildRecord
    from invar.image.formats import Artifact
    from invar.image.tools import Tools
    from invar.system.record import System


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock, what it changes against the one before, and whether the file was (or, in a dry run, would be) written."""

    lock: Lock
    changes: tuple[Change, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class Built:
    """An image in the store, in one format or several, and the system and lock that it is a function of."""

    image: Image
    artifacts: tuple[Artifact, ...]
    system: System
    lock: Lock
    tools: Tools
    record: BuildRecord
    revision: Revision

    @property
    def artifact(self) -> Artifact:
        """The image in the format that was asked for first."""
        return self.artifacts[0]

    @property
    def raw(self) -> Path:
        """The disk: a sparse file."""
        return self.image.raw

    @property
    def content_key(self) -> str:
        """A hash that identifies the disk's content."""
        return self.image.key

    @property
    def name(self) -> str:
        """The system's name."""
        return self.system.name

    @property
    def architecture(self) -> str:
        """`amd64` or `arm64`."""
        return self.image.architecture

    @property
    def system_digest(self) -> str:
        """The identity of what was built."""
        return self.image.system_digest

    @property
    def spec_digest(self) -> str:
        """The identity of what it was built from."""
        return self.image.spec_digest

    @property
    def lock_digest(self) -> str | None:
        """The identity of the lock."""
        return self.lock.digest

    def documents(self) -> dict[str, bytes]:
        """What lies beside the image, by file name."""
        from invar.image.documents import read_documents

        return read_documents(self.artifact.directory)
