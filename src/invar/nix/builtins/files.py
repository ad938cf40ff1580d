"""Builtins that read files: import, readFile, readDir, path, findFile ..."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from invar.nix.builtins.hashing import digest_of, parse_hash
from invar.nix.builtins.registry import Registry
from invar.nix.coerce import coerce_to_string
from invar.nix.errors import NixError, NixMissingAttribute, NixRestricted, NixThrow
from invar.nix.nar import file_type, nar_sha256
from invar.nix.operators import canonical_path
from invar.nix.runtime import (
    call2,
    expect_bool,
    expect_function,
    expect_list,
    expect_plain,
    expect_set,
    expect_string,
    whnf,
)
from invar.nix.store_objects import SourceObject, TextObject
from invar.nix.storepath import fixed_output_path, source_path, text_path
from invar.nix.values import NixString, Path, Value, context_of, with_context

if TYPE_CHECKING:
    from invar.nix.evaluator import Evaluator


def file_builtins(evaluator: Evaluator) -> Registry:
    """All of them, reading through `evaluator`, which refuses what pure evaluation may not read."""
    bound = Registry()

    @bound.add("import", 1)
    def import_file(path: Value) -> Value:
        return evaluator.import_path(realised(path))

    @bound.add("scopedImport", 2)
    def scoped_import(scope: Value, path: Value) -> Value:
        return evaluator.import_path(realised(path), scope=expect_set(scope))

    @bound.add("readFile", 1)
    def read_file(path: Value) -> str:
        place = realised(path)
        stored = evaluator.store_objects.get(place)
        if isinstance(stored, TextObject):
            text = stored.content.decode("utf-8", "surrogateescape")
            return with_context(text, stored.references)
        data = evaluator.read_bytes(place)
        if b"\0" in data:
            raise NixError(f"the contents of the file '{place}' cannot be represented as a Nix string")
        return data.decode("utf-8", "surrogateescape")

    @bound.add("pathExists", 1)
    def path_exists(path: Value) -> bool:
        try:
            return evaluator.exists(realised(path))
        except NixRestricted:
            return False

    @bound.add("readDir", 1)
    def read_dir(path: Value) -> dict[str, Value]:
        place = realised(path)
        try:
            left_out = evaluator.left_out(place)
            with os.scandir(evaluator.place(place)) as entries:
                return {
                    entry.name: file_type(entry.stat(follow_symlinks=False).st_mode)
                    for entry in entries
                    if entry.path not in left_out
                }
        except OSError as error:
            raise NixError(f"opening directory '{place}': {error.strerror}") from None

    @bound.add("readFileType", 1)
    def read_file_type(path: Value) -> str:
        place = realised(path)
        try:
            return file_type(os.lstat(evaluator.place(place)).st_mode)
        except OSError as error:
            raise NixError(f"getting status of '{place}': {error.strerror}") from None

    @bound.add("hashFile", 2)
    def hash_file(algorithm: Value, path: Value) -> str:
        kind = str(expect_plain(algorithm))
        return digest_of(kind, evaluator.read_bytes(realised(path))).hex()

    @bound.add("findFile", 2)
    def find_file(search_path: Value, name: Value) -> Value:
        entries = []
        for item in expect_list(search_path):
            entry = expect_set(item)
            if "path" not in entry:
                raise NixMissingAttribute("attribute 'path' missing for call to 'findFile'")
            prefix = str(expect_plain(entry["prefix"])) if "prefix" in entry else ""
            entries.append((prefix, str(coerce_to_string(entry["path"]))))
        return find_in(evaluator, entries, str(expect_plain(name)))

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

    @bound.add("getEnv", 1)
    def get_env(name: Value) -> str:
        wanted = str(expect_plain(name))
        return "" if evaluator.pure or evaluator.restricted else os.environ.get(wanted, "")

    def realised(value: Value) -> str:
        value = whnf(value)
        if type(value) is Path:
            return value.path
        text = str(coerce_to_string(value))
        if not text.startswith("/"):
            raise NixError(f"string '{text}' doesn't represent an absolute path")
        return canonical_path(text)

    return bound


def checked(make: object) -> str:
    """A store path, its errors as evaluation errors."""
    try:
        return str(make())  # type: ignore[operator]
    except ValueError as error:
        raise NixError(str(error)) from None


def find_in(evaluator: Evaluator, entries: list[tuple[str, str]], name: str) -> Path:
    """The first of (prefix, path) in which `name` is found. Raises NixThrow, as `<name>` can be caught."""
    for prefix, path in entries:
        if not prefix:
            candidate = f"{path}/{name}"
        elif name == prefix or name.startswith(f"{prefix}/"):
            candidate = path + name[len(prefix) :]
        else:
            continue
        if os.path.exists(candidate) or evaluator.exists(candidate):  # noqa: PTH110
            return Path(canonical_path(os.path.abspath(candidate)))  # noqa: PTH100
    if evaluator.pure:
        raise NixThrow(f"cannot look up '<{name}>' in pure evaluation mode (use '--impure' to override)")
    raise NixThrow(f"file '{name}' was not found in the Nix search path (add it using $NIX_PATH or -I)")
