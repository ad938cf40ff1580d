"""Builtins that ask for the type of a value."""

from __future__ import annotations

from invar.nix.builtins.registry import Registry
from invar.nix.runtime import whnf
from invar.nix.values import Lambda, Path, Primop, Value

primops = Registry()

_NAMES: dict[type, str] = {type(None): "null", bool: "bool", int: "int", float: "float", list: "list", Path: "path"}


@primops.add("typeOf", 1)
def type_of(value: Value) -> str:
    """ "int", "bool", "string", "path", "null", "set", "list", "lambda" or "float"."""
    value = whnf(value)
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "set"
    return _NAMES.get(type(value), "lambda")


@primops.add("isNull", 1)
def is_null(value: Value) -> bool:
    """Whether it is null."""
    return whnf(value) is None


@primops.add("isBool", 1)
def is_bool(value: Value) -> bool:
    """Whether it is a Boolean."""
    return type(whnf(value)) is bool


@primops.add("isInt", 1)
def is_int(value: Value) -> bool:
    """Whether it is an integer."""
    return type(whnf(value)) is int


@primops.add("isFloat", 1)
def is_float(value: Value) -> bool:
    """Whether it is a float."""
    return type(whnf(value)) is float


@primops.add("isString", 1)
def is_string(value: Value) -> bool:
    """Whether it is a string."""
    return isinstance(whnf(value), str)


@primops.add("isPath", 1)
def is_path(value: Value) -> bool:
    """Whether it is a path."""
    return type(whnf(value)) is Path


@primops.add("isList", 1)
def is_list(value: Value) -> bool:
    """Whether it is a list."""
    return type(whnf(value)) is list


@primops.add("isAttrs", 1)
def is_attrs(value: Value) -> bool:
    """Whether it is an attribute set."""
    return isinstance(whnf(value), dict)


@primops.add("isFunction", 1)
def is_function(value: Value) -> bool:
    """Whether it is a function (a set with `__functor` is none)."""
    return isinstance(whnf(value), (Lambda, Primop))
