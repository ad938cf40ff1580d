"""Builtins that put files into the store, or hash them: path, filterSource, toFile, storePath, hashFile."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from invar.nix.builtins.files import realised
from invar.nix.builtins.hashing import digest_of, parse_hash
from invar.nix.builtins.registry import Registry
from invar.nix.coerce import coerce_to_string
from invar.nix.errors import NixError, NixRestricted
from invar.nix.nar import nar_sha256
from invar.nix.runtime import call2, expect_bool, expect_function, expect_plain, expect_set, expect_string
from invar.nix.store_objects import SourceObject, TextObject
from invar.nix.storepath import fixed_output_path, source_path, text_path
from invar.nix.values import NixString, Value, context_of

if TYPE_CHECKING:
    from invar.nix.evaluator import Evaluator


def bound_builtins(evaluator: Evaluator) -> Registry:
    """All of them, reading through `evaluator`, which refuses what pure evaluation may not read."""
    bound = Registry()

    @bound.add("hashFile", 2)
    def hash_file(algorithm: Value, path: Value) -> str:
        kind = str(expect_plain(algorithm))
        return digest_of(kind, evaluator.read_bytes(realised(path))).hex()

    @bound.add("toFile", 2)
    def to_file(name: Value, content: Value) -> str:
        text = expect_string(content)
        references = frozenset(context_of(text))
        for element in references:
            if element.startswith(("!", "=")):
                raise NixError(
                    f"in 'toFile': the file named '{expect_plain(name)}' must not contain a reference to a derivation"
                    f" but contains ({element.rpartition('!')[2].removeprefix('=')})"
                )
        data = str(text).encode("utf-8", "surrogateescape")
        path = checked(lambda: text_path(str(expect_plain(name)), data, references, evaluator.store_dir))
        evaluator.store_objects[path] = TextObject(data, references)
        return NixString(path, frozenset({path}))

    @bound.add("filterSource", 2)
    def filter_source(predicate: Value, path: Value) -> str:
        place = realised(path)
        return add_path(place, os.path.basename(place), expect_function(predicate), True, None)  # noqa: PTH119

    @bound.add("path", 1)
    def builtin_path(arguments: Value) -> str:
        given = expect_set(arguments)
        if "path" not in given:
            raise NixError("'path' required")
        for name in sorted(given):
            if name not in ("path", "name", "filter", "recursive", "sha256"):
                raise NixError(f"unsupported argument '{name}' to 'addPath'")
        place = realised(given["path"])
        name = str(expect_plain(given["name"])) if "name" in given else os.path.basename(place)  # noqa: PTH119
        predicate = expect_function(given["filter"]) if "filter" in given else None
        recursive = expect_bool(given["recursive"]) if "recursive" in given else True
        expected = parse_hash(str(expect_plain(given["sha256"])), "sha256")[1] if "sha256" in given else None
        return add_path(place, name, predicate, recursive, expected)

    def add_path(place: str, name: str, predicate: Value, recursive: bool, expected: bytes | None) -> str:
        shown, place = place, evaluator.place(place)
        left_out = evaluator.left_out(shown)
        dropped: set[str] = set(left_out)

        def keep(entry: str, kind: str) -> bool:
            if entry in left_out:
                return False
            answer = predicate is None or expect_bool(call2(predicate, shown + entry[len(place) :], kind))
            if not answer:
                dropped.add(entry)
            return answer

        try:
            if recursive:
                digest = nar_sha256(place, keep)
                path = checked(lambda: source_path(name, digest, (), evaluator.store_dir))
            else:
                digest = hashlib.sha256(evaluator.read_bytes(shown)).digest()
                path = checked(
                    lambda: fixed_output_path(name, "sha256", digest, recursive=False, store_dir=evaluator.store_dir)
                )
        except OSError as error:
            raise NixError(f"getting status of '{error.filename}': {error.strerror}") from None
        if expected is not None and digest != expected:
            raise NixError(f"store path mismatch in (possibly filtered) path added from '{shown}'")
        evaluator.store_objects[path] = SourceObject(place, digest, frozenset(dropped))
        return NixString(path, frozenset({path}))

    @bound.add("storePath", 1)
    def store_path(path: Value) -> str:
        if evaluator.pure:
            raise NixRestricted("'storePath' is not allowed in pure evaluation mode")
        text = str(coerce_to_string(path))
        if not text.startswith(evaluator.store_dir + "/"):
            raise NixError(f"path '{text}' is not in the Nix store")
        top = "/".join(text.split("/")[: evaluator.store_dir.count("/") + 2])
        return NixString(text, frozenset({top}))

    return bound


def checked(make: object) -> str:
    """A store path, its errors as evaluation errors."""
    try:
        return str(make())  # type: ignore[operator]
    except ValueError as error:
        raise NixError(str(error)) from None
