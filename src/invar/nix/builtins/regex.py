"""`match` and `split`: POSIX extended regular expressions on texts, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator

from invar.nix.builtins.registry import Registry
from invar.nix.bytewise import bytewise, textual
from invar.nix.ere import compiled_ere
from invar.nix.longest import Span, ambiguous, explosive, longest_matches, whole_match
from invar.nix.runtime import expect_plain, expect_string
from invar.nix.values import Value

primops = Registry()


@primops.add("match", 2)
def match(pattern: Value, text: Value) -> Value:
    """The groups if the whole of `text` matches, else null."""
    source = str(expect_plain(pattern))
    compiled_ere(source)
    subject = str(expect_string(text))
    if source.isascii() and subject.isascii():
        return _match(source, subject)
    groups = _match(bytewise(source), bytewise(subject))
    return None if groups is None else [_textual_group(group) for group in groups]


def _match(source: str, subject: str) -> list[Value] | None:
    if explosive(source):
        whole = whole_match(source, subject)
        return None if whole is None else [*whole.groups]
    found = compiled_ere(source).fullmatch(subject)
    return None if found is None else [*found.groups()]


@primops.add("split", 2)
def split(pattern: Value, text: Value) -> list[Value]:
    """Texts between matches, and the list of groups of each match between them."""
    source = str(expect_plain(pattern))
    compiled_ere(source)
    subject = str(expect_string(text))
    if source.isascii() and subject.isascii():
        return _split(source, subject)
    parts = _split(bytewise(source), bytewise(subject))
    return [[_textual_group(group) for group in part] if isinstance(part, list) else textual(part) for part in parts]


def _split(source: str, subject: str) -> list[Value]:
    parts: list[Value] = []
    at = 0
    for found in longest_matches(source, subject) if ambiguous(source) else _first_matches(source, subject):
        parts += [subject[at : found.start], [*found.groups]]
        at = found.end
    parts.append(subject[at:])
    return parts


def _first_matches(source: str, subject: str) -> Iterator[Span]:
    """Where only one alternative can match at a place, the first is the longest."""
    for found in compiled_ere(source).finditer(subject):
        yield Span(found.start(), found.end(), [*found.groups()])


def _textual_group(group: Value) -> Value:
    return None if group is None else textual(str(group))
