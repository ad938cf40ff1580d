"""Builtins on numbers and versions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from invar.nix.builtins.registry import Registry
from invar.nix.errors import NixError
from invar.nix.operators import add_numbers, divide, less, multiply, subtract
from invar.nix.printer import format_float
from invar.nix.runtime import expect_int, expect_plain, whnf, wrong_type
from invar.nix.values import INT_MAX, INT_MIN, Value

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


def _real(value: Value) -> float:
    value = whnf(value)
    if type(value) in (int, float):
        return float(value)
    raise wrong_type(value, "a float")


@primops.add("ceil", 1)
def ceil(value: Value) -> int:
    """The least integer that is not less."""
    return _whole(_real(value), math.ceil)


@primops.add("floor", 1)
def floor(value: Value) -> int:
    """The greatest integer that is not greater."""
    return _whole(_real(value), math.floor)


def _whole(value: float, rounded: Callable[[float], int]) -> int:
    if not math.isfinite(value) or not INT_MIN <= (result := rounded(value)) <= INT_MAX:
        raise NixError(f"the float {format_float(value)} is out of the range of integers")
    return result


DIGITS = frozenset("0123456789")
_COMPONENT = re.compile(r"[0-9]+|[^0-9.\-]+")


@primops.add("splitVersion", 1)
def split_version(version: Value) -> list[Value]:
    """The components of a version."""
    return list(_COMPONENT.findall(str(expect_plain(version))))


@primops.add("compareVersions", 2)
def compare_versions(left: Value, right: Value) -> int:
    """-1, 0 or 1."""
    first = _COMPONENT.findall(str(expect_plain(left)))
    second = _COMPONENT.findall(str(expect_plain(right)))
    for index in range(max(len(first), len(second))):
        one = first[index] if index < len(first) else ""
        other = second[index] if index < len(second) else ""
        if _component_less(one, other):
            return -1
        if _component_less(other, one):
            return 1
    return 0


def _component_less(one: str, other: str) -> bool:
    one_number, other_number = one[:1] in DIGITS, other[:1] in DIGITS
    if one_number and other_number:
        return int(one) < int(other)
    if one == "" and other_number:
        return True
    if one == "pre" and other != "pre":
        return True
    if other == "pre":
        return False
    if other_number:
        return True
    if one_number:
        return False
    return one < other


@primops.add("parseDrvName", 1)
def parse_drv_name(name: Value) -> dict[str, Value]:
    """Name and version: the version starts after the first dash that no letter follows."""
    text = str(expect_plain(name))
    for at, char in enumerate(text):
        if char == "-" and at + 1 < len(text) and not (text[at + 1].isascii() and text[at + 1].isalpha()):
            return {"name": text[:at], "version": text[at + 1 :]}
    return {"name": text, "version": ""}
