"""Builtins on lists."""

from __future__ import annotations

from itertools import chain

from invar.nix.builtins.registry import Registry
from invar.nix.errors import NixError, NixMissingAttribute, NixTypeError
from invar.nix.operators import MISSING, equal_inside, less
from invar.nix.runtime import (
    application,
    call1,
    call2,
    evaluate,
    expect_function,
    expect_int,
    expect_list,
    expect_set,
    expect_string,
    whnf,
    wrong_type,
)
from invar.nix.values import Lambda, Lambda2, Path, Primop, Thunk, Value, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

primops = Registry()


@primops.add("length", 1)
def length(items: Value) -> int:
    """How many elements."""
    return len(expect_list(items))


@primops.add("head", 1)
def head(items: Value) -> Value:
    """The first element."""
    return _at(expect_list(items), 0)


@primops.add("tail", 1)
def tail(items: Value) -> list[Value]:
    """All elements but the first."""
    found = expect_list(items)
    if not found:
        raise NixError("'tail' called on an empty list")
    return found[1:]


@primops.add("elemAt", 2)
def elem_at(items: Value, index: Value) -> Value:
    """The element at an index from 0."""
    at = expect_int(index)
    return _at(expect_list(items), at)


def _at(items: list[Value], index: int) -> Value:
    if not 0 <= index < len(items):
        raise NixError(f"list index {index} is out of bounds")
    item = items[index]
    if type(item) is Thunk:
        item = items[index] = evaluate(item)
    return item


@primops.add("map", 2)
def map_list(function: Value, items: Value) -> list[Value]:
    """`function` applied to each element, lazily."""
    found = expect_list(items)
    if type(function) is Lambda:
        result = cheap_result(function)
        if result == "value":
            code, env = function.code, function.env
            return [code(env, item) for item in found]
        if result == "argument":
            return list(found)
    return [application(function, item) for item in found]


def cheap_result(function: Lambda) -> str:
    """What `strictness.cheap_result` found out about the function's text."""
    return getattr(function.code, "cheap_result", "")


@primops.add("filter", 2)
def filter_list(predicate: Value, items: Value) -> list[Value]:
    """The elements for which `predicate` is true."""
    predicate = expect_function(predicate)
    found = expect_list(items)
    if type(predicate) is Lambda:
        code, env = predicate.code, predicate.env
        return [item for item in found if _true(code(env, item))]
    return [item for item in found if _true(call1(predicate, item))]


def _true(value: Value) -> bool:
    if value is True or value is False:
        return bool(value)
    raise wrong_type(value, "a Boolean")


@primops.add("elem", 2)
def elem(wanted: Value, items: Value) -> bool:
    """Whether an element equals `wanted`."""
    found = expect_list(items)
    if not found:
        return False
    wanted = evaluate(wanted) if type(wanted) is Thunk else wanted
    for item in found:
        item = evaluate(item) if type(item) is Thunk else item
        if equal_inside(wanted, item):
            return True
    return False


@primops.add("concatLists", 1)
def concat_lists(lists: Value) -> list[Value]:
    """The elements of all lists in a list."""
    return list(chain.from_iterable([expect_list(item) for item in expect_list(lists)]))


@primops.add("concatMap", 2)
def concat_map(function: Value, items: Value) -> list[Value]:
    """`concatLists (map function items)`."""
    function = expect_function(function)
    found = expect_list(items)
    if type(function) is Lambda:
        code, env = function.code, function.env
        return list(chain.from_iterable([expect_list(code(env, item)) for item in found]))
    return list(chain.from_iterable([expect_list(call1(function, item)) for item in found]))


@primops.add("foldl'", 3)
def foldl(operator: Value, start: Value, items: Value) -> Value:
    """The strict left fold."""
    operator = expect_function(operator)
    found = expect_list(items)
    result = start
    if type(operator) is Lambda2:
        code, env = operator.code, operator.env
        for item in found:
            result = code(env, result, item)
    elif type(operator) is Primop and operator.arity == 2 and not operator.args:
        fn = operator.fn
        for item in found:
            result = fn(result, item)
            if type(result) is Thunk:
                result = evaluate(result)
    else:
        for item in found:
            result = call2(operator, result, item)
    return result


@primops.add("genList", 2)
def gen_list(generator: Value, count: Value) -> list[Value]:
    """`generator` applied to 0, 1, ..., lazily."""
    size = expect_int(count)
    if size < 0:
        raise NixError(f"cannot create list of size {size}")
    if type(generator) is Lambda:
        result = cheap_result(generator)
        if result == "value":
            code, env = generator.code, generator.env
            return [code(env, index) for index in range(size)]
        if result == "argument":
            return list(range(size))
        if result == "integer":
            try:
                code, env = generator.code, generator.env
                return [code(env, index) for index in range(size)]
            except NixError:  # of one element: only who asks for it may see that
                pass
    return [application(generator, index) for index in range(size)]


@primops.add("any", 2)
def any_element(predicate: Value, items: Value) -> bool:
    """Whether `predicate` is true of an element."""
    predicate = expect_function(predicate)
    return _some(predicate, expect_list(items), wanted=True)


@primops.add("all", 2)
def all_elements(predicate: Value, items: Value) -> bool:
    """Whether `predicate` is true of every element."""
    predicate = expect_function(predicate)
    return not _some(predicate, expect_list(items), wanted=False)


def _some(predicate: Value, items: list[Value], *, wanted: bool) -> bool:
    for item in items:
        answer = call1(predicate, item)
        if answer is wanted:
            return True
        if answer is not (not wanted):
            raise wrong_type(answer, "a Boolean")
    return False


