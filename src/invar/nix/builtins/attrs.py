"""Builtins on attribute sets."""

from __future__ import annotations

from invar.nix.builtins.registry import Registry
from invar.nix.errors import NixMissingAttribute, NixTypeError, did_you_mean, nearest
from invar.nix.runtime import (
    application2,
    evaluate,
    expect_function,
    expect_list,
    expect_set,
    expect_string,
    function_args,
)
from invar.nix.values import Thunk, Value, position_of

primops = Registry()


@primops.add("attrNames", 1)
def attr_names(attrs: Value) -> list[Value]:
    """The names, sorted."""
    return [str(name) for name in sorted(expect_set(attrs))]


@primops.add("attrValues", 1)
def attr_values(attrs: Value) -> list[Value]:
    """The values, in the order of the names."""
    found = expect_set(attrs)
    return [found[name] for name in sorted(found)]


@primops.add("getAttr", 2)
def get_attr(name: Value, attrs: Value) -> Value:
    """`attrs.${name}`."""
    key = expect_string(name)
    found = expect_set(attrs)
    if key not in found:
        hint = did_you_mean(nearest(key, found))
        raise NixMissingAttribute(f"attribute '{key}' missing for call to 'getAttr'", hint=hint)
    value = found[key]
    if type(value) is Thunk:
        value = found[key] = evaluate(value)
    return value


@primops.add("hasAttr", 2)
def has_attr(name: Value, attrs: Value) -> bool:
    """`attrs ? ${name}`."""
    key = expect_string(name)
    return key in expect_set(attrs)


@primops.add("removeAttrs", 2)
def remove_attrs(attrs: Value, names: Value) -> dict[str, Value]:
    """The set without these names."""
    found = expect_set(attrs)
    gone = {str(expect_string(name)) for name in expect_list(names)}
    if gone.isdisjoint(found):
        return dict(found)
    return {name: value for name, value in found.items() if name not in gone}


@primops.add("intersectAttrs", 2)
def intersect_attrs(left: Value, right: Value) -> dict[str, Value]:
    """The attributes of `right` whose names are in `left`."""
    wanted = expect_set(left)
    found = expect_set(right)
    if len(wanted) < len(found):
        common = {str(name) for name in wanted if name in found}
        if not common:
            return {}
        if len(common) * 8 < len(found):
            return {name: found[name] for name in common}
        return {name: value for name, value in found.items() if name in common}
    return {name: value for name, value in found.items() if name in wanted}


@primops.add("catAttrs", 2)
def cat_attrs(name: Value, sets: Value) -> list[Value]:
    """The attribute of this name of all sets that have it."""
    key = expect_string(name)
    return [attrs[key] for item in expect_list(sets) if key in (attrs := expect_set(item))]


@primops.add("mapAttrs", 2)
def map_attrs(function: Value, attrs: Value) -> dict[str, Value]:
    """`function name value` for each attribute, lazily."""
    return {name: application2(function, str(name), value) for name, value in expect_set(attrs).items()}


@primops.add("zipAttrsWith", 2)
def zip_attrs_with(function: Value, sets: Value) -> dict[str, Value]:
    """`function name values` for each name in any of the sets, lazily."""
    function = expect_function(function)
    collected: dict[str, list[Value]] = {}
    for item in expect_list(sets):
        for name, value in expect_set(item).items():
            collected.setdefault(name, []).append(value)
    return {name: application2(function, str(name), values) for name, values in collected.items()}


@primops.add("functionArgs", 1)
def builtin_function_args(function: Value) -> dict[str, Value]:
    """The formals of a function and whether each has a default."""
    function = evaluate(function) if type(function) is Thunk else function
    found = None if isinstance(function, dict) else function_args(function)
    if found is None:
        raise NixTypeError("'functionArgs' requires a function")
    return dict(found)


@primops.add("unsafeGetAttrPos", 2)
def unsafe_get_attr_pos(name: Value, attrs: Value) -> Value:
    """Where an attribute was defined, or null."""
    key = expect_string(name)
    pos = position_of(expect_set(attrs), key)
    if pos is None:
        return None
    return {"column": pos.column, "file": pos.file, "line": pos.line}
