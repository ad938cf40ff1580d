"""What a format is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from invar.image.assemble import Image
from invar.image.tools import Tools


class Format(Protocol):
    """A way to write an image into one file."""

    @property
    def name(self) -> str:
        """What `--format` takes."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """What else it is called: the names of NixOS's images and of nixos-generators among them."""

    @property
    def suffix(self) -> str:
        """The file's ending, without a dot."""

    @property
    def description(self) -> str:
        """One line for people."""

    @property
    def is_disk(self) -> bool:
        """Whether the file is the image's disk: partitions, and a firmware that boots from them."""

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write the file at `path`, which does not exist: the same bytes for the same image and tools.

        Memory does not grow with the image. `path`'s directory is the writer's own, for temporary files too, which it
        deletes.
        """


@contextmanager
def open_files(source: Path, target: Path) -> Iterator[tuple[int, int]]:
    """Descriptors: one to read `source`, one of the new file `target`."""
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with open_new(target) as writing:
            yield reading, writing
    finally:
        os.close(reading)


@contextmanager
def open_new(target: Path) -> Iterator[int]:
    """A descriptor of the new file `target`."""
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
