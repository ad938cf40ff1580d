"""The evaluator: files and strings to values, with builtins, a search path and an in-memory store."""

from __future__ import annotations

import os
import sys
import time

from invar.nix.builtins import make_builtins
from invar.nix.builtins.files import find_in
from invar.nix.cache import CodeCache
from invar.nix.coerce import coerce_to_string
from invar.nix.errors import NixError, NixRestricted
from invar.nix.linker import link
from invar.nix.operators import NUMBERS, add, canonical_path, extend_path
from invar.nix.runtime import evaluate
from invar.nix.stack import with_big_stack
from invar.nix.store_objects import STORE_DIR, Derivation, SourceObject, TextObject
from invar.nix.traces import TRANSLATED, located
from invar.nix.values import NixString, Path, Thunk, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    from invar.nix.compiled import Compiled
    from invar.nix.fetching import Fetcher, TreeAttributes
    from invar.nix.store_objects import StoreObject

    FlakeReader: TypeAlias = Callable[["Evaluator", TreeAttributes], Value]
    """From a flake's reference to its value, evaluated by the evaluator that asks."""

SYSTEM = "x86_64-linux"


def _print_trace(text: str) -> None:
    print(f"trace: {text}", file=sys.stderr)


def _print_warning(text: str) -> None:
    print(f"evaluation warning: {text}", file=sys.stderr)


