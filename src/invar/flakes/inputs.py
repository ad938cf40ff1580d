"""From references to trees: each input's source, fetched once, checked against the hash that the lock has."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.flakes.place import git_root
from invar.flakes.registry import look_up
from invar.flakes.source import Source, path_source, work_tree_source
from invar.nix.fetching import Fetcher, NoFetcher
from invar.nix.input_urls import format_input

LOCKED_ALWAYS = ("type", "path", "url", "owner", "repo", "host", "dir", "submodules", "shallow")


@dataclass(slots=True)
class Sources:
    """Where trees come from. `registries` are files of names; `fetcher` gets what is no directory of this machine."""

    report: Report
    fetcher: Fetcher = field(default_factory=NoFetcher)
    registries: tuple[Path, ...] = ()
    _known: dict[tuple[tuple[str, Any], ...], Source] = field(default_factory=dict)

    def resolve(self, reference: Mapping[str, Any]) -> dict[str, Any]:
        """The reference with a registry's name replaced by what it stands for."""
        return look_up(reference, self.registries) if reference["type"] == "indirect" else dict(reference)

    def get(self, reference: Mapping[str, Any], *, name: str = "") -> Source:
        """The tree of a reference (no relative path). With `narHash` it must be that very tree.

        Raises InvarError (or the fetcher's error) for what is not there or is another.
        """
        asked = self.resolve(reference)
        key = tuple(sorted(asked.items()))
        if key not in self._known:
            self._known[key] = self._fetch(asked)
        source = self._known[key]
        expected = asked.get("narHash")
        if expected is not None and expected != sri(source.nar_sha256):
            shown = format_input({key: value for key, value in asked.items() if key != "narHash"})
            raise InvarError(
                f"NAR hash mismatch in input {f'{name!r} ' if name else ''}'{shown}'",
                why=f"flake.lock has {expected}\nit is now     {sri(source.nar_sha256)}",
                hint=f"if the change is meant: `invar flake update{' ' + name if name else ''}`",
            )
        return source

    def _fetch(self, asked: Mapping[str, Any]) -> Source:
        kind = asked["type"]
        plain = {name: asked[name] for name in LOCKED_ALWAYS if name in asked}
        if kind == "path":
            return path_source(Path(str(asked["path"])), plain, editable=False)
        if kind == "git" and "rev" not in asked and "ref" not in asked:
            place = urlsplit(str(asked["url"]))
            if place.scheme == "file" and (root := git_root(Path(unquote(place.path)))) == Path(unquote(place.path)):
                return work_tree_source(root, plain, self.report)
        with self.report.stage("fetch inputs"):
            fetched = self.fetcher.tree({name: value for name, value in asked.items() if name != "dir"})
        known = {name: value for name, value in fetched.locked.items() if name != "narHash"}
        return Source(fetched.source, fetched.nar_sha256, {**plain, **known})


def locked_attributes(source: Source) -> dict[str, Any]:
    """What flake.lock has under "locked": attributes that give this very tree again."""
    kept = {key: value for key, value in source.attributes.items() if not key.startswith("dirty")}
    return {**kept, "narHash": sri(source.nar_sha256)}


def sri(digest: bytes) -> str:
    """A SHA-256 as `sha256-BASE64`."""
    return f"sha256-{base64.b64encode(digest).decode()}"
