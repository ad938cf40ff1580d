"""What operators do beyond the cases that generated code handles inline. Operands are in weak head normal form."""

from __future__ import annotations

import posixpath

from invar.nix.coerce import coerce_to_string, is_derivation
from invar.nix.errors import (
    NixAssertion,
    NixError,
    NixMissingAttribute,
    NixTypeError,
    NixUndefined,
    did_you_mean,
    nearest,
)
from invar.nix.runtime import evaluate, expect_set, expect_string, wrong_type
from invar.nix.values import INT_MAX, INT_MIN, NixString, Path, Thunk, Value, site_names, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MISSING: Any = object()
"""What a look-up gives when the attribute is not there; never a value."""

NUMBERS = (int, float)
SMALL_SET = 12
"""Up to this size a set is copied item by item, which keeps positions without a look at each name."""


def number(value: Value, other: Value = 0) -> int | float:
    """`value`, which must be an integer or a float; `other` is the other operand, which tells the error's words."""
    if type(value) is int or type(value) is float:
        return value
    raise wrong_type(value, "a float" if type(other) is float else "an integer")


def checked(result: int, verb: str, left: Value, sign: str, right: Value) -> int:
    """`result`, which must fit into 64 bits."""
    if INT_MIN <= result <= INT_MAX:
        return result
    raise NixError(f"integer overflow in {verb} {left} {sign} {right}")


def add_numbers(left: Value, right: Value) -> int | float:
    """`builtins.add`."""
    result = number(left, right) + number(right, left)
    return checked(result, "adding", left, "+", right) if type(result) is int else result


def subtract(left: Value, right: Value) -> int | float:
    """`left - right`."""
    result = number(left, right) - number(right, left)
    return checked(result, "subtracting", left, "-", right) if type(result) is int else result


def multiply(left: Value, right: Value) -> int | float:
    """`left * right`."""
    result = number(left, right) * number(right, left)
    return checked(result, "multiplying", left, "*", right) if type(result) is int else result


def divide(left: Value, right: Value) -> int | float:
    """`left / right`: towards zero between integers."""
    if number(right, 0.0) == 0:
        raise NixError("division by zero")
    if type(left) is int and type(right) is int:
        quotient = abs(left) // abs(right)
        return checked(quotient if (left < 0) == (right < 0) else -quotient, "dividing", left, "/", right)
    return float(number(left, right) / right)


def negate(value: Value) -> int | float:
    """`-value`."""
    return subtract(0, value)


def add(left: Value, right: Value) -> Value:
    """`left + right`: numbers, paths, or strings and what can be coerced to one."""
    if type(left) in NUMBERS:
        if type(right) in NUMBERS:
            return add_numbers(left, right)
        if type(left) is int:
            raise NixTypeError(f"cannot add {type_name(right)} to an integer")
        raise NixTypeError(f"cannot add {type_name(right)} to a float")
    if type(left) is Path:
        return extend_path(left, (right,))
    raise NixTypeError(f"cannot add {type_name(right)} to {type_name(left)}")


def extend_path(base: Path, parts: tuple[Value, ...]) -> Path:
    """The path that begins with `base`'s text and goes on with `parts`."""
    text = base.path
    for part in parts:
        more = coerce_to_string(part)
        if isinstance(more, NixString) and more.context:
            raise NixError("a string that refers to a store path cannot be appended to a path")
        text += more
    return Path(canonical_path(text))


def canonical_path(text: str) -> str:
    """An absolute path without `.`, `..`, doubled or trailing slashes."""
    normal = posixpath.normpath(text)
    return "/" + normal.lstrip("/") if normal.startswith("//") else normal


def concatenate(left: Value, right: Value) -> list[Value]:
    """`left ++ right`."""
    if type(left) is not list:
        raise wrong_type(left, "a list")
    if type(right) is not list:
        raise wrong_type(right, "a list")
    return left + right


def update(left: Value, right: Value) -> dict[str, Value]:
    """`left // right`; attributes keep the positions of the side that they come from."""
    if not isinstance(left, dict):
        raise wrong_type(left, "a set")
    if not isinstance(right, dict):
        raise wrong_type(right, "a set")
    if not right:
        return left
    if not left:
        return right
    if len(left) <= SMALL_SET:
        return {**right, **left, **right}
    merged = {**left, **right}
    if len(merged) == len(left) + len(right):
        return merged
    if len(right) > len(left):
        merged = {**right}
        for name, value in left.items():
            if name not in right:
                merged[name] = value
        return merged
    for name, value in right.items():
        if name in left:
            del merged[name]
            merged[name] = value
    return merged


def less(left: Value, right: Value) -> bool:
    """`left < right` for numbers, strings, paths and lists of such."""
    if isinstance(left, str) and isinstance(right, str):
        return str.__lt__(left, right)
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return bool(left < right)
    if type(left) is Path and type(right) is Path:
        return left.path < right.path
    if type(left) is list and type(right) is list:
        for one, other in zip(left, right, strict=False):
            first = evaluate(one) if type(one) is Thunk else one
            second = evaluate(other) if type(other) is Thunk else other
            if not equal_inside(first, second):
                return less(first, second)
        return len(left) < len(right)
    raise NixTypeError(f"cannot compare {type_name(left)} with {type_name(right)}")


