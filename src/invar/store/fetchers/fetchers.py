"""The fetcher that evaluations are given: which kind of source is got how, with every hash checked."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from invar.core.canonical import digest
from invar.core.events import Report
from invar.nix.builtins.fetchers import mismatch, sri
from invar.nix.builtins.hashing import parse_hash
from invar.nix.fetching import FetchedFile, FetchedTree, FetchError, TreeAttributes, is_locked
from invar.nix.input_urls import REVISION, format_input, git_url
from invar.nix.nar import nar_sha256
from invar.store.fetchers.archives import only_entry, unpack
from invar.store.fetchers.git import Git, local_repository
from invar.store.fetchers.mercurial import Mercurial
from invar.store.fetchers.trees import add_file, add_tree, copy_entries, find_file, find_tree, workspace
from invar.store.objects import Store
from invar.store.proxies import read_proxies
from invar.store.transport import TransferError, Transport

ATTEMPTS = 3
SECONDS = 3600.0
RECORDS = "source-record"
Attributes = dict[str, str | int | bool]


def is_local(attributes: TreeAttributes) -> bool:
    """Whether a tree is on this machine."""
    return attributes["type"] == "path" or str(attributes.get("url", "")).startswith(("file:", "/"))


class Fetchers:
    """An `invar.nix.fetching.Fetcher` over a store.

    What has a hash or a revision is fetched once; anything else every time it is asked of a new object of this class.
    `cache` holds git mirrors and Mercurial clones. `report` is told what is fetched. `offline` refuses what is neither
    in the store nor on this machine.
    """

    def __init__(
        self, store: Store, cache: Path, report: Report, environment: Mapping[str, str], *, offline: bool = False
    ) -> None:
        self._offline = offline
        self.store = store
        self.report = report
        self.git = Git(cache / "git", environment)
        self.mercurial = Mercurial(cache / "hg", environment)
        self._transport = Transport(proxies=read_proxies(environment))
        self._seen: dict[str, FetchedTree] = {}

    def file(self, url: str, sha256: bytes | None) -> FetchedFile:
        """A file by http, https or file URL. Raises FetchError, InvarError."""
        found = find_file(self.store, sha256) if sha256 is not None else None
        if found is not None and sha256 is not None:
            return FetchedFile(str(found), sha256)
        with workspace(self.store, url) as work:
            self._download(url, work / "file")
            place, got = add_file(self.store, url, work / "file", sha256)
        return FetchedFile(str(place), got)

    def tree(self, attributes: TreeAttributes) -> FetchedTree:
        """A tree by the attributes of `fetchTree`. Raises FetchError, InvarError."""
        key = digest(dict(attributes))
        found = self._seen.get(key)
        if found is None:
            found = self._stored(attributes) or self._fetch(attributes)
            self._seen[key] = found
        return found

    def _stored(self, attributes: TreeAttributes) -> FetchedTree | None:
        """What was fetched before by the same revision, or lies in the store under the same hash."""
        expected = expected_nar(attributes)
        if expected is not None and (place := find_tree(self.store, expected)) is not None:
            return FetchedTree(str(place), expected, attributes)
        if is_locked(attributes) and attributes["type"] != "path":
            record = self.store.find_record(RECORDS, digest(dict(attributes)))
            if record is not None:
                nar = parse_hash(record["narHash"], "sha256")[1]
                place = find_tree(self.store, nar)
                if place is not None:
                    return FetchedTree(str(place), nar, record)
        return None

    def _fetch(self, attributes: TreeAttributes) -> FetchedTree:
        kind = str(attributes["type"])
        if self._offline and not is_local(attributes):
            raise FetchError(
                f"cannot fetch '{format_input(attributes)}': it needs the network, which --offline forbids",
                hint="Fetch it once without --offline: what is locked and in the store is not fetched again.",
            )
        method = _KINDS.get(kind)
        if method is None:
            hint = "A registry tells what a short name stands for." if kind == "indirect" else None
            raise FetchError(f"cannot fetch '{format_input(attributes)}': no fetcher for type '{kind}'", hint=hint)
        fetched = method(self, attributes)
        for name in ("rev", "lastModified", "revCount"):
            if name in attributes and fetched.locked.get(name, attributes[name]) != attributes[name]:
                raise FetchError(
                    f"'{name}' of '{format_input(attributes)}' is {fetched.locked[name]}, not {attributes[name]}"
                )
        if is_locked(attributes) and kind != "path":
            self.store.put_record(RECORDS, digest(dict(attributes)), dict(fetched.locked))
        return fetched

    def _path(self, attributes: TreeAttributes) -> FetchedTree:
        """A directory or file of this machine, where it is."""
        path = _text(attributes, "path")
        if not path.startswith("/"):
            raise FetchError(f"path '{path}' is not absolute")
        expected = expected_nar(attributes)
        try:
            nar = nar_sha256(path)
            newest = int(_newest(path))
        except OSError as error:
            raise FetchError(f"getting status of '{error.filename}': {error.strerror}") from None
        if expected is not None and nar != expected:
            raise mismatch(path, expected, nar)
        return _locked(path, nar, {**attributes, "lastModified": int(attributes.get("lastModified", newest))})

    def _tarball(self, attributes: TreeAttributes) -> FetchedTree:
        return self._unpacked(attributes, _text(attributes, "url"))

    def _unpacked(self, attributes: TreeAttributes, url: str) -> FetchedTree:
        """An archive with one directory in it."""
        with workspace(self.store, url) as work:
            self._download(url, work / "archive")
            newest = unpack(work / "archive", url, work / "unpacked")
            top = only_entry(work / "unpacked", url)
            place, nar = add_tree(self.store, url, top, expected_nar(attributes))
        return _locked(str(place), nar, {**attributes, "lastModified": int(attributes.get("lastModified", newest))})

    def _plain_file(self, attributes: TreeAttributes) -> FetchedTree:
        url = _text(attributes, "url")
        with workspace(self.store, url) as work:
            self._download(url, work / "file")
            (work / "file").chmod(0o644)
            place, nar = add_tree(self.store, url, work / "file", expected_nar(attributes))
        return _locked(str(place), nar, dict(attributes))

    def _git(self, attributes: TreeAttributes) -> FetchedTree:
        url = git_url(_text(attributes, "url"))
        ref, rev = _optional(attributes, "ref"), _optional(attributes, "rev")
        submodules = bool(attributes.get("submodules", False))
        shown: Attributes = {**attributes, "url": url}
        if ref is None and rev is None:
            changed = self.git.changed_work_tree(url)
            if changed is not None:
                self.report.warn(f"Git tree '{changed.root}' is dirty")
                with workspace(self.store, url) as work:
                    copy_entries(changed.root, changed.files, work / "tree")
                    place, nar = add_tree(self.store, url, work / "tree", expected_nar(attributes))
                return _locked(str(place), nar, {**shown, "lastModified": changed.last_modified})
        if local_repository(url) is None:
            self.report.note(f"fetching {format_input(attributes)}")
        shallow = bool(attributes.get("shallow", False))
        mirror, commit = self.git.revision(
            url, ref=ref, rev=rev, all_refs=bool(attributes.get("allRefs", False)), shallow=shallow
        )
        with workspace(self.store, url) as work:
            if submodules:
                self.git.export_with_submodules(mirror, url, commit.rev, work / "tree")
            else:
                self.git.export(mirror, commit.rev, work / "tree")
            place, nar = add_tree(self.store, url, work / "tree", expected_nar(attributes))
        shown |= {"rev": commit.rev, "lastModified": commit.last_modified}
        if commit.count is not None:
            shown["revCount"] = commit.count
        return _locked(str(place), nar, shown)

    def _hg(self, attributes: TreeAttributes) -> FetchedTree:
        url = _text(attributes, "url")
        if not is_local(attributes):
            self.report.note(f"fetching {format_input(attributes)}")
        clone, found = self.mercurial.revision(url, ref=_optional(attributes, "ref"), rev=_optional(attributes, "rev"))
        with workspace(self.store, url) as work:
            self.mercurial.export(clone, found.rev, work / "tree")
            place, nar = add_tree(self.store, url, work / "tree", expected_nar(attributes))
        known: Attributes = {"rev": found.rev, "ref": found.branch, "revCount": found.number}
        return _locked(str(place), nar, {**attributes, **known})

    def _forge(self, attributes: TreeAttributes) -> FetchedTree:
        """github, gitlab and sourcehut: an archive of a revision by https."""
        rev = _optional(attributes, "rev")
        if rev is None:
            rev = self.git.remote_tip(forge_repository(attributes), _optional(attributes, "ref") or "HEAD")
        if not REVISION.fullmatch(rev):
            raise FetchError(f"'{rev}' is not a Git revision: it needs 40 (or 64) hexadecimal digits")
        pinned = {name: value for name, value in attributes.items() if name != "ref"} | {"rev": rev}
        return self._unpacked(pinned, forge_archive(pinned))

    def _download(self, url: str, target: Path) -> None:
        if not url.startswith("file:"):
            self.report.note(f"fetching {url}")
        deadline = time.monotonic() + SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._transport.open(url, deadline=deadline) as body, target.open("wb") as file:
                    for chunk in body.chunks:
                        file.write(chunk)
                return
            except TransferError as error:
                if error.fault == "missing" or attempt == ATTEMPTS:
                    raise FetchError(f"unable to download '{url}': {error.reason}") from None
            time.sleep(attempt)


_KINDS = {
    "path": Fetchers._path,
    "tarball": Fetchers._tarball,
    "file": Fetchers._plain_file,
    "git": Fetchers._git,
    "hg": Fetchers._hg,
    "github": Fetchers._forge,
    "gitlab": Fetchers._forge,
    "sourcehut": Fetchers._forge,
}

_HOSTS = {"github": "github.com", "gitlab": "gitlab.com", "sourcehut": "git.sr.ht"}


def forge_repository(attributes: TreeAttributes) -> str:
    """The https URL of the repository behind `github:`, `gitlab:` or `sourcehut:` attributes. Raises FetchError."""
    kind = str(attributes["type"])
    host = str(attributes.get("host", _HOSTS[kind]))
    owner, repo = (quote(_text(attributes, name), safe="~") for name in ("owner", "repo"))
    return f"https://{host}/{owner}/{repo}"


def forge_archive(attributes: TreeAttributes) -> str:
    """The https URL of the archive of a revision. Raises FetchError."""
    base, rev = forge_repository(attributes), _text(attributes, "rev")
    form: Literal["/-/archive/", "/archive/"] = "/-/archive/" if attributes["type"] == "gitlab" else "/archive/"
    return f"{base}{form}{rev}.tar.gz"


def expected_nar(attributes: TreeAttributes) -> bytes | None:
    """The NAR hash that attributes ask for. Raises NixError for what is no hash."""
    text = attributes.get("narHash")
    return None if text is None else parse_hash(str(text), "sha256")[1]


def _locked(source: str, nar: bytes, attributes: TreeAttributes) -> FetchedTree:
    return FetchedTree(source, nar, {**attributes, "narHash": sri(nar)})


def _text(attributes: TreeAttributes, name: str) -> str:
    found = attributes.get(name)
    if not isinstance(found, str) or not found:
        raise FetchError(f"attribute '{name}' is missing for an input of type '{attributes['type']}'")
    return found


def _optional(attributes: TreeAttributes, name: str) -> str | None:
    found = attributes.get(name)
    return None if found is None else str(found)


def _newest(path: str) -> float:
    """The newest time of anything in a tree."""
    newest = os.lstat(path).st_mtime
    for directory, _, names in os.walk(path):
        for name in [*names, "."]:
            newest = max(newest, os.lstat(f"{directory}/{name}").st_mtime)
    return newest
