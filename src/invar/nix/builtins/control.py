"""Builtins that steer evaluation: errors, sequencing, tracing."""

from __future__ import annotations

from invar.nix.builtins.registry import Registry
from invar.nix.errors import NixCaught
from invar.nix.runtime import evaluate_deep, whnf
from invar.nix.values import Value

primops = Registry()


@primops.add("seq", 2)
def seq(first: Value, second: Value) -> Value:
    """`second`, once `first` is evaluated."""
    whnf(first)
    return second


@primops.add("deepSeq", 2)
def deep_seq(first: Value, second: Value) -> Value:
    """`second`, once `first` and everything in it is evaluated."""
    evaluate_deep(first)
    return second


@primops.add("tryEval", 1)
def try_eval(value: Value) -> dict[str, Value]:
    """The value with `success`, or `success = false` after `throw` or a failed `assert`."""
    try:
        return {"success": True, "value": whnf(value)}
    except NixCaught:
        return {"success": False, "value": False}


@primops.add("break", 1)
def break_point(value: Value) -> Value:
    """`value`: there is no debugger to stop in."""
    return value