def equal(left: Value, right: Value) -> bool:
    """`left == right`, structurally; functions are never equal."""
    kind = type(left)
    if kind is str:
        return bool(left == right)
    if kind is bool or type(right) is bool or left is None or right is None:
        return left is right
    if kind is int or kind is float:
        return type(right) in NUMBERS and bool(left == right)
    if kind is list:
        return type(right) is list and len(left) == len(right) and all(map(_equal_elements, left, right))
    if isinstance(left, dict):
        return isinstance(right, dict) and _equal_sets(left, right)
    if isinstance(left, str):
        return isinstance(right, str) and left == right
    if kind is Path:
        return bool(left == right)
    return False


def equal_inside(left: Value, right: Value) -> bool:
    """Equality of elements: the very same value is equal to itself even where it is a function."""
    return left is right or equal(left, right)


def _equal_elements(left: Value, right: Value) -> bool:
    if left is right and type(left) is Thunk:
        evaluate(left)
        return True
    left = evaluate(left) if type(left) is Thunk else left
    right = evaluate(right) if type(right) is Thunk else right
    return left is right or equal(left, right)


def _equal_sets(left: dict[str, Value], right: dict[str, Value]) -> bool:
    if is_derivation(left) and is_derivation(right) and "outPath" in left and "outPath" in right:
        return _equal_elements(left["outPath"], right["outPath"])
    if len(left) != len(right) or left.keys() != right.keys():
        return False
    return all(_equal_elements(left[name], right[name]) for name in sorted(left))


def not_bool(value: Value) -> bool:
    """Raise for a condition that is no Boolean."""
    raise wrong_type(value, "a Boolean")


def find_attr(subject: Value, names: tuple[str, ...]) -> Value:
    """`subject.a.b` forced, or MISSING when a step is no set or has no such attribute."""
    for name in names:
        if not isinstance(subject, dict):
            return MISSING
        found = subject.get(name, MISSING)
        if type(found) is Thunk:
            found = subject[name] = evaluate(found)
        if found is MISSING:
            return MISSING
        subject = found
    return subject


def has_attr(subject: Value, names: tuple[str, ...]) -> bool:
    """`subject ? a.b`; the last attribute is not evaluated."""
    owner = find_attr(subject, names[:-1])
    return isinstance(owner, dict) and names[-1] in owner


def select_dynamic(subject: Value, name: Value) -> Value:
    """`subject.${name}` forced."""
    attrs = expect_set(subject)
    key = expect_string(name)
    if key not in attrs:
        raise NixMissingAttribute(f"attribute '{key}' missing", hint=did_you_mean(nearest(key, attrs)))
    found = attrs[key]
    return evaluate(found) if type(found) is Thunk else found


def with_lookup(name: str, *subjects: Value) -> Value:
    """A variable that an enclosing `with` provides, innermost first; forced."""
    for subject in subjects:
        attrs = expect_set(subject)
        if name in attrs:
            found = attrs[name]
            return evaluate(found) if type(found) is Thunk else found
    known = [key for subject in subjects for key in expect_set(subject)]
    raise NixUndefined(f"undefined variable '{name}'", hint=did_you_mean(nearest(name, known)))


def define_dynamic(attrs: dict[str, Value], name: Value, value: Value) -> None:
    """`${name} = value` in a set under construction; a null name defines nothing."""
    if name is None:
        return
    key = expect_string(name)
    if key in attrs:
        first = next(site_names.place(known) for known in attrs if known == key)
        raise NixError(f"dynamic attribute '{key}' already defined" + (f" at {first}" if first else ""))
    attrs[str(key)] = value


def override_attrs(attrs: dict[str, Value]) -> dict[str, Value]:
    """A recursive set with the attributes of its `__overrides` put over its own."""
    return update(attrs, expect_set(attrs["__overrides"]))


def assertion_failed(condition: str) -> None:
    """Raise for a false `assert`."""
    raise NixAssertion(f"assertion '{condition}' failed")


def missing_argument(function: Any, arguments: dict[str, Value]) -> NixError:
    """The error for a required formal that the call does not give."""
    info = function.infos[-1]
    name = next(name for name, optional in info.formals.items() if not optional and name not in arguments)
    return NixTypeError(f"{_called(info)} called without required argument '{name}'")


def check_formals(function: Any, arguments: dict[str, Value]) -> None:
    """Raise for an argument that no formal takes."""
    info = function.infos[-1]
    for name in sorted(arguments):
        if name not in info.formals:
            raise NixTypeError(
                f"{_called(info)} called with unexpected argument '{name}'",
                hint=did_you_mean(nearest(name, info.formals)),
            )


def _called(info: Any) -> str:
    name = f"'{info.name}'" if info.name else "anonymous function"
    return f"{name} at {info.pos}"
