"""The builtins, one file a kind. `make_builtins` puts them together for an evaluator."""

from __future__ import annotations

from invar.nix.builtins import attrs, control, lists, numbers, strings, types
from invar.nix.builtins.coercing import coercing_builtins
from invar.nix.builtins.deferred import deferred_builtins
from invar.nix.builtins.files import file_builtins
from invar.nix.builtins.registry import Registry
from invar.nix.printer import print_value
from invar.nix.runtime import expect_string, whnf
from invar.nix.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from invar.nix.evaluator import Evaluator

VERSION = "2.18.0"
"""What `builtins.nixVersion` says: the version of the language that is implemented."""


def make_builtins(evaluator: Evaluator, extra: Mapping[str, Value]) -> dict[str, Value]:
    """The set `builtins`; `extra` goes over it."""
    made: dict[str, Value] = {}
    for module in (attrs, control, lists, numbers, strings, types):
        made.update(module.primops)
    made.update(coercing_builtins(evaluator.copy_path))
    made.update(file_builtins(evaluator))
    made.update(deferred_builtins(evaluator))
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
