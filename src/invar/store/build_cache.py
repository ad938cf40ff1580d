"""A build cache on this computer: a directory that a static web server, or a bucket that it is copied to, serves.

Files appear whole, by rename; what is there under a name that is its hash is never written again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from invar.core.errors import InvarError


class BuildCache:
    """Files by name ("layers/ROOTHASH") below a directory, which is made when it is first written to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, name: str) -> Path:
        """The file of a name."""
        return self.directory / name

    def put_file(self, name: str, source: Path) -> bool:
        """Copy a file there unless it is there already, whole; whether it was copied. Raises InvarError."""
        target = self.path(name)
        if target.exists() and target.stat().st_size == source.stat().st_size:
            return False
        self._put(target, lambda temporary: shutil.copyfile(source, temporary))
        return True

    def put(self, name: str, content: bytes) -> bool:
        """Write a small file; whether that changed anything. Raises InvarError."""
        target = self.path(name)
        if target.exists() and target.read_bytes() == content:
            return False
        self._put(target, lambda temporary: temporary.write_bytes(content))
        return True

    def _put(self, target: Path, write: Callable[[Path], object]) -> None:
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            temporary.chmod(0o644)
            temporary.replace(target)
        except OSError as error:
            raise InvarError("the build cache cannot be written", where=str(target), why=error.strerror) from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
