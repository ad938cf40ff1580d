"""Builtins that read files: import, readFile, readDir, findFile ..."""

from __future__ import annotations

import os

from invar.nix.builtins.registry import Registry
from invar.nix.coerce import coerce_to_string
from invar.nix.errors import NixError, NixMissingAttribute, NixRestricted, NixThrow
from invar.nix.file_types import file_type
from invar.nix.operators import canonical_path
from invar.nix.runtime import expect_list, expect_plain, expect_set, whnf
from invar.nix.store_objects import TextObject
from invar.nix.values import Path, Value, with_context

TYPE_CHECKING = False
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

    @bound.add("getEnv", 1)
    def get_env(name: Value) -> str:
        wanted = str(expect_plain(name))
        return "" if evaluator.pure or evaluator.restricted else os.environ.get(wanted, "")

    return bound


def realised(value: Value) -> str:
    """The absolute, normal path that a path or a string names. Raises NixError."""
    value = whnf(value)
    if type(value) is Path:
        return value.path
    text = str(coerce_to_string(value))
    if not text.startswith("/"):
        raise NixError(f"string '{text}' doesn't represent an absolute path")
    return canonical_path(text)


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
