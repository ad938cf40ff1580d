"""What every engine gives: an image on a raw disk, and what it is. All that comes after works on this alone."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class BuiltImage(Protocol):
    """A system on a raw disk. Digests are lower-case hex."""

    @property
    def raw(self) -> Path:
        """The disk: a sparse file."""

    @property
    def content_key(self) -> str:
        """A hash that identifies the disk's content."""

    @property
    def name(self) -> str:
        """The configuration's name."""

    @property
    def architecture(self) -> str:
        """`amd64` or `arm64`."""

    @property
    def system_digest(self) -> str:
        """The identity of what was built."""

    @property
    def spec_digest(self) -> str:
        """The identity of what it was built from."""

    @property
    def lock_digest(self) -> str | None:
        """The identity of the lock of Debian packages; None where there is none."""

    def documents(self) -> dict[str, bytes]:
        """image-info.json and what else tells of the image, by file name."""


class Engine(Protocol):
    """Builds the image of what a user names."""

    def image(self, place: str) -> BuiltImage:
        """The image of a configuration, a file or a flake's output. Raises InvarError."""
