"""Builtins on numbers."""

from __future__ import annotations

from invar.nix.builtins.registry import Registry
from invar.nix.errors import NixError
from invar.nix.operators import add_numbers, divide, less, multiply, subtract
from invar.nix.printer import format_float
from invar.nix.runtime import expect_int, whnf, wrong_type
from invar.nix.values import INT_MAX, INT_MIN, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

primops = Registry()


@primops.add("add", 2)
def add(left: Value, right: Value) -> Value:
    """`left + right` of numbers."""
    return add_numbers(whnf(left), whnf(right))


@primops.add("sub", 2)
def sub(left: Value, right: Value) -> Value:
    """`left - right`."""
    return subtract(whnf(left), whnf(right))


@primops.add("mul", 2)
def mul(left: Value, right: Value) -> Value:
    """`left * right`."""
    return multiply(whnf(left), whnf(right))


@primops.add("div", 2)
def div(left: Value, right: Value) -> Value:
    """`left / right`."""
    return divide(whnf(left), whnf(right))


@primops.add("lessThan", 2)
def less_than(left: Value, right: Value) -> bool:
    """`left < right`."""
    return less(whnf(left), whnf(right))


@primops.add("bitAnd", 2)
def bit_and(left: Value, right: Value) -> int:
    """Bitwise and."""
    return expect_int(left) & expect_int(right)


@primops.add("bitOr", 2)
def bit_or(left: Value, right: Value) -> int:
    """Bitwise or."""
    return expect_int(left) | expect_int(right)


@primops.add("bitXor", 2)
def bit_xor(left: Value, right: Value) -> int:
    """Bitwise exclusive or."""
    return expect_int(left) ^ expect_int(right)


INFINITY = float("inf")


def _real(value: Value) -> float:
    value = whnf(value)
    if type(value) in (int, float):
        return float(value)
    raise wrong_type(value, "a float")


@primops.add("ceil", 1)
def ceil(value: Value) -> int:
    """The least integer that is not less."""
    return _whole(_real(value), lambda real: -int(-real // 1))


@primops.add("floor", 1)
def floor(value: Value) -> int:
    """The greatest integer that is not greater."""
    return _whole(_real(value), lambda real: int(real // 1))


def _whole(value: float, rounded: Callable[[float], int]) -> int:
    if not abs(value) < INFINITY or not INT_MIN <= (result := rounded(value)) <= INT_MAX:
        raise NixError(f"the float {format_float(value)} is out of the range of integers")
    return result
