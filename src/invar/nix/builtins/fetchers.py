"""Builtins that fetch: `fetchurl`, `fetchTarball`, `fetchGit`, `fetchTree`, through the evaluator's `Fetcher`."""

from __future__ import annotations

import binascii
import posixpath
import time
from typing import TYPE_CHECKING

from invar.nix.builtins.hashing import parse_hash
from invar.nix.builtins.registry import Registry
from invar.nix.builtins.storing import checked
from invar.nix.coerce import coerce_to_string
from invar.nix.errors import NixError, NixRestricted, NixTypeError
from invar.nix.fetching import FetchedTree, FetchError, TreeAttributes, is_locked
from invar.nix.runtime import expect_plain, whnf
from invar.nix.store_objects import SourceObject
from invar.nix.storepath import encode_base32, fixed_output_path, source_path
from invar.nix.values import NixString, Value, type_name

if TYPE_CHECKING:
    from invar.nix.evaluator import Evaluator

NO_REVISION = "0" * 40


def sri(digest: bytes) -> str:
    """A SHA-256 as `sha256-BASE64`."""
    return f"sha256-{binascii.b2a_base64(digest, newline=False).decode()}"


def bound_builtins(evaluator: Evaluator) -> Registry:
    """All of them."""
    bound = Registry()

    @bound.add("fetchurl", 1)
    def fetch_url(arguments: Value) -> str:
        url, name, expected = pinned(arguments, "fetchurl", None)
        fetched = evaluator.fetcher.file(url, expected)
        path = checked(
            lambda: fixed_output_path(name, "sha256", fetched.sha256, recursive=False, store_dir=evaluator.store_dir)
        )
        evaluator.store_objects[path] = SourceObject(fetched.source, fetched.sha256)
        return NixString(path, frozenset({path}))

    @bound.add("fetchTarball", 1)
    def fetch_tarball(arguments: Value) -> str:
        url, name, expected = pinned(arguments, "fetchTarball", "source")
        attributes: dict[str, str | int | bool] = {"type": "tarball", "url": url}
        if expected is not None:
            attributes["narHash"] = sri(expected)
        return stored(evaluator.fetcher.tree(attributes), name)

    @bound.add("fetchGit", 1)
    def fetch_git(arguments: Value) -> dict[str, Value]:
        given = whnf(arguments)
        name = "source"
        if isinstance(given, dict):
            attributes = tree_attributes(given, "fetchGit", "git")
            name = str(attributes.pop("name", name))
        else:
            attributes = {"type": "git", "url": str(coerce_to_string(given))}
        from invar.nix.input_urls import git_url  # few expressions fetch anything

        if "url" not in attributes:
            raise NixError("attribute 'url' is missing in call to 'fetchGit'")
        attributes["url"] = git_url(str(attributes["url"]))
        fetched = fetch("fetchGit", attributes)
        result = described(fetched, name)
        result.setdefault("rev", NO_REVISION)
        result.setdefault("shortRev", NO_REVISION[:7])
        result.setdefault("revCount", 0)
        return result

    @bound.add("fetchMercurial", 1)
    def fetch_mercurial(arguments: Value) -> dict[str, Value]:
        from invar.nix.input_urls import REVISION, format_input

        given = whnf(arguments)
        attributes: dict[str, str | int | bool] = {"type": "hg", "url": ""}
        name = "source"
        if isinstance(given, dict):
            for key in sorted(given):
                if key == "url":
                    attributes["url"] = str(coerce_to_string(given[key]))
                elif key == "rev":
                    text = str(expect_plain(given[key]))
                    attributes["rev" if REVISION.fullmatch(text) else "ref"] = text
                elif key == "name":
                    name = str(expect_plain(given[key]))
                else:
                    raise NixError(f"unsupported argument '{key}' to 'fetchMercurial'")
            if not attributes["url"]:
                raise NixError("'url' argument required")
        else:
            attributes["url"] = str(coerce_to_string(given))
        address = str(attributes["url"])
        evaluator.allowed_uri(address)
        attributes["url"] = address if "://" in address else f"file://{address}"
        if "rev" not in attributes and evaluator.pure:
            raise NixRestricted("in pure evaluation mode, 'fetchMercurial' requires a Mercurial revision")
        if "rev" not in attributes and not evaluator.fetch_unlocked:
            raise NixRestricted(
                f"'fetchMercurial' of '{format_input(attributes)}' may give something else tomorrow",
                hint="Give 'rev', or evaluate with --impure.",
            )
        fetched = evaluator.fetcher.tree(attributes)
        rev = str(fetched.locked.get("rev", NO_REVISION))
        result: dict[str, Value] = {"outPath": stored(fetched, name), "rev": rev, "shortRev": rev[:12]}
        if "ref" in fetched.locked:
            result["branch"] = str(fetched.locked["ref"])
        if "revCount" in fetched.locked:
            result["revCount"] = int(fetched.locked["revCount"])
        return result

    @bound.add("fetchTree", 1)
    def fetch_tree(arguments: Value) -> dict[str, Value]:
        from invar.nix.input_urls import git_url, parse_input_url

        given = whnf(arguments)
        if isinstance(given, dict):
            if "type" not in given:
                raise NixError("attribute 'type' is missing in call to 'fetchTree'")
            attributes = tree_attributes(given, "fetchTree", None)
            if "name" in attributes:
                raise NixError("attribute 'name' isn’t supported in call to 'fetchTree'")
            if attributes["type"] == "git" and "url" in attributes:
                attributes["url"] = git_url(str(attributes["url"]))
        else:
            attributes = parse_input_url(str(coerce_to_string(given)))
        return described(fetch("fetchTree", attributes), "source")

    def fetch(who: str, attributes: TreeAttributes) -> FetchedTree:
        unlocked = not is_locked(attributes)
        if unlocked and evaluator.pure:
            raise NixRestricted(
                f"in pure evaluation mode, '{who}' requires a locked input",
                hint="Give 'rev' or 'narHash', or evaluate with --impure.",
            )
        if unlocked and not evaluator.fetch_unlocked:
            from invar.nix.input_urls import format_input

            raise NixRestricted(
                f"'{who}' of '{format_input(attributes)}' may give something else tomorrow",
                hint="Give 'rev' or 'narHash', or evaluate with --impure.",
            )
        address = str(attributes.get("url") or "")
        if address:
            evaluator.allowed_uri(address)
        elif attributes["type"] == "path":
            evaluator.allowed(str(attributes.get("path")))
        return evaluator.fetcher.tree(attributes)

    def pinned(arguments: Value, who: str, default_name: str | None) -> tuple[str, str, bytes | None]:
        """URL, name and hash of `fetchurl` and `fetchTarball`."""
        given = whnf(arguments)
        url, name, expected = "", default_name, None
        if isinstance(given, dict):
            for key in sorted(given):
                if key == "url":
                    url = str(expect_plain(given[key]))
                elif key == "sha256":
                    text = str(expect_plain(given[key]))
                    expected = parse_hash(text, "sha256")[1] if text else bytes(32)
                elif key == "name":
                    name = str(expect_plain(given[key]))
                else:
                    raise NixError(f"unsupported argument '{key}' to '{who}'")
            if not url:
                raise NixError("'url' argument required")
        else:
            url = str(expect_plain(given))
        evaluator.allowed_uri(url)
        if expected is None and evaluator.pure:
            raise NixRestricted(f"in pure evaluation mode, '{who}' requires a 'sha256' argument")
        if expected is None and not evaluator.fetch_unlocked:
            raise NixRestricted(
                f"'{who}' of '{url}' has no 'sha256': what it gives may change",
                hint="Give 'sha256', or evaluate with --impure.",
            )
        return url, name if name is not None else posixpath.basename(url), expected

    def stored(tree: FetchedTree, name: str) -> str:
        path = checked(lambda: source_path(name, tree.nar_sha256, (), evaluator.store_dir))
        evaluator.store_objects[path] = SourceObject(tree.source, tree.nar_sha256)
        return NixString(path, frozenset({path}))

    def described(tree: FetchedTree, name: str) -> dict[str, Value]:
        """What `fetchTree` gives of a tree."""
        locked = tree.locked
        result: dict[str, Value] = {"outPath": stored(tree, name), "narHash": sri(tree.nar_sha256)}
        if locked["type"] == "git":
            result["submodules"] = bool(locked.get("submodules", False))
        if "rev" in locked:
            result["rev"] = str(locked["rev"])
            result["shortRev"] = str(locked["rev"])[:7]
        if "revCount" in locked:
            result["revCount"] = int(locked["revCount"])
        if "lastModified" in locked:
            seconds = int(locked["lastModified"])
            result["lastModified"] = seconds
            result["lastModifiedDate"] = time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds))
        return result

    return bound


def tree_attributes(given: dict[str, Value], who: str, kind: str | None) -> dict[str, str | int | bool]:
    """A Nix set as plain attributes. Raises NixTypeError."""
    found: dict[str, str | int | bool] = {} if kind is None else {"type": kind}
    for name in sorted(given):
        value = whnf(given[name])
        if name == "url" or name == "path":
            found[str(name)] = str(coerce_to_string(value))
        elif isinstance(value, str):
            found[str(name)] = str(expect_plain(value))
        elif isinstance(value, (bool, int)):
            found[str(name)] = value
        else:
            raise NixTypeError(
                f"{who} argument '{name}' is {type_name(value)} while a string, Boolean or integer is expected"
            )
    return found


def mismatch(url: str, expected: bytes, got: bytes) -> FetchError:
    """The error for a file or tree that is not what its hash says."""
    return FetchError(
        f"hash mismatch in file downloaded from '{url}':\n"
        f"         specified: sha256:{encode_base32(expected)}\n"
        f"         got:       sha256:{encode_base32(got)}"
    )
