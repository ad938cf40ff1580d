"""Unpacking tar and zip archives from anywhere: nothing lands outside of the target, whatever the archive says."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from invar.nix.fetching import FetchError


@dataclass(slots=True)
class _Unpacking:
    """Entries put below `root`, each only through directories that the archive itself made."""

    archive: str
    root: Path
    directories: set[str] = field(default_factory=lambda: {""})
    newest: int = 0

    def place(self, name: str) -> Path | None:
        """Where an entry goes; None for the root itself. Raises FetchError for a name that leads elsewhere."""
        steps = [step for step in name.split("/") if step not in ("", ".")]
        if name.startswith("/") or ".." in steps:
            raise FetchError(f"archive '{self.archive}' has an entry outside of itself: '{name}'")
        if not steps:
            return None
        for count in range(1, len(steps)):
            parent = "/".join(steps[:count])
            if parent not in self.directories:
                if os.path.lexists(self.root / parent):
                    raise FetchError(f"archive '{self.archive}' has an entry below what is no directory: '{name}'")
                (self.root / parent).mkdir()
                self.directories.add(parent)
        return self.root / "/".join(steps)

    def directory(self, name: str) -> None:
        """Make a directory."""
        place = self.place(name)
        relative = "" if place is None else str(place.relative_to(self.root))
        if place is None or relative in self.directories:
            return
        _vacate(place)
        place.mkdir()
        self.directories.add(relative)

    def file(self, name: str, content: IO[bytes] | None, *, executable: bool) -> None:
        """Write a file."""
        place = self.place(name)
        if place is None or content is None:
            raise FetchError(f"archive '{self.archive}' has a file without a name or content")
        _vacate(place)
        with place.open("xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        place.chmod(0o755 if executable else 0o644)

    def link(self, name: str, target: str) -> None:
        """Make a symbolic link; it may point anywhere, nothing is written through it."""
        place = self.place(name)
        if place is None:
            raise FetchError(f"archive '{self.archive}' has a link without a name")
        _vacate(place)
        place.symlink_to(target)

    def hard_link(self, name: str, target: str) -> None:
        """Copy a file that was unpacked before."""
        place, source = self.place(name), self.place(target)
        if place is None or source is None or not source.is_file() or source.is_symlink():
            raise FetchError(f"archive '{self.archive}' has a hard link to what it does not hold: '{name}'")
        _vacate(place)
        shutil.copy2(source, place)


def unpack(archive: Path, url: str, target: Path) -> int:
    """Unpack into `target`, which is made. Returns the newest time in the archive (seconds since 1970).

    Keeps file contents, links and executable bits. Raises FetchError for what is no archive or holds more than those.
    """
    target.mkdir()
    work = _Unpacking(url, target)
    step: Callable[[Path, _Unpacking], None] = _zip if zipfile.is_zipfile(archive) else _tar
    try:
        step(archive, work)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, ValueError) as error:
        raise FetchError(
            f"failed to unpack '{url}': {error}", hint="Known are tar (plain, gzip, bzip2 or xz) and zip."
        ) from None
    return work.newest


def only_entry(directory: Path, url: str) -> Path:
    """The one thing in a directory. Raises FetchError when there are more or none."""
    entries = list(directory.iterdir())
    if len(entries) != 1:
        raise FetchError(f"tarball '{url}' contains an unexpected number of top-level files")
    return entries[0]


def _tar(archive: Path, work: _Unpacking) -> None:
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            work.newest = max(work.newest, int(member.mtime))
            if member.isdir():
                work.directory(member.name)
            elif member.isreg():
                work.file(member.name, tar.extractfile(member), executable=bool(member.mode & 0o100))
            elif member.issym():
                work.link(member.name, member.linkname)
            elif member.islnk():
                work.hard_link(member.name, member.linkname)
            else:
                raise FetchError(f"archive '{work.archive}' has a special file: '{member.name}'")


def _zip(archive: Path, work: _Unpacking) -> None:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            mode = entry.external_attr >> 16
            work.newest = max(work.newest, int(time.mktime((*entry.date_time, 0, 0, -1)) - time.timezone))
            if entry.is_dir():
                work.directory(entry.filename)
            elif stat.S_ISLNK(mode):
                work.link(entry.filename, packed.read(entry).decode("utf-8", "surrogateescape"))
            else:
                with packed.open(entry) as content:
                    work.file(entry.filename, content, executable=bool(mode & 0o100))


def _vacate(place: Path) -> None:
    """A later entry of the same name replaces an earlier one."""
    if place.is_symlink() or place.is_file():
        place.unlink()