class Evaluator:
    """Evaluates Nix. One is for one use: files are read once, values are shared.

    `search_path` holds (prefix, path) for `<prefix/...>`, an empty prefix for a directory to search. `pure` refuses the
    environment, the clock, fetching without a hash, and paths that are not under `allowed_roots`. `restricted` refuses
    paths that are not under `allowed_roots` or the search path, and addresses that are not under `allowed_uris`.
    `extra_builtins` are reachable as `builtins.NAME`. `on_trace` and `on_warn` get the texts of `builtins.trace` and
    `builtins.warn`. `features` are names of Nix's experimental features (see `features.py`). `fetcher` gets what the
    fetching builtins ask for; what has neither hash nor revision only with `fetch_unlocked`. `flakes` is what
    `builtins.getFlake` asks for the value of a flake. `files_read` are the files
    that were imported or read so far; those that were copied into the store are in `store_objects`.
    """

    def __init__(
        self,
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        search_path: Iterable[tuple[str, str] | str] = (),
        pure: bool = False,
        extra_builtins: Mapping[str, Value] | None = None,
        allowed_roots: Iterable[str | os.PathLike[str]] | None = None,
        on_trace: Callable[[str], None] = _print_trace,
        on_warn: Callable[[str], None] = _print_warning,
        system: str = SYSTEM,
        store_dir: str = STORE_DIR,
        features: Iterable[str] = (),
        restricted: bool = False,
        allowed_uris: Iterable[str] = (),
        fetcher: Fetcher | None = None,
        fetch_unlocked: bool = True,
        flakes: FlakeReader | None = None,
    ) -> None:
        self.pure = pure
        self.restricted = restricted
        self.allowed_uris = tuple(allowed_uris)
        self._fetcher = fetcher
        self.fetch_unlocked = fetch_unlocked
        self.flakes = flakes
        self.on_trace = on_trace
        self.on_warn = on_warn
        self.system = system
        self.store_dir = store_dir
        self.features = frozenset(features)
        self.search_path = [_search_entry(entry) for entry in search_path]
        self.store_objects: dict[str, StoreObject] = {}
        self.sources: dict[str, str] = {}
        self.files_read: set[str] = set()
        self._roots = None if allowed_roots is None else [canonical_path(os.fspath(root)) for root in allowed_roots]
        if pure or restricted:
            searched = [canonical_path(os.path.abspath(path)) for _, path in self.search_path]  # noqa: PTH100
            self._roots = [*(self._roots or ()), *searched]
        self._found_allowed: set[str] = set()
        self._real_directories: dict[str, str] = {}
        self._cache = CodeCache(cache_dir)
        self._imported: dict[str, Thunk] = {}
        self._copied: dict[str, str] = {}
        self._services: dict[str, Callable[..., Value]] = {
            "interpolate": self._interpolate,
            "add_any": self._add,
            "find_file": self.find_file,
            "interpolated_path": self._interpolated_path,
            "home_path": self._home_path,
        }
        self.builtins = make_builtins(self, extra_builtins or {})

    @property
    def fetcher(self) -> Fetcher:
        """What the fetching builtins ask."""
        if self._fetcher is None:
            from invar.nix.fetching import NoFetcher  # few expressions fetch anything

            self._fetcher = NoFetcher()
        return self._fetcher

    def eval_file(self, path: str | os.PathLike[str]) -> Value:
        """The value of a file (or of `default.nix` in a directory), in weak head normal form. Raises NixError."""
        return with_big_stack(self.import_file, path)

    def eval_string(
        self,
        source: str,
        *,
        name: str = "«string»",
        base_dir: str | os.PathLike[str] | None = None,
        scope: Mapping[str, Value] | None = None,
    ) -> Value:
        """The value of an expression; relative paths in it start at `base_dir` (default: the working directory).

        `scope` has variables beside the builtins. Raises NixError.
        """
        return with_big_stack(self._eval_text, source, name, base_dir, scope)

    def import_file(self, path: str | os.PathLike[str]) -> Value:
        """What `import path` gives: evaluated once per path. Raises NixError."""
        try:
            return self.import_path(canonical_path(os.path.abspath(os.fspath(path))))  # noqa: PTH100
        except TRANSLATED as error:
            raise located(error) from None

    def import_path(self, path: str, scope: Mapping[str, Value] | None = None) -> Value:
        """The same for an absolute path, with raw exceptions; with `scope` it is `scopedImport`, not cached."""
        place = self.place(path)
        if os.path.isdir(place):  # noqa: PTH112
            path, place = f"{path}/default.nix", f"{place}/default.nix"
        if path not in self.store_objects and not os.path.exists(place):  # noqa: PTH110
            raise NixError(f"getting status of '{path}': No such file or directory")
        if scope is not None:
            return evaluate(self._load(path, scope))
        loaded = self._imported.get(path)
        if loaded is None:
            loaded = self._imported[path] = self._load(path, None)
        return evaluate(loaded)

    def _load(self, path: str, scope: Mapping[str, Value] | None) -> Thunk:
        text = self.read_bytes(path).decode("utf-8", "surrogateescape")
        self.sources[path] = text
        return self._thunk(text, path, os.path.dirname(path), scope)  # noqa: PTH120

    def _eval_text(
        self, text: str, name: str, base_dir: str | os.PathLike[str] | None, scope: Mapping[str, Value] | None
    ) -> Value:
        self.sources[name] = text
        base = os.path.abspath(os.fspath(base_dir) if base_dir is not None else ".")  # noqa: PTH100
        try:
            return evaluate(self._thunk(text, name, base, scope))
        except TRANSLATED as error:
            raise located(error) from None

    def _thunk(self, text: str, name: str, base_dir: str, scope: Mapping[str, Value] | None) -> Thunk:
        return link(
            self._compiled(text, name, tuple(sorted(scope or ()))),
            name=name,
            base_dir=base_dir,
            builtins=self.builtins,
            services=self._services,
            scope=scope,
        )

    def compile_file(self, path: str) -> None:
        """Compile a file into the cache, as importing it would. Raises NixError where it is not Nix."""
        self._compiled(self.read_bytes(path).decode("utf-8", "surrogateescape"), path, ())

    def _compiled(self, text: str, name: str, scoped: tuple[str, ...]) -> Compiled:
        def compiled_now() -> Compiled:
            from invar.nix.builtin_names import builtin_behind  # cached code needs no compiler
            from invar.nix.compiler import compile_source
            from invar.nix.lexer import Source

            def is_builtin(variable: str) -> str | None:
                return builtin_behind(variable, self.features)

            return compile_source(Source.of(name, text), is_builtin, scoped=scoped, features=self.features)

        return self._cache.get((text, *scoped, ",".join(sorted(self.features))), compiled_now)

    def allowed(self, path: str) -> str:
        """`path`, unless this evaluation may not read it: then raises NixRestricted."""
        if self._roots is None or path in self._found_allowed or self._stored(path) is not None:
            return path
        for candidate, word in ((path, "absolute"), (self._canonical(path), "canonical")):
            if not any(candidate == root or candidate.startswith(root.rstrip("/") + "/") for root in self._roots):
                mode = "in restricted mode" if not self.pure else "in pure eval mode (use '--impure' to override)"
                raise NixRestricted(f"access to {word} path '{candidate}' is forbidden {mode}")
        self._found_allowed.add(path)
        return path

    def _canonical(self, path: str) -> str:
        """`path` without symbolic links; a directory is looked at once, however many files in it are read."""
        directory, name = os.path.split(path)
        real = self._real_directories.get(directory)
        if real is None:
            real = self._real_directories[directory] = os.path.realpath(directory)
        here = f"{real.rstrip('/')}/{name}"
        return os.path.realpath(here) if os.path.islink(here) else here  # noqa: PTH114

    def allow(self, root: str) -> None:
        """Let this evaluation read what is at or below `root` too."""
        if self._roots is not None and root not in self._roots:
            self._roots.append(root)

    def allowed_uri(self, uri: str) -> None:
        """Raise NixRestricted unless restricted evaluation may fetch from this address."""
        if not self.restricted:
            return
        for prefix in self.allowed_uris:
            if uri == prefix or (prefix and uri.startswith(prefix if prefix.endswith("/") else prefix + "/")):
                return
        if uri.startswith(("/", "file:///")):
            self.allowed(canonical_path(uri.removeprefix("file://")))
            return
        raise NixRestricted(f"access to URI '{uri}' is forbidden in restricted mode")

    def place(self, path: str) -> str:
        """Where on this machine a path's content is: that of what is in the evaluation's store lies elsewhere.

        Raises NixRestricted, and NixError for what such a source leaves out and says why.
        """
        stored = self._stored(path)
        if not isinstance(stored, SourceObject):
            return self.allowed(path)
        place = stored.inside(path[self._root_length(path) :])
        if place is None:
            if stored.dropped_hint is not None:
                raise NixError(f"getting status of '{path}': No such file or directory", hint=stored.dropped_hint)
            return path
        if self._roots is not None and (target := os.path.realpath(place)) != place:
            roots = [os.path.realpath(root) for root in stored.roots]
            if not any(target == root or target.startswith(f"{root}/") for root in roots):
                self.allowed(target)
        return place

    def left_out(self, path: str) -> frozenset[str]:
        """The files, where they are on this machine, that do not belong to the source that a path lies in."""
        stored = self._stored(path)
        return stored.dropped if isinstance(stored, SourceObject) else frozenset()

    def _stored(self, path: str) -> StoreObject | None:
        """The object of this evaluation that a path is, or lies in."""
        if not path.startswith(self.store_dir + "/"):
            return None
        return self.store_objects.get(path[: self._root_length(path)])

    def _root_length(self, path: str) -> int:
        end = path.find("/", len(self.store_dir) + 1)
        return len(path) if end < 0 else end

    def read_bytes(self, path: str) -> bytes:
        """A file's content. Raises NixError."""
        stored = self.store_objects.get(path)
        if isinstance(stored, TextObject):
            return stored.content
        if isinstance(stored, Derivation):
            return stored.aterm()
        self.files_read.add(path)
        try:
            with open(self.place(path), "rb") as file:  # noqa: PTH123
                return file.read()
        except OSError as error:
            raise NixError(f"opening file '{path}': {error.strerror}") from None

    def exists(self, path: str) -> bool:
        """Whether there is such a file (a dangling link is none). Raises NixRestricted."""
        if path in self.store_objects:
            return True
        try:
            return os.path.exists(self.place(path))  # noqa: PTH110
        except NixRestricted:
            raise
        except NixError:
            return False

    def copy_path(self, path: Path) -> str:
        """Put a path into the store (in memory): the store path, as a string that refers to it."""
        found = self._copied.get(path.path)
        if found is None:
            if path.path.endswith(".drv"):
                raise NixError("file names are not allowed to end in '.drv'")
            from invar.nix.nar import nar_sha256  # what hashes is loaded when there is something to hash
            from invar.nix.storepath import source_path

            place = self.place(path.path)
            dropped = self.left_out(path.path)
            try:
                digest = nar_sha256(place, (lambda entry, _: entry not in dropped) if dropped else None)
            except OSError as error:
                raise NixError(f"getting status of '{error.filename}': {error.strerror}") from None
            try:
                found = source_path(os.path.basename(path.path), digest, (), self.store_dir)  # noqa: PTH119
            except ValueError as error:
                raise NixError(str(error)) from None
            self._copied[path.path] = found
            self.store_objects[found] = SourceObject(place, digest, dropped)
        return NixString(found, frozenset({found}))

    def impure_constants(self) -> dict[str, Value]:
        """Builtins that say where and when evaluation happens; none of them in pure evaluation."""
        if self.pure:
            return {}
        return {"currentSystem": self.system, "currentTime": int(time.time())}

    def _interpolate(self, value: Value) -> str:
        return coerce_to_string(value, copy_path=self.copy_path)

    def _add(self, left: Value, right: Value) -> Value:
        if type(left) in NUMBERS or type(left) is Path:
            return add(left, right)
        if isinstance(left, str):
            return left + coerce_to_string(right, copy_path=self.copy_path)
        return coerce_to_string(left) + coerce_to_string(right)

    def find_file(self, name: str) -> Value:
        """What `<name>` means. Raises NixError, also where the search path does not have it."""
        return find_in(self, self.search_path, name)

    def _interpolated_path(self, base: Value, text: str, parts: tuple[Value, ...]) -> Path:
        start = evaluate(base).path if type(base) is Thunk else base.path
        if text.endswith("/") and not start.endswith("/"):
            start += "/"
        return extend_path(Path(start), parts)

    def _home_path(self, rest: str) -> Path:
        if self.pure:
            raise NixRestricted(f"the path '~{rest}' can not be resolved in pure mode")
        return Path(canonical_path(os.path.expanduser("~") + rest))  # noqa: PTH111


def _search_entry(entry: tuple[str, str] | str) -> tuple[str, str]:
    if isinstance(entry, tuple):
        return entry
    prefix, equals, path = entry.partition("=")
    return (prefix, path) if equals else ("", entry)
