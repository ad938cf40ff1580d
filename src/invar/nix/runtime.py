"""What running code stands on: forcing thunks, calling functions, making both from Python.

`evaluate`, `call1`, `call2`, `call3`, `adapt1` ... are for generated code and builtins: they let raw Python exceptions
of generated code pass. `force`, `deep_force`, `call` are for everyone else: what they raise is a located `NixError`.
"""

from __future__ import annotations

from invar.nix.errors import NixError, NixInfiniteRecursion, NixStackOverflow, NixTypeError
from invar.nix.stack import on_big_stack, with_big_stack
from invar.nix.traces import TRANSLATED, located
from invar.nix.values import (
    Lambda,
    Lambda2,
    Lambda3,
    LambdaInfo,
    NixString,
    Primop,
    Thunk,
    Value,
    run_partial2,
    run_partial3,
    run_partial31,
    type_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

new = object.__new__

DEPTH_LIMIT = 200_000


def force(value: Value) -> Value:
    """`value` evaluated to weak head normal form. Raises a located `NixError`."""
    if type(value) is not Thunk:
        return value
    if value.code is None:
        return value.data
    if not on_big_stack():
        return with_big_stack(evaluate, value)
    try:
        return evaluate(value)
    except TRANSLATED as error:
        raise located(error) from None


def call(function: Value, *args: Value) -> Value:
    """Apply `function` to `args`, one after the other; the result is forced. Raises a located `NixError`."""
    if not on_big_stack():
        return with_big_stack(apply, function, args)
    try:
        return apply(function, args)
    except TRANSLATED as error:
        raise located(error) from None


def deep_force(value: Value) -> Value:
    """`value` with everything in it evaluated, in place; cycles are left as they are. Raises a located `NixError`."""
    if not on_big_stack():
        return with_big_stack(evaluate_deep, value)
    try:
        return evaluate_deep(value)
    except TRANSLATED as error:
        raise located(error) from None


def delay(fn: Callable[[], Value]) -> Thunk:
    """A thunk whose value is `fn()`, called at most once if it succeeds."""
    return thunk(_run_delayed, fn)


def function_args(function: Value) -> dict[str, bool] | None:
    """The formals of `{ a, b ? 1 }: ...` as {"a": False, "b": True}; {} for other functions; None for no function."""
    function = force(function)
    if isinstance(function, Lambda):
        info = function.info
        return dict(info.formals) if info is not None and info.formals is not None else {}
    if isinstance(function, Primop):
        return {}
    if isinstance(function, dict) and "__functionArgs" in function:
        given = force(function["__functionArgs"])
        return {name: bool(force(given[name])) for name in sorted(given)}
    if isinstance(function, dict) and "__functor" in function:
        return function_args(call(function["__functor"], function))
    return None


def lambda_info(function: Value) -> LambdaInfo | None:
    """Name, formals and position of a `Lambda`; None for anything else."""
    return function.info if isinstance(function, Lambda) else None


def thunk(code: Callable[[Any], Value], data: Any) -> Thunk:
    """A thunk that runs `code(data)`; `code` returns weak head normal form."""
    made = new(Thunk)
    made.code = code
    made.data = data
    return made


def closure(code: Callable[..., Value], env: Any) -> Lambda:
    """A one-argument function value."""
    made = new(Lambda)
    made.code = code
    made.env = env
    return made


def closure2(code: Callable[..., Value], env: Any) -> Lambda2:
    """A two-argument function value."""
    made = new(Lambda2)
    made.code = code
    made.env = env
    return made


def closure3(code: Callable[..., Value], env: Any) -> Lambda3:
    """A three-argument function value."""
    made = new(Lambda3)
    made.code = code
    made.env = env
    return made


def evaluate(pending: Thunk) -> Value:
    """The value of a thunk. One that fails stays as it was, so that it fails again the same way."""
    code = pending.code
    if code is None:
        return pending.data
    pending.code = blackhole
    try:
        value = code(pending.data)
    except BaseException:
        pending.code = code
        raise
    pending.data = value
    pending.code = None
    return value


def blackhole(data: object) -> Value:
    """Code of a thunk while it is being evaluated."""
    raise NixInfiniteRecursion("infinite recursion encountered")


def whnf(value: Value) -> Value:
    """`value` evaluated; for generated code and builtins."""
    return evaluate(value) if type(value) is Thunk else value


def evaluate_deep(value: Value) -> Value:
    """`deep_force` without locating errors; iterative, so that nesting costs no stack."""
    value = evaluate(value) if type(value) is Thunk else value
    if not isinstance(value, (list, dict)):
        return value
    seen: set[int] = set()
    todo: list[tuple[Value, int]] = [(value, 0)]
    while todo:
        container, depth = todo.pop()
        if id(container) in seen:
            continue
        if depth > DEPTH_LIMIT:
            raise NixStackOverflow("stack overflow; max-call-depth exceeded", hint="The value may be infinite.")
        seen.add(id(container))
        found: list[tuple[Value, int]] = []
        for key in range(len(container)) if type(container) is list else sorted(container):
            item = container[key]
            if type(item) is Thunk:
                item = container[key] = evaluate(item)
            if isinstance(item, (list, dict)):
                found.append((item, depth + 1))
        todo.extend(reversed(found))
    return value


def member(attrs: dict[str, Value], name: str, value: Thunk) -> Value:
    """Evaluate the thunk found at `attrs[name]` and leave its value there."""
    value = attrs[name] = evaluate(value)
    return value


def _run_delayed(fn: Callable[[], Value]) -> Value:
    value = fn()
    return evaluate(value) if type(value) is Thunk else value


def apply(function: Value, args: tuple[Value, ...]) -> Value:
    """Apply to any number of arguments."""
    count = len(args)
    if count == 1:
        return call1(function, args[0])
    if count == 2:
        return call2(function, args[0], args[1])
    if count == 0:
        return whnf(function)
    if count == 3:
        return call3(function, *args)
    return apply(call3(function, *args[:3]), args[3:])


def call1(function: Value, first: Value) -> Value:
    """Apply any function value to one argument."""
    kind = type(function)
    if kind is Lambda:
        return function.code(function.env, first)
    if kind is Lambda2:
        return closure(run_partial2, (function, first))
    if kind is Lambda3:
        return closure2(run_partial31, (function, first))
    if kind is Primop:
        if function.arity == len(function.args) + 1:
            value = function.fn(*function.args, first)
            return evaluate(value) if type(value) is Thunk else value
        return Primop(function.name, function.arity, function.fn, (*function.args, first))
    if kind is Thunk:
        return call1(evaluate(function), first)
    if isinstance(function, dict) and "__functor" in function:
        return call2(function["__functor"], function, first)
    raise NixTypeError(f"attempt to call something which is not a function but {type_name(function)}")


def call2(function: Value, first: Value, second: Value) -> Value:
    """Apply any function value to two arguments."""
    kind = type(function)
    if kind is Lambda2:
        return function.code(function.env, first, second)
    if kind is Primop and function.arity == len(function.args) + 2:
        value = function.fn(*function.args, first, second)
        return evaluate(value) if type(value) is Thunk else value
    if kind is Lambda3:
        return closure(run_partial3, (function, first, second))
    return call1(call1(function, first), second)


def call3(function: Value, first: Value, second: Value, third: Value) -> Value:
    """Apply any function value to three arguments."""
    kind = type(function)
    if kind is Lambda3:
        return function.code(function.env, first, second, third)
    if kind is Primop and function.arity == len(function.args) + 3:
        value = function.fn(*function.args, first, second, third)
        return evaluate(value) if type(value) is Thunk else value
    return call1(call2(function, first, second), third)


def adapt1(function: Value) -> Lambda:
    """`function`, whatever kind it is, as something whose `code(env, argument)` can be called."""
    return closure(call1, function)


def adapt2(function: Value) -> Lambda:
    """The same for two arguments."""
    return closure(call2, function)


def adapt3(function: Value) -> Lambda:
    """The same for three arguments."""
    return closure(call3, function)


def application(function: Value, argument: Value) -> Thunk:
    """A thunk of `function argument`."""
    made = new(Thunk)
    made.code = _run_application
    made.data = (function, argument)
    return made


def _run_application(data: tuple[Value, Value]) -> Value:
    function, argument = data
    if type(function) is Lambda:
        return function.code(function.env, argument)
    return call1(function, argument)


def application2(function: Value, first: Value, second: Value) -> Thunk:
    """A thunk of `function first second`."""
    made = new(Thunk)
    made.code = _run_application2
    made.data = (function, first, second)
    return made


def _run_application2(data: tuple[Value, Value, Value]) -> Value:
    function, first, second = data
    if type(function) is Lambda2:
        return function.code(function.env, first, second)
    return call2(function, first, second)


def expect_set(value: Value) -> dict[str, Value]:
    """`value`, forced, which must be an attribute set."""
    if type(value) is Thunk:
        value = evaluate(value)
    if isinstance(value, dict):
        return value
    raise wrong_type(value, "a set")


def expect_list(value: Value) -> list[Value]:
    """`value`, forced, which must be a list."""
    if type(value) is Thunk:
        value = evaluate(value)
    if type(value) is list:
        return value
    raise wrong_type(value, "a list")


def expect_int(value: Value) -> int:
    """`value`, forced, which must be an integer."""
    if type(value) is Thunk:
        value = evaluate(value)
    if type(value) is int:
        return value
    raise wrong_type(value, "an integer")


def expect_bool(value: Value) -> bool:
    """`value`, forced, which must be a Boolean."""
    if type(value) is Thunk:
        value = evaluate(value)
    if value is True or value is False:
        return bool(value)
    raise wrong_type(value, "a Boolean")


def expect_string(value: Value) -> str:
    """`value`, forced, which must be a string; its context stays on it."""
    if type(value) is Thunk:
        value = evaluate(value)
    if isinstance(value, str):
        return value
    raise wrong_type(value, "a string")


def expect_plain(value: Value) -> str:
    """`value`, forced, which must be a string without context."""
    text = expect_string(value)
    if isinstance(text, NixString) and text.context:
        first = min(text.context)
        raise NixError(f"the string '{text}' is not allowed to refer to a store path (such as '{first}')")
    return text


def expect_function(value: Value) -> Value:
    """`value`, forced, which must be callable."""
    if type(value) is Thunk:
        value = evaluate(value)
    if isinstance(value, (Lambda, Primop)) or (isinstance(value, dict) and "__functor" in value):
        return value
    raise wrong_type(value, "a function")


def wrong_type(value: Value, expected: str) -> NixTypeError:
    """The error for a value of another type than the one needed."""
    return NixTypeError(f"value is {type_name(value)} while {expected} was expected")
