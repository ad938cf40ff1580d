"""Functions as the module system sees them."""

from __future__ import annotations

from invar.nix.values import Lambda, Primop, Value


def is_function(value: Value) -> bool:
    """Whether a (forced) value can be called: a function, or a set with `__functor`."""
    return isinstance(value, (Lambda, Primop)) or (isinstance(value, dict) and "__functor" in value)
