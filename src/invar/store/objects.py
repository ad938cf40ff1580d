"""Content-addressed objects: found by kind and key, created under a lock, put in place by one rename."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.store.trees import remove_tree

_KIND = re.compile(r"[a-z][a-z0-9-]*")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~?=-]*")
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Store:
    """Objects under `root`, one file or directory each at `root/KIND/KEY`.

    Beside the kinds lie `.tmp` (what is being made), `.partial` (downloads that can be resumed) and `.locks`. The root
    is made with mode 0700: unpacked packages hold setuid programs that other users must not reach.

    `remove` deletes a tree; it is called for failed and abandoned builds. The default suffices unless files belong to
    other users: whoever builds in a user namespace hands in a function that deletes inside such a namespace when the
    default raises PermissionError. `on_wait` is told, once per wait, what another process is making.
    """

    def __init__(
        self,
        root: Path,
        *,
        remove: Callable[[Path], None] = remove_tree,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self.root = root
        self.remove = remove
        self._on_wait = on_wait
        self._prepared = False
        self._preparing = threading.Lock()

    def path(self, kind: str, key: str) -> Path:
        """Where the object is, or will be. Raises ValueError for a malformed kind or key."""
        if not _KIND.fullmatch(kind) or not _KEY.fullmatch(key):
            raise ValueError(f"not the name of an object: {kind}/{key}")
        return self.root / kind / key

    def find(self, kind: str, key: str) -> Path | None:
        """The object's path if it is there, whole."""
        path = self.path(kind, key)
        return path if os.path.lexists(path) else None

    @contextmanager
    def creating(self, kind: str, key: str, *, resumable: bool = False) -> Iterator[Path | None]:
        """Make an object: the body creates a file or directory at the path it is given, which then gets its final name.

        Gives None when the object is there already, or another process finished it while this one waited; the body then
        has nothing to do. The path is on the object's file system and does not exist yet. If the body raises anything
        (KeyboardInterrupt too) it is deleted. With `resumable` it is a file that is kept on failure and found again
        next time.

        Raises InvarError when the disk is full or the store cannot be written.
        """
        final = self.path(kind, key)
        if os.path.lexists(final):
            yield None
            return
        self._prepare()
        name = f"{kind}.{key}"
        with self._writing(f"{kind} {key}"), self._locked(name):
            if os.path.lexists(final):
                yield None
                return
            final.parent.mkdir(exist_ok=True)
            temporary = self.root / (".partial" if resumable else ".tmp") / name
            if not resumable and os.path.lexists(temporary):
                self.remove(temporary)
            try:
                yield temporary
                temporary.rename(final)
            except BaseException:
                if not resumable and os.path.lexists(temporary):
                    self.remove(temporary)
                raise

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """An empty directory on the store's file system, for one user of this name at a time; deleted afterwards.

        Raises InvarError when the disk is full or the store cannot be written.
        """
        self._prepare()
        temporary = self.root / ".tmp" / name
        with self._writing(name), self._locked(name):
            if os.path.lexists(temporary):
                self.remove(temporary)
            temporary.mkdir()
            try:
                yield temporary
            finally:
                self.remove(temporary)

    def find_record(self, kind: str, key: str) -> Any | None:
        """The JSON value put under this key, or None. A record that a power cut left unreadable counts as absent."""
        try:
            return json.loads(self.path(kind, key).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def put_record(self, kind: str, key: str, value: Any) -> Path:
        """Store a small JSON value under a key, replacing what was there. Returns its path."""
        final = self.path(kind, key)
        self._prepare()
        with self._writing(f"{kind} {key}"), self._locked(f"{kind}.{key}"):
            final.parent.mkdir(exist_ok=True)
            temporary = self.root / ".tmp" / f"{kind}.{key}"
            try:
                temporary.write_text(json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
                temporary.replace(final)
            finally:
                temporary.unlink(missing_ok=True)
        return final

    def discard(self, kind: str, key: str) -> bool:
        """Delete one object: it vanishes by rename first, so that nobody finds half of it. False if there was none."""
        final = self.path(kind, key)
        if not os.path.lexists(final):
            return False
        self._prepare()
        with self._locked(f"{kind}.{key}"):
            doomed = self.root / ".tmp" / f"{kind}.{key}"
            if os.path.lexists(doomed):
                self.remove(doomed)
            try:
                final.rename(doomed)
            except FileNotFoundError:
                return False
            self.remove(doomed)
        return True

    def sweep(self) -> list[Path]:
        """Delete what killed runs left under `.tmp`; runs by itself before this Store first writes.

        What a live process is making is locked, and stays. Returns the paths that could not be deleted.
        """
        stuck = []
        for path in sorted((self.root / ".tmp").glob("*")):
            with self._try_lock(path.name) as locked:
                if locked and os.path.lexists(path):
                    try:
                        self.remove(path)
                    except OSError:
                        stuck.append(path)
        return stuck

    def _prepare(self) -> None:
        with self._preparing:
            if self._prepared:
                return
            with self._writing("the store's directories"):
                if not self.root.is_dir():
                    self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                for name in (".tmp", ".partial", ".locks"):
                    (self.root / name).mkdir(exist_ok=True)
            self.sweep()
            self._prepared = True

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise disk_full(self.root, what) from error
            if error.errno in (errno.EACCES, errno.EROFS) and _is_below(error.filename, self.root):
                raise InvarError(
                    f"cannot write {what}",
                    where=str(error.filename),
                    why=error.strerror,
                    hint="set INVAR_HOME to a directory that you may write",
                ) from error
            raise

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        path = self.root / ".locks" / name
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._acquire(descriptor, name)
                if _same_file(descriptor, path):
                    break
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def _acquire(self, descriptor: int, name: str) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._on_wait:
                self._on_wait(name.replace(".", " ", 1))
            fcntl.flock(descriptor, fcntl.LOCK_EX)

    @contextmanager
    def _try_lock(self, name: str) -> Iterator[bool]:
        path = self.root / ".locks" / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            held = _same_file(descriptor, path)
            yield held
            if held:
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def disk_full(root: Path, what: str, *, hint: str | None = None) -> InvarError:
    """The error for a full file system: names it, what is left of it, and what was being written."""
    usage = shutil.disk_usage(root)
    return InvarError(
        f"no space left while writing {what}",
        where=f"file system {_mount_point(root)}",
        why=f"{usage.free / 1e6:.0f} MB free of {usage.total / 1e6:.0f} MB",
        hint=hint or "free some space, or set INVAR_HOME to a directory on a larger file system; a rerun continues",
    )


def _mount_point(path: Path) -> Path:
    path = path.resolve()
    while not path.is_mount():
        path = path.parent
    return path


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_below(name: object, root: Path) -> bool:
    return isinstance(name, (str, os.PathLike)) and Path(name).is_relative_to(root)
