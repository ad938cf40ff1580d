"""Builtins whose files are loaded when one of them is first called: what they need takes long to load."""

from __future__ import annotations

from invar.nix.features import BUILTIN_FEATURES
from invar.nix.values import Primop, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from invar.nix.builtins.registry import Registry
    from invar.nix.evaluator import Evaluator

DEFERRED: dict[str, dict[str, int]] = {
    "data": {"fromJSON": 1, "fromTOML": 1, "toJSON": 1, "toXML": 1, "toPath": 1},
    "derivation": {"derivation": 1, "derivationStrict": 1, "placeholder": 1},
    "experimental": {"fetchClosure": 1, "getFlake": 1, "outputOf": 2},
    "fetchers": {"fetchurl": 1, "fetchTarball": 1, "fetchGit": 1, "fetchMercurial": 1, "fetchTree": 1},
    "flakerefs": {"parseFlakeRef": 1, "flakeRefToString": 1},
    "hashing": {"hashString": 2, "convertHash": 1},
    "regex": {"match": 2, "split": 2},
    "storing": {"toFile": 2, "filterSource": 2, "path": 1, "storePath": 1, "hashFile": 2},
    "versions": {"splitVersion": 1, "compareVersions": 2, "parseDrvName": 1},
}
"""By the file in this directory: the builtins in it, with their numbers of arguments."""


class Deferred:
    """The function of a builtin, found when it is first called or `resolved`."""

    __slots__ = ("_found", "_load", "_name")

    def __init__(self, name: str, load: Callable[[], Registry]) -> None:
        self._name = name
        self._load = load
        self._found: Callable[..., Value] | None = None

    def __call__(self, *arguments: Value) -> Value:
        found = self._found
        return found(*arguments) if found is not None else self.resolved()(*arguments)

    def resolved(self) -> Callable[..., Value]:
        """The function itself."""
        found = self._found = self._load()[self._name].fn
        return found


def deferred_builtins(evaluator: Evaluator) -> dict[str, Primop]:
    """All of them, by name; those of experimental features where these are switched on."""
    made: dict[str, Primop] = {}
    switched_on = {"", *evaluator.features}
    for file, names in DEFERRED.items():
        load = _Loader(file, evaluator)
        for name, arity in names.items():
            if BUILTIN_FEATURES.get(name, "") in switched_on:
                made[name] = Primop(name, arity, Deferred(name, load))
    return made


class _Loader:
    """One file's builtins for one evaluator: its `primops`, or what its `bound_builtins` makes."""

    __slots__ = ("_evaluator", "_file", "_loaded")

    def __init__(self, file: str, evaluator: Evaluator) -> None:
        self._file = file
        self._evaluator = evaluator
        self._loaded: Registry | None = None

    def __call__(self) -> Registry:
        if self._loaded is None:
            from importlib import import_module

            module = import_module(f"invar.nix.builtins.{self._file}")
            bind = getattr(module, "bound_builtins", None)
            self._loaded = module.primops if bind is None else bind(self._evaluator)
        return self._loaded
