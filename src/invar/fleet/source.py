"""Which commit a configuration comes from, and a checkout of such a commit: by the user's own git."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.core.events import Report

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration's place in a git repository.

    `commit` is the full hash that is checked out; `dirty`: the working tree differs from it, by a changed or an
    untracked file anywhere. `path` is the configuration's file, relative to the repository's root.
    """

    root: Path
    commit: str
    dirty: bool
    path: str


def find_source(configuration: Path, report: Report) -> Source | None:
    """The source of a configuration file; None, with a note, when it is in no repository that has a commit."""
    directory = configuration.parent
    try:
        root = Path(_git(directory, "rev-parse", "--show-toplevel").strip())
        commit = _git(directory, "rev-parse", "--verify", "HEAD").strip()
        dirty = bool(_git(directory, "status", "--porcelain", "--untracked-files=normal").strip())
    except InvarError as error:
        report.note(f"no source commit is recorded: {(error.why or error.what).splitlines()[0]}")
        return None
    return Source(root, commit, dirty, configuration.resolve().relative_to(root.resolve()).as_posix())


@contextmanager
def checked_out(repository: Path, commit: str) -> Iterator[Path]:
    """A working tree of a commit in a temporary directory, which is gone afterwards.

    Raises InvarError when there is no git, or the repository that `repository` lies in does not have the commit.
    """
    if not COMMIT.fullmatch(commit):
        raise InvarError(f"this is no commit: {commit!r}", hint="the image's tags were not written by Invar")
    with tempfile.TemporaryDirectory(prefix="invar-checkout-") as scratch:
        tree = Path(scratch) / "tree"
        try:
            _git(repository, "worktree", "add", "--detach", "--quiet", str(tree), commit)
        except InvarError as error:
            error.hint = error.hint or "run it in a clone of the repository that has the commit; git fetch may help"
            raise
        try:
            yield tree
        finally:
            _git(repository, "worktree", "remove", "--force", str(tree))


def _git(directory: Path, *arguments: str) -> str:
    argv = ["git", "-C", str(directory), *arguments]
    where = " ".join(["git", *arguments[:2]])
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise InvarError("git is not installed", where=where, hint="install git") from None
    if done.returncode:
        raise InvarError("git failed", where=f"{directory}: {where}", why=done.stderr.strip() or None)
    return done.stdout
