"""Trees out of git repositories: one bare mirror a repository, only what is asked for fetched into it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from invar.core.errors import InvarError
from invar.nix.fetching import FetchError
from invar.nix.input_urls import REVISION
from invar.store.trees import remove_tree

SCHEMES = frozenset({"file", "git", "http", "https", "ssh"})
_OPTIONS = ("-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
_LOCAL_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit: its hash, time (seconds since 1970) and number of ancestors (None in a shallow repository)."""

    rev: str
    last_modified: int
    count: int | None


@dataclass(frozen=True, slots=True)
class WorkTree:
    """A work tree with changes: the tracked files that are there, and the time of the last commit."""

    root: Path
    files: list[str]
    last_modified: int


class Git:
    """Runs the user's git. `mirrors` is where bare mirrors are kept."""

    def __init__(self, mirrors: Path, environment: Mapping[str, str]) -> None:
        self.mirrors = mirrors
        self.environment = {
            **{name: value for name, value in environment.items() if name not in _LOCAL_VARIABLES},
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }

    def run(self, *arguments: str, where: Path | None = None) -> bytes:
        """The output of `git ARGUMENTS`. Raises FetchError with git's own last words, InvarError without git."""
        place = [] if where is None else ["-C", str(where)]
        try:
            done = subprocess.run(
                ["git", *_OPTIONS, *place, *arguments],
                env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise InvarError("git is needed to fetch from a git repository", hint="install git") from error
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise FetchError(f"git {arguments[0]} failed: {lines[-1]}", hint=lines[0] if len(lines) > 1 else None)
        return done.stdout

    def text(self, *arguments: str, where: Path | None = None) -> str:
        """The same as text, without white space around it."""
        return self.run(*arguments, where=where).decode("utf-8", "surrogateescape").strip()

    def changed_work_tree(self, url: str) -> WorkTree | None:
        """The work tree of a local repository when its tracked files differ from its last commit, else None."""
        root = local_repository(url)
        if root is None:
            return None
        try:
            head = self.text("rev-parse", "--verify", "--quiet", "HEAD^{commit}", where=root)
        except FetchError:
            head = ""
        if head and not self.run("status", "--porcelain", "--untracked-files=no", where=root):
            return None
        listed = self.run("ls-files", "-z", where=root).decode("utf-8", "surrogateescape")
        time = int(self.text("log", "-1", "--format=%ct", where=root)) if head else 0
        return WorkTree(root, [name for name in listed.split("\0") if name], time)

    def revision(
        self, url: str, *, ref: str | None, rev: str | None, all_refs: bool = False, shallow: bool = False
    ) -> tuple[Path, Revision]:
        """Bring a commit into the repository's mirror: the mirror, and the commit. Raises FetchError."""
        check_url(url)
        if ref is not None:
            self.run("check-ref-format", "--allow-onelevel", ref)
            if ref.startswith("-"):
                raise FetchError(f"invalid Git branch/tag name '{ref}'")
        if rev is not None and not REVISION.fullmatch(rev):
            raise FetchError(f"'{rev}' is not a Git revision: it needs 40 (or 64) hexadecimal digits")
        mirror = self._mirror(url)
        if rev is not None and self._has(mirror, rev):
            return mirror, self._describe(mirror, rev)
        if rev is None:
            spec = "+refs/*:refs/*" if all_refs else f"+{ref or 'HEAD'}:refs/invar/tip"
            self._fetch(mirror, url, spec, shallow=shallow)
            tip = "refs/invar/tip" if not all_refs else f"refs/heads/{ref}" if ref else "HEAD"
            rev = self.text("rev-parse", "--verify", f"{tip}^{{commit}}", where=mirror)
            return mirror, self._describe(mirror, rev)
        self._fetch_revision(mirror, url, ref, rev, shallow=shallow)
        return mirror, self._describe(mirror, rev)

    def export(self, mirror: Path, rev: str, target: Path) -> None:
        """The files of a commit, in `target`, which is made."""
        target.mkdir()
        command = ["git", *_OPTIONS, "-C", str(mirror), "archive", "--format=tar", rev]
        with subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as run:
            assert run.stdout is not None
            with tarfile.open(fileobj=run.stdout, mode="r|") as tar:
                tar.extractall(target, filter="fully_trusted")  # git itself refuses names that lead outside
        if run.returncode:
            raise FetchError(f"git archive of {rev} failed")

    def export_with_submodules(self, mirror: Path, url: str, rev: str, target: Path) -> None:
        """The same with the files of all submodules."""
        self.run("clone", "--quiet", "--no-checkout", "--", str(mirror), str(target))
        self.run("remote", "set-url", "origin", url, where=target)
        self.run("checkout", "--quiet", "--detach", rev, where=target)
        self.run("submodule", "update", "--quiet", "--init", "--recursive", where=target)
        for found in [*target.rglob(".git")]:
            remove_tree(found)

    def remote_tip(self, url: str, ref: str) -> str:
        """The commit that a branch or tag of a repository elsewhere points to. Raises FetchError."""
        lines = self.text("ls-remote", "--", url, ref, f"{ref}^{{}}").splitlines()
        found = {name: rev for rev, tab, name in (line.partition("\t") for line in lines) if tab}
        for name in (f"refs/tags/{ref}^{{}}", f"refs/heads/{ref}", f"refs/tags/{ref}", ref):
            if name in found:
                return found[name]
        raise FetchError(f"repository '{url}' has no branch or tag '{ref}'")

    def _mirror(self, url: str) -> Path:
        mirror = self.mirrors / hashlib.sha256(url.encode()).hexdigest()[:40]
        if not (mirror / "HEAD").exists():
            self.run("init", "--quiet", "--bare", "--template=", "--", str(mirror))
        return mirror

    def _has(self, mirror: Path, rev: str) -> bool:
        try:
            self.run("cat-file", "-e", f"{rev}^{{commit}}", where=mirror)
        except FetchError:
            return False
        return True

    def _fetch(self, mirror: Path, url: str, spec: str, *, shallow: bool) -> None:
        depth = ["--depth=1"] if shallow and url_scheme(url) != "file" else []
        self.run("fetch", "--quiet", "--force", "--no-tags", *depth, "--", url, spec, where=mirror)

    def _fetch_revision(self, mirror: Path, url: str, ref: str | None, rev: str, *, shallow: bool) -> None:
        """By its hash where the server allows that, else by its branch, else with everything there is."""
        fault: FetchError | None = None
        for spec in (f"+{rev}:refs/invar/tip", *([f"+{ref}:refs/invar/tip"] if ref else []), "+refs/*:refs/*"):
            try:
                self._fetch(mirror, url, spec, shallow=shallow and spec.startswith(f"+{rev}"))
            except FetchError as error:
                fault = fault or error
                continue
            if self._has(mirror, rev):
                return
        raise FetchError(f"cannot find Git revision '{rev}' in repository '{url}'", hint=str(fault) if fault else None)

    def _describe(self, mirror: Path, rev: str) -> Revision:
        time = int(self.text("log", "-1", "--format=%ct", rev, where=mirror))
        shallow = self.text("rev-parse", "--is-shallow-repository", where=mirror) == "true"
        return Revision(rev, time, None if shallow else int(self.text("rev-list", "--count", rev, where=mirror)))


def url_scheme(url: str) -> str:
    """The scheme, in lower case."""
    return urlsplit(url).scheme.lower()


def check_url(url: str) -> None:
    """Raise FetchError for a URL that git should not be given."""
    if url_scheme(url) not in SCHEMES:
        raise FetchError(f"'{url}' is not the URL of a git repository", hint="Known are https, ssh, git and file.")
    if re.search(r"[\0\n]", url) or urlsplit(url).netloc.startswith("-"):
        raise FetchError("a git URL cannot hold such characters")


def local_repository(url: str) -> Path | None:
    """The root of a repository with a work tree that a `file:` URL names."""
    if url_scheme(url) != "file":
        return None
    root = Path(unquote(urlsplit(url).path))
    return root if os.path.lexists(root / ".git") else None