@primops.add("partition", 2)
def partition(predicate: Value, items: Value) -> dict[str, Value]:
    """Elements for which `predicate` is true under `right`, the others under `wrong`."""
    predicate = expect_function(predicate)
    found = expect_list(items)
    right: list[Value] = []
    wrong: list[Value] = []
    for item in found:
        item = evaluate(item) if type(item) is Thunk else item
        (right if _true(call1(predicate, item)) else wrong).append(item)
    return {"right": right, "wrong": wrong}


@primops.add("groupBy", 2)
def group_by(key: Value, items: Value) -> dict[str, Value]:
    """Elements by the name that `key` gives them."""
    groups: dict[str, Value] = {}
    key = expect_function(key)
    for item in expect_list(items):
        groups.setdefault(str(expect_string(call1(key, item))), []).append(item)
    return groups


@primops.add("sort", 2)
def sort(comparator: Value, items: Value) -> list[Value]:
    """A stable sort by "is less than"."""
    comparator = expect_function(comparator)
    found = expect_list(items)
    forced = [evaluate(item) if type(item) is Thunk else item for item in found]
    if len(forced) < 2:
        return forced
    if type(comparator) is Primop and comparator.name == "lessThan" and not comparator.args:
        if {type(item) for item in forced} in ({int}, {str}):
            return sorted(forced)
        return merge_sort(forced, lambda env, left, right: less(left, right), None)
    if type(comparator) is Lambda2:
        code, env = comparator.code, comparator.env
        native = _sorted_by_key(getattr(code, "sort_key", None), forced)
        return merge_sort(forced, code, env) if native is None else native
    return merge_sort(forced, call2, comparator)


def _sorted_by_key(key: tuple[str, tuple[str, ...]] | None, items: list[Value]) -> list[Value] | None:
    """Python's own sort for a comparator `a: b: a.name < b.name` (or `>`), if all keys are integers or all strings."""
    if key is None:
        return None
    operator, names = key
    keys: list[Value] = items
    for name in names:
        selected: list[Value] = []
        for owner in keys:
            found = expect_set(owner).get(name, MISSING)
            if type(found) is Thunk:
                found = owner[name] = evaluate(found)
            selected.append(found)
        keys = selected
    if {type(found) for found in keys} not in ({int}, {str}):
        return None
    if not names:
        return sorted(items, reverse=operator == ">")
    order = sorted(range(len(items)), key=keys.__getitem__, reverse=operator == ">")
    return [items[index] for index in order]


def merge_sort(items: list[Value], code: Callable[..., Value], env: Value) -> list[Value]:
    """A stable bottom-up merge sort, where `code(env, a, b)` says whether a is less than b.

    In Python, because a comparator called from C would use C's stack for each nested evaluation.
    """
    runs = [[item] for item in items]
    while len(runs) > 1:
        merged = [_merged(runs[at], runs[at + 1], code, env) for at in range(0, len(runs) - 1, 2)]
        if len(runs) % 2:
            merged.append(runs[-1])
        runs = merged
    return runs[0]


def _merged(left: list[Value], right: list[Value], code: Callable[..., Value], env: Value) -> list[Value]:
    answer = code(env, right[0], left[-1])
    if answer is False:
        return left + right
    out: list[Value] = []
    put = out.append
    at, end = 0, len(left)
    first = left[0]
    for index, second in enumerate(right):
        while (answer := code(env, second, first)) is False:
            put(first)
            at += 1
            if at == end:
                return out + right[index:]
            first = left[at]
        if answer is not True:
            raise wrong_type(answer, "a Boolean")
        put(second)
    return out + left[at:]


@primops.add("listToAttrs", 1)
def list_to_attrs(items: Value) -> dict[str, Value]:
    """A set of elements `{ name; value; }`; the first of equal names wins."""
    made: dict[str, Value] = {}
    for item in expect_list(items):
        pair = expect_set(item)
        name = pair.get("name", MISSING)
        if name is MISSING:
            raise NixMissingAttribute("attribute 'name' missing for call to 'listToAttrs'")
        name = str(expect_string(name))
        if name not in made:
            value = pair.get("value", MISSING)
            if value is MISSING:
                raise NixMissingAttribute("attribute 'value' missing for call to 'listToAttrs'")
            made[name] = value
    return made


@primops.add("genericClosure", 1)
def generic_closure(arguments: Value) -> list[Value]:
    """All elements reachable from `startSet` by `operator`, each `key` once, in the order of discovery."""
    given = expect_set(arguments)
    for name in ("startSet", "operator"):
        if name not in given:
            raise NixMissingAttribute(f"attribute '{name}' missing for call to 'genericClosure'")
    todo = list(expect_list(given["startSet"]))
    if not todo:
        return []
    operator = expect_function(given["operator"])
    seen: dict[object, Value] = {}
    found: list[Value] = []
    position = 0
    while position < len(todo):
        element = expect_set(todo[position])
        position += 1
        if "key" not in element:
            raise NixMissingAttribute("attribute 'key' missing for call to 'genericClosure'")
        value = whnf(element["key"])
        key = _closure_key(value)
        if key in seen:
            continue
        if seen and (key is None or type(key) is not type(next(iter(seen)))):
            other = next(iter(seen.values()))
            raise NixTypeError(f"cannot compare {type_name(value)} with {type_name(other)}")
        seen[key] = value
        found.append(element)
        todo.extend(expect_list(call1(operator, element)))
    return found


def _closure_key(value: Value) -> object:
    """What stands for a key: equal for equal ones, of one Python type for those that compare. None: it never does."""
    value = whnf(value)
    if isinstance(value, str):
        return str(value)
    if type(value) is int or type(value) is float:
        return float(value) if value == float(value) else value
    if type(value) is list:
        return tuple(_closure_key(item) for item in value)
    return value if type(value) is Path else None
