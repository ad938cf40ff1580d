"""The builtins, one file a kind. `make_builtins` puts them together for an evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from invar.nix.builtins import attrs, control, data, flakerefs, hashing, lists, numbers, regex, strings, types
from invar.nix.builtins.coercing import coercing_builtins
from invar.nix.builtins.derivation import DerivationBuilder, derivation_builtins
from invar.nix.builtins.fetchers import fetch_builtins
from invar.nix.builtins.files import file_builtins
from invar.nix.builtins.registry import Registry
from invar.nix.printer import print_value
from invar.nix.runtime import expect_string, whnf
from invar.nix.signatures import SIGNATURES
from invar.nix.values import Value

if TYPE_CHECKING:
    from invar.nix.evaluator import Evaluator

UNPREFIXED = frozenset(
    {
        "abort", "baseNameOf", "break", "builtins", "derivation", "derivationStrict", "dirOf", "false", "fetchGit",
        "fetchMercurial", "fetchTarball", "fetchTree", "fromTOML", "import", "isNull", "map", "null", "placeholder",
        "removeAttrs", "scopedImport", "throw", "toString", "true",
    }
)  # fmt: skip
"""Builtins that are also variables by their own name; all others are only with `__` before it."""

NAMES = frozenset(
    {*SIGNATURES, *UNPREFIXED}
    | {
        "flakeRefToString", "parseFlakeRef",
        "addDrvOutputDependencies", "appendContext", "convertHash", "currentSystem", "currentTime", "fetchurl",
        "filterSource", "findFile", "getEnv", "hashFile", "langVersion", "nixPath", "nixVersion", "path", "pathExists",
        "readDir", "readFile", "readFileType", "storeDir", "storePath", "toFile", "toPath", "toXML", "traceVerbose",
        "unsafeDiscardOutputDependency", "unsafeGetAttrPos", "warn",
    }
)  # fmt: skip
"""Everything that Nix itself has in `builtins`, as far as it is here."""

VERSION = "2.18.0"
"""What `builtins.nixVersion` says: the version of the language that is implemented."""


def builtin_behind(variable: str) -> str | None:
    """The builtin that a variable not bound anywhere stands for."""
    if variable in UNPREFIXED:
        return variable
    if variable.startswith("__") and variable[2:] in NAMES and variable[2:] not in UNPREFIXED:
        return variable[2:]
    return None


def make_builtins(evaluator: Evaluator, extra: Mapping[str, Value]) -> dict[str, Value]:
    """The set `builtins`; `extra` goes over it."""
    made: dict[str, Value] = {}
    for module in (attrs, control, data, flakerefs, hashing, lists, numbers, regex, strings, types):
        made.update(module.primops)
    made.update(data.data_builtins(evaluator.copy_path))
    made.update(coercing_builtins(evaluator.copy_path))
    made.update(file_builtins(evaluator))
    made.update(fetch_builtins(evaluator))
    builder = DerivationBuilder(evaluator.store_objects, evaluator.store_dir, evaluator.copy_path)
    made.update(derivation_builtins(builder))
    made.update(_reporting(evaluator))
    made.update({"true": True, "false": False, "null": None})
    made["storeDir"] = evaluator.store_dir
    made["nixVersion"] = VERSION
    made["langVersion"] = 6
    made["nixPath"] = [{"path": path, "prefix": prefix} for prefix, path in evaluator.search_path]
    made.update(evaluator.impure_constants())
    made.update(extra)
    made["builtins"] = made
    return made


def _reporting(evaluator: Evaluator) -> Registry:
    bound = Registry()

    @bound.add("trace", 2)
    def trace(message: Value, value: Value) -> Value:
        message = whnf(message)
        evaluator.on_trace(str(message) if isinstance(message, str) else print_value(message, like_nix=True))
        return value

    @bound.add("traceVerbose", 2)
    def trace_verbose(message: Value, value: Value) -> Value:
        return value

    @bound.add("warn", 2)
    def warn(message: Value, value: Value) -> Value:
        evaluator.on_warn(str(expect_string(message)))
        return value

    return bound
