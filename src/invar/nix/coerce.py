"""Values to strings, with their contexts."""

from __future__ import annotations

from invar.nix.errors import NixTypeError
from invar.nix.runtime import call1, evaluate
from invar.nix.values import NixString, Path, Thunk, Value, context_of, type_name, with_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    CopyPath: TypeAlias = Callable[[Path], str]
else:
    CopyPath = object


def coerce_to_string(value: Value, *, more: bool = False, copy_path: CopyPath | None = None) -> str:
    """`value` as a string: strings, paths, sets with `__toString` or `outPath`.

    `more` also takes null, Booleans, numbers and lists, as `toString` does. `copy_path` puts a path into the store and
    gives the store path (with context); without it a path is its own text. Raises NixTypeError.
    """
    if type(value) is Thunk:
        value = evaluate(value)
    if isinstance(value, str):
        return value
    if type(value) is Path:
        return copy_path(value) if copy_path is not None else value.path
    if isinstance(value, dict):
        if "__toString" in value:
            return coerce_to_string(call1(value["__toString"], value), more=more, copy_path=copy_path)
        if "outPath" in value:
            return coerce_to_string(value["outPath"], more=more, copy_path=copy_path)
    elif more:
        if value is None or value is False:
            return ""
        if value is True:
            return "1"
        if type(value) is int:
            return str(value)
        if type(value) is float:
            return f"{value:f}"
        if type(value) is list:
            return concat_strings(" ", _coerced_elements(value, copy_path))
    raise NixTypeError(f"cannot coerce {type_name(value)} to a string")


def _coerced_elements(items: list[Value], copy_path: CopyPath | None) -> Iterable[str]:
    last = len(items) - 1
    for index, item in enumerate(items):
        item = evaluate(item) if type(item) is Thunk else item
        text = coerce_to_string(item, more=True, copy_path=copy_path)
        if type(item) is list and not item and index < last:
            continue
        yield text


def concat_strings(separator: str, parts: Iterable[str]) -> str:
    """`parts` joined, with the contexts of all of them and of the separator."""
    texts = list(parts)
    joined = str.join(separator, texts)
    return with_context(joined, concat_context([separator, *texts]))


def concat_context(texts: Iterable[str]) -> frozenset[str]:
    """The union of the contexts of `texts`."""
    found: frozenset[str] = frozenset()
    for text in texts:
        if type(text) is not str:
            found |= context_of(text)
    return found


def plain(text: str) -> str:
    """The same text as an exact `str`, without context."""
    return str(text) if isinstance(text, NixString) else text


def is_derivation(attrs: Value) -> bool:
    """Whether `attrs` is a set whose `type` is "derivation"."""
    if not isinstance(attrs, dict) or "type" not in attrs:
        return False
    kind = attrs["type"]
    kind = evaluate(kind) if type(kind) is Thunk else kind
    return isinstance(kind, str) and kind == "derivation"
