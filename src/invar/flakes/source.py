"""A flake's file tree in place: what of it belongs to it (in a git work tree what git tracks), and its hash."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.nix.nar import nar_sha256
from invar.nix.store_objects import SourceObject
from invar.nix.storepath import source_path

UNTRACKED = "The file is not tracked by Git: `git add` it (`git add --intent-to-add` is enough)."


@dataclass(frozen=True, slots=True)
class Source:
    """A tree: `root` is where it lies, `attributes` what `fetchTree` tells of it (type, rev, lastModified ...).

    `dropped` are the paths below `root` that are no part of it. `editable` tells that it is the user's own directory.
    """

    root: str
    nar_sha256: bytes
    attributes: Mapping[str, Any]
    dropped: frozenset[str] = frozenset()
    dropped_hint: str | None = None
    editable: bool = field(default=False)

    @property
    def store_path(self) -> str:
        """/nix/store/HASH-source, as Nix would copy it."""
        return source_path("source", self.nar_sha256)

    def stored(self) -> SourceObject:
        """What an evaluator reads it by."""
        return SourceObject(self.root, self.nar_sha256, self.dropped, self.dropped_hint, mounted=True)


def path_source(directory: Path, attributes: Mapping[str, Any], *, editable: bool) -> Source:
    """All of a directory, as `path:` gives it. Raises InvarError."""
    if not directory.exists():
        raise InvarError(f"there is no directory {directory}")
    root = str(directory.resolve())
    try:
        digest = nar_sha256(root)
    except OSError as error:
        raise InvarError(f"{error.filename} cannot be read", why=error.strerror) from None
    known = {"lastModified": _newest(root)}
    return Source(root, digest, {**attributes, **known}, editable=editable)


def work_tree_source(root: Path, attributes: Mapping[str, Any], report: Report) -> Source:
    """The files of a git work tree that git tracks, as they are now. Raises InvarError.

    A clean tree has `rev` and `revCount`; a changed one has `dirtyRev` instead, and is warned of.
    """
    root = root.resolve()
    tracked = [name for name in git(root, "ls-files", "-z").split("\0") if name]
    visible: set[str] = set()
    for name in tracked:
        path = f"{root}/{name}"
        while path not in visible and len(path) > len(str(root)):
            visible.add(path)
            path = path.rpartition("/")[0]
    dropped = frozenset(_not_among(str(root), visible))
    head = _head(root)
    clean = head is not None and not git(root, "status", "--porcelain", "--untracked-files=no").strip()
    known: dict[str, Any] = {"lastModified": int(git(root, "log", "-1", "--format=%ct", "HEAD")) if head else 0}
    if clean and head:
        known |= {"rev": head, "revCount": int(git(root, "rev-list", "--count", "HEAD"))}
    else:
        report.warn(f"Git tree '{root}' is dirty")
        if head:
            known |= {"dirtyRev": f"{head}-dirty", "dirtyShortRev": f"{head[:7]}-dirty"}
    digest = nar_sha256(str(root), lambda entry, _: entry not in dropped)
    return Source(str(root), digest, {**attributes, **known}, dropped, UNTRACKED, editable=True)


def git(root: Path, *arguments: str) -> str:
    """What a git command prints. Raises InvarError."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_quiet_environment())
    except FileNotFoundError:
        raise InvarError(
            f"{root} is a git repository, and there is no git here",
            hint=f"install git, or name the flake path:{root} to take all of its files",
        ) from None
    if done.returncode:
        raise InvarError(f"git {arguments[0]} failed in {root}", why=done.stderr.strip() or None)
    return done.stdout


def sources_of(text: str, places: Mapping[str, str]) -> str:
    """`text` with the store paths of trees replaced by where the trees lie: what a user can open."""
    for store_path, root in places.items():
        text = re.sub(re.escape(store_path) + r"(?=[/:'`\"»\s)]|$)", lambda _, root=root: root, text)  # type: ignore[misc]
    return text


def _head(root: Path) -> str | None:
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").strip()
    except InvarError as error:
        if error.why is None:
            return None
        raise


def _quiet_environment() -> dict[str, str]:
    """Git's own settings of the caller must not move the work tree (a hook runs with GIT_DIR set)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}


def _not_among(root: str, visible: set[str]) -> list[str]:
    """The topmost paths below `root` that are not in `visible`, which has every directory on the way to its files."""
    found: list[str] = []
    todo = [root]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.path not in visible:
                    found.append(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
    return found


def _newest(root: str) -> int:
    """The newest modification below a directory, itself included, in seconds since 1970."""
    newest = os.lstat(root).st_mtime
    todo = [root] if os.path.isdir(root) else []  # noqa: PTH112
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
    return int(newest)
