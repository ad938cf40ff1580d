"""The Git repository around a configuration: its commit, whether it is clean, and what it was at another commit."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import ExitCode, InvarError

GIT_SECONDS = 60.0
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Revision:
    """Where a configuration comes from. `commit` is the full name of HEAD, None outside of a repository.

    `dirty` tells whether a file of that commit differs in the configuration's directory, or one that the configuration
    consists of is not in it. `remote` is the address of "origin" without credentials.
    """

    commit: str | None
    dirty: bool
    remote: str | None


NOWHERE = Revision(None, False, None)


def revision_of(directory: Path, files: Iterable[Path] = ()) -> Revision:
    """The revision that a directory is at, for a configuration that consists of `files`. Nothing is fetched.

    No repository, no commit yet, or no git: `NOWHERE`.
    """
    try:
        commit = _git(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").strip()
        changed = _git(directory, "status", "--porcelain", "--untracked-files=no", "--", ".")
        known = set(_git(directory, "ls-files", "-z", "--", ".").split("\0"))
    except InvarError:
        return NOWHERE
    unknown = any(
        path.is_file() and path.is_relative_to(directory) and path.relative_to(directory).as_posix() not in known
        for path in files
    )
    try:
        remote = _git(directory, "config", "--get", "remote.origin.url").strip()
    except InvarError:
        remote = ""
    return Revision(commit, bool(changed) or unknown, _without_credentials(remote) or None)


def source_of(configuration: Path) -> str | None:
    """A configuration file's path in its repository, with slashes; None outside of one."""
    try:
        prefix = _git(configuration.parent, "rev-parse", "--show-prefix").strip()
    except InvarError:
        return None
    return prefix + configuration.name


def top_of(directory: Path) -> Path:
    """The root of the repository that a directory is in. Raises InvarError when it is in none."""
    return Path(_git(directory, "rev-parse", "--show-toplevel").strip())


@contextmanager
def checked_out(place: Path, commit: str) -> Iterator[Path]:
    """The directory or file `place` as it was at a commit, in a temporary directory that is deleted afterwards.

    Only the directory's own tree is there, as a checkout would have it. Raises InvarError when there is no such commit,
    or nothing at that place in it.
    """
    directory = place if place.is_dir() else place.parent
    if not directory.is_dir():
        raise InvarError(f"there is no directory {directory}", exit_code=ExitCode.USAGE)
    name = f"{commit}^{{commit}}"
    try:
        full = _git(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", name).strip().splitlines()[-1]
    except InvarError as error:
        raise InvarError(
            f"there is no commit {commit}",
            where=str(directory),
            why=error.why,
            hint="name a commit, a branch or a tag of the repository that the directory is in",
            exit_code=ExitCode.USAGE,
        ) from error
    prefix = _git(directory, "rev-parse", "--show-prefix").strip().rstrip("/")
    with tempfile.TemporaryDirectory(prefix="invar-") as temporary:
        tree = Path(temporary) / directory.resolve().name
        tree.mkdir()
        index = {"GIT_INDEX_FILE": f"{temporary}/index"}
        try:
            _git(directory, "read-tree", f"{full}:{prefix}" if prefix else full, environment=index)
        except InvarError as error:
            raise InvarError(
                f"{directory} is not in commit {full[:12]}", why=error.why, exit_code=ExitCode.USAGE
            ) from error
        top = Path(_git(directory, "rev-parse", "--show-toplevel").strip())
        _git(top, "checkout-index", "--all", f"--prefix={tree}/", environment=index)
        yield tree if place.is_dir() else tree / place.name


def _git(directory: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Standard output of a git command in a directory. Raises InvarError when it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            env={**os.environ, **_ENVIRONMENT, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise InvarError("git is not installed", hint="install it, or name two directories") from error
    except subprocess.TimeoutExpired as error:
        raise InvarError(f"git {arguments[0]} takes longer than {GIT_SECONDS:.0f} s", where=str(directory)) from error
    if done.returncode != 0:
        raise InvarError(
            f"git {arguments[0]} failed", where=str(directory), why=done.stderr.strip() or "it says nothing"
        )
    return done.stdout


def _without_credentials(remote: str) -> str:
    scheme, separator, rest = remote.partition("://")
    if not separator:
        return remote
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
