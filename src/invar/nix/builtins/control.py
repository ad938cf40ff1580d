"""Builtins that steer evaluation: errors, sequencing, tracing."""

from __future__ import annotations

from invar.nix.builtins.registry import Registry
from invar.nix.coerce import coerce_to_string
from invar.nix.errors import NixAbort, NixCaught, NixError, NixThrow, add_context
from invar.nix.runtime import evaluate_deep, whnf
from invar.nix.traces import TRANSLATED, located
from invar.nix.values import Value

primops = Registry()


@primops.add("throw", 1)
def throw(message: Value) -> Value:
    """Fail, in a way that `tryEval` catches."""
    raise NixThrow(str(coerce_to_string(message)))


@primops.add("abort", 1)
def abort(message: Value) -> Value:
    """Fail, in a way that nothing catches."""
    raise NixAbort(f"evaluation aborted with the following error message: '{coerce_to_string(message)}'")


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


@primops.add("addErrorContext", 2)
def add_error_context(context: Value, value: Value) -> Value:
    """`value`; should it fail, its trace says `context`."""
    try:
        return whnf(value)
    except TRANSLATED as error:
        fault = located(error)
        if isinstance(fault, NixError):
            add_context(fault, str(coerce_to_string(context)))
        raise fault from None


@primops.add("break", 1)
def break_point(value: Value) -> Value:
    """`value`: there is no debugger to stop in."""
    return value
