"""What a format is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from invar.image.assemble import Image


class Format(Protocol):
    """A way to write a disk into a file."""

    @property
    def name(self) -> str:
        """What `--format` takes."""

    @property
    def suffix(self) -> str:
        """The file's ending, without a dot."""

    @property
    def description(self) -> str:
        """One line for people."""

    def write(self, image: Image, path: Path) -> None:
        """Write the file at `path`, which does not exist: the same bytes for the same image."""
