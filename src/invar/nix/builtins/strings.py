"""Builtins on strings and their contexts. Lengths and offsets count bytes of UTF-8, as in Nix."""

from __future__ import annotations

from invar.nix.builtins.registry import Registry
from invar.nix.bytewise import bytewise, textual
from invar.nix.coerce import coerce_to_string, concat_context
from invar.nix.errors import NixError
from invar.nix.runtime import (
    evaluate,
    expect_bool,
    expect_list,
    expect_plain,
    expect_set,
    expect_string,
    whnf,
)
from invar.nix.values import Path, Thunk, Value, context_of, with_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable

primops = Registry()


@primops.add("toString", 1)
def to_string(value: Value) -> str:
    """Any value that can be shown as a string."""
    if type(value) is int:
        return str(value)
    return coerce_to_string(value, more=True)


@primops.add("replaceStrings", 3)
def replace_strings(old: Value, new: Value, text: Value) -> str:
    """Every occurrence of an element of `old`, tried in order at each byte, by the same element of `new`."""
    olds, targets = expect_list(old), expect_list(new)
    if len(olds) == len(targets) == 1 and type(olds[0]) is type(targets[0]) is str and olds[0]:
        text = evaluate(text) if type(text) is Thunk else text
        if type(text) is str:
            return text.replace(olds[0], targets[0])
    if len(olds) != len(targets):
        raise NixError("'from' and 'to' arguments to 'replaceStrings' have different lengths")
    sources = [str(expect_string(item)) for item in olds]
    subject = expect_string(text)
    contexts = [subject]
    plain = str(subject)
    replacements: dict[int, str] = {}

    def replacement(index: int) -> str:
        found = replacements.get(index)
        if found is None:
            target = expect_string(targets[index])
            contexts.append(target)
            found = replacements[index] = str(target)
        return found

    if "" in sources:
        parts = [bytewise(source) for source in sources]
        result = textual(_replace_stepwise(parts, lambda index: bytewise(replacement(index)), bytewise(plain)))
    elif len(sources) == 1:
        result = plain.replace(sources[0], replacement(0)) if sources[0] in plain else plain
    else:
        pattern, index_of = _alternatives(tuple(sources))
        result = pattern.sub(lambda m: replacement(index_of[m.group()]), plain) if sources else plain
    return with_context(result, concat_context(contexts))


_known_alternatives: dict[tuple[str, ...], tuple[re.Pattern[str], dict[str, int]]] = {}


def _alternatives(sources: tuple[str, ...]) -> tuple[re.Pattern[str], dict[str, int]]:
    """A pattern of any of `sources`, the first that fits, and the first index of each."""
    found = _known_alternatives.get(sources)
    if found is None:
        import re  # a short evaluation needs none

        index_of: dict[str, int] = {}
        for index, source in enumerate(sources):
            index_of.setdefault(source, index)
        if len(_known_alternatives) >= 512:
            _known_alternatives.clear()
        found = _known_alternatives[sources] = re.compile("|".join(map(re.escape, index_of))), index_of
    return found


def _replace_stepwise(sources: list[str], replacement: Callable[[int], str], text: str) -> str:
    """The general algorithm, in which an empty source matches before every byte and at the end."""
    out: list[str] = []
    at = 0
    while at <= len(text):
        for index, source in enumerate(sources):
            if text.startswith(str(source), at):
                out.append(replacement(index))
                if source:
                    at += len(source)
                else:
                    out.append(text[at : at + 1])
                    at += 1
                break
        else:
            out.append(text[at : at + 1])
            at += 1
    return "".join(out)


@primops.add("baseNameOf", 1)
def base_name_of(path: Value) -> str:
    """What is behind the last slash; one slash at the end does not count."""
    found = coerce_to_string(path)
    text = str(found)
    if text.endswith("/") and len(text) > 1:
        text = text[:-1]
    return with_context(text.rpartition("/")[2], context_of(found))


@primops.add("dirOf", 1)
def dir_of(path: Value) -> Value:
    """What is before the last slash; a path stays a path."""
    found = coerce_to_string(path)
    head, slash, _ = str(found).rpartition("/")
    text = (head or "/") if slash else "."
    if type(whnf(path)) is Path:
        return Path(text)
    return with_context(text, context_of(found))


@primops.add("hasContext", 1)
def has_context(text: Value) -> bool:
    """Whether the string refers to store paths."""
    return bool(context_of(expect_string(text)))


@primops.add("getContext", 1)
def get_context(text: Value) -> dict[str, Value]:
    """The context as a set by store path."""
    found: dict[str, Value] = {}
    for element in sorted(context_of(expect_string(text))):
        if element.startswith("!"):
            _, output, path = element.split("!", 2)
            found.setdefault(path, {}).setdefault("outputs", []).append(output)
        elif element.startswith("="):
            found.setdefault(element[1:], {})["allOutputs"] = True
        else:
            found.setdefault(element, {})["path"] = True
    return found


@primops.add("appendContext", 2)
def append_context(text: Value, context: Value) -> str:
    """The string with more context."""
    found = expect_string(text)
    elements = set(context_of(found))
    import re  # few expressions make contexts

    store_path = re.compile(r"/[^\0]*/[0-9a-z]{32}-[^/]")
    for path, kinds in sorted(expect_set(context).items()):
        if not store_path.match(path):
            raise NixError(f"Context key '{path}' is not a store path")
        given = expect_set(kinds)
        if given.get("path") is not None and expect_bool(given["path"]):
            elements.add(str(path))
        if given.get("allOutputs") is not None and expect_bool(given["allOutputs"]):
            if not path.endswith(".drv"):
                raise NixError(f"tried to add all-outputs context of {path}, which is not a derivation, to a string")
            elements.add(f"={path}")
        for output in expect_list(given.get("outputs", [])):
            if not path.endswith(".drv"):
                raise NixError(
                    f"tried to add derivation output context of {path}, which is not a derivation, to a string"
                )
            elements.add(f"!{expect_plain(output)}!{path}")
    return with_context(str(found), frozenset(elements))
