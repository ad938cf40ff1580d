"""Trees out of Mercurial repositories: one clone a repository, without work tree, pulled when something is missing."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from invar.core.errors import InvarError
from invar.nix.fetching import FetchError
from invar.nix.input_urls import REVISION
from invar.store.trees import remove_tree

SCHEMES = frozenset({"file", "http", "https", "ssh"})
DEFAULT_BRANCH = "default"


@dataclass(frozen=True, slots=True)
class Changeset:
    """A revision: its hash, its branch, and its number in the clone, as Mercurial counts from 0."""

    rev: str
    branch: str
    number: int


class Mercurial:
    """Runs the user's hg. `clones` is where clones are kept."""

    def __init__(self, clones: Path, environment: Mapping[str, str]) -> None:
        self.clones = clones
        self.environment = {**environment, "HGPLAIN": "1", "LC_ALL": "C.UTF-8"}

    def run(self, *arguments: str) -> bytes:
        """The output of `hg ARGUMENTS`. Raises FetchError with hg's own words, InvarError without hg."""
        command = ["hg", "--noninteractive", "--config", "extensions.largefiles=!", *arguments]
        try:
            done = subprocess.run(
                command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        except FileNotFoundError as error:
            raise InvarError("hg is needed to fetch from a Mercurial repository", hint="install mercurial") from error
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise FetchError(f"hg {arguments[0]} failed: {lines[0].removeprefix('abort: ')}")
        return done.stdout

    def revision(self, url: str, *, ref: str | None, rev: str | None) -> tuple[Path, Changeset]:
        """Bring a changeset into the repository's clone: the clone, and the changeset. Raises FetchError."""
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise FetchError(f"cannot fetch '{url}': Mercurial is fetched by {', '.join(sorted(SCHEMES))}")
        wanted = rev or ref or DEFAULT_BRANCH
        if wanted.startswith("-") or (rev is not None and not REVISION.fullmatch(rev)):
            raise FetchError(f"invalid Mercurial branch/tag name '{wanted}'")
        source = unquote(parts.path) if parts.scheme == "file" else url
        clone = self.clones / hashlib.sha256(url.encode()).hexdigest()[:32]
        if not clone.exists():
            partial = clone.with_name(f"{clone.name}.partial")
            self.clones.mkdir(parents=True, exist_ok=True)
            remove_tree(partial)
            self.run("init", "--", str(partial))
            self.run("pull", "--repository", str(partial), "--", source)
            partial.rename(clone)
        elif rev is None or not self._has(clone, rev):
            self.run("pull", "--repository", str(clone), "--", source)
        return clone, self._describe(clone, wanted)

    def export(self, clone: Path, rev: str, target: Path) -> None:
        """The files of a changeset, in `target`, which is made."""
        self.run("archive", "--repository", str(clone), "--rev", rev, "--type", "files", "--", str(target))
        (target / ".hg_archival.txt").unlink(missing_ok=True)

    def _has(self, clone: Path, rev: str) -> bool:
        try:
            self._describe(clone, rev)
        except FetchError:
            return False
        return True

    def _describe(self, clone: Path, wanted: str) -> Changeset:
        form = "{node}\\n{branch}\\n{rev}"
        said = self.run("log", "--repository", str(clone), "--rev", wanted, "--limit", "1", "--template", form)
        rev, branch, number = said.decode("utf-8", "surrogateescape").split("\n")
        return Changeset(rev, branch, int(number))
