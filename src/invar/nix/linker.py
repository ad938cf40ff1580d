"""Compiled code to a running module: its namespace is the runtime, the builtins, and the objects the code asked for."""

from __future__ import annotations

from invar.nix import operators, runtime
from invar.nix.compiled import Compiled
from invar.nix.errors import NixMissingAttribute, NixUndefined, did_you_mean, nearest
from invar.nix.features import missing_hint
from invar.nix.operators import canonical_path
from invar.nix.runtime import closure, closure2, closure3, delay, thunk
from invar.nix.values import Lambda, Lambda2, Lambda3, LambdaInfo, Path, Pos, Primop, Thunk, Value, site_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

RUNTIME: dict[str, Any] = {
    fn.__name__: fn
    for fn in (
        *(runtime.adapt1, runtime.adapt2, runtime.adapt3, runtime.closure, runtime.closure2, runtime.closure3),
        *(runtime.evaluate, runtime.member, runtime.thunk, runtime.whnf, runtime.expect_function),
        *(runtime.expect_set, runtime.expect_string, runtime.expect_list, runtime.expect_int),
        *(operators.add, operators.subtract, operators.multiply, operators.divide, operators.negate),
        *(operators.assertion_failed, operators.check_formals, operators.missing_argument, operators.not_bool),
        *(operators.equal, operators.less, operators.concatenate, operators.update, operators.override_attrs),
        *(operators.find_attr, operators.has_attr, operators.select_dynamic, operators.define_dynamic),
        *(operators.with_lookup, Thunk, Lambda, Lambda2, Lambda3),
    )
} | {"MISSING": operators.MISSING, "SIMPLE": frozenset({int, str}), "new": object.__new__}
"""What generated code calls by name, the same for every module."""

_CLOSURES: dict[int, Callable[[Any, Any], Lambda]] = {1: closure, 2: closure2, 3: closure3}


def link(
    compiled: Compiled,
    *,
    name: str,
    base_dir: str,
    builtins: Mapping[str, Value],
    services: Mapping[str, Callable[..., Value]],
    scope: Mapping[str, Value] | None = None,
) -> Thunk:
    """A thunk of the source's value.

    `name` stands in positions, relative paths start at `base_dir`, `services` are what only an evaluator can do
    (`interpolate`, `add_any`, `find_file`, `interpolated_path`, `home_path`), `scope` the names of `scopedImport`.
    """
    space: dict[str, Any] = dict(RUNTIME)
    space.update(services)
    space["__nix_file__"] = name
    space["__nix_labels__"] = {
        code: (text, Pos(name, line, column) if line else None) for code, (text, line, column) in compiled.labels
    }
    space["current_position"] = lambda line, column: {"file": name, "line": line, "column": column}
    space.update(dict.fromkeys(compiled.top_names))
    for spelled, key, line, column in compiled.keys:
        space[spelled] = site_names.fresh(key, Pos(name, line, column))
    for spelled, text in compiled.paths:
        space[spelled] = _path(text, base_dir, services)
    for builtin in compiled.builtins:
        space[f"builtins.{builtin}"] = _builtin(builtins, builtin)
    for builtin, arity in compiled.primops:
        space[f"call.{builtin}"] = _primop(builtins, builtin, arity)
    for given, value in (scope or {}).items():
        space[f"scoped {given}"] = value
    exec(compiled.code, space)
    for code, infos in compiled.infos:
        space[code].infos = tuple(_info(name, *info) for info in infos)
    for code, (result, key) in compiled.traits:
        space[code].cheap_result, space[code].sort_key = result, key
    for spelled, code, arity in compiled.closed_functions:
        space[spelled] = _CLOSURES[arity](space[code], None)
    return thunk(space["root"], None)


def _info(file: str, name: str | None, argument: str | None, formals: Any, ellipsis: bool, place: Any) -> LambdaInfo:
    return LambdaInfo(name, argument, None if formals is None else dict(formals), ellipsis, Pos(file, *place))


def _path(text: str, base_dir: str, services: Mapping[str, Callable[..., Value]]) -> Value:
    if text.startswith("~"):
        return delay(lambda: services["home_path"](text[1:]))
    return Path(canonical_path(text if text.startswith("/") else f"{base_dir}/{text}"))


def _builtin(builtins: Mapping[str, Value], name: str) -> Value:
    if name == "builtins":
        return builtins
    return builtins[name] if name in builtins else delay(lambda: _missing(builtins, name))


def _primop(builtins: Mapping[str, Value], name: str, arity: int) -> Callable[..., Value]:
    found = builtins.get(name)
    if isinstance(found, Primop) and found.arity == arity and not found.args:
        return found.fn
    if found is None:
        return lambda *arguments: _missing(builtins, name)
    return lambda *arguments: runtime.apply(found, arguments)


def _missing(builtins: Mapping[str, Value], name: str) -> Value:
    hint = missing_hint(name) or did_you_mean(nearest(name, builtins))
    if name.startswith("__"):
        raise NixUndefined(f"undefined variable '{name}'", hint=hint)
    raise NixMissingAttribute(f"attribute '{name}' missing", hint=hint)
