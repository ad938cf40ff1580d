"""The longest match of a POSIX expression in one pass over the text, from its end to its beginning.

Python's `re` takes the first alternative that matches, POSIX the one that leads to the longest match. The machine, and
so the order in which of several longest matches one is preferred, is that of libstdc++'s `regex_search`, which Nix
uses: both sides of an alternation are tried, a repetition stops at the first way that leads to a match. Time grows with
the length of the text times that of the expression, whatever the expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from invar.nix.ere import Chars, Choice, Edge, Group, Repeat, Sequence, Tree, compiled_ere, parse

ALL = frozenset(map(chr, range(256)))
Groups: TypeAlias = "list[str | None]"


class Span(NamedTuple):
    """A match, and what its groups hold."""

    start: int
    end: int
    groups: Groups


class _Way(NamedTuple):
    """How a state gets to an accepted end: where that is, and the chain of group borders on the way there."""

    end: int
    borders: _Border | None


class _Border(NamedTuple):
    slot: int
    at: int
    rest: _Border | None


@dataclass(slots=True)
class _State:
    """`read` consumes a character; `try` prefers the longer of its two ways, `loop` the first that there is."""

    kind: str
    following: int = -1
    other: int = -1
    chars: frozenset[str] = frozenset()
    slot: int = 0


@dataclass(slots=True)
class Program:
    """The states of an expression."""

    start: int = 0
    states: list[_State] = field(default_factory=list)
    groups: int = 0
    entries: list[int] = field(default_factory=list)
    """The states that follow a character."""
    loops: bool = False
    """Whether a repetition's body may match the empty text."""


@lru_cache(maxsize=1024)
def ambiguous(pattern: str) -> bool:
    """Whether several branches of an alternation may match in one place."""
    return "|" in pattern and _ambiguous(parse(pattern))


@lru_cache(maxsize=1024)
def explosive(pattern: str) -> bool:
    """Whether such an alternation is repeated: Python's `re` may take time exponential in the text's length."""
    return "|" in pattern and _explosive(parse(pattern))


def longest_matches(pattern: str, text: str) -> Iterator[Span]:
    """Matches one after the other, as C++'s `regex_iterator` finds them. No character is above U+00FF."""
    program = _program(pattern)
    first, not_empty = _sweep(program, text, exact=False)
    at = 0
    after_empty = False
    while at <= len(text):
        way = not_empty.get(at) if after_empty else first.get(at)
        after_empty = False
        if way is None:
            at += 1
            continue
        yield _span(program, text, at, way)
        after_empty = way.end == at
        at = way.end


def whole_match(pattern: str, text: str) -> Span | None:
    """The match of the whole text. No character is above U+00FF."""
    program = _program(pattern)
    way = _sweep(program, text, exact=True)[0].get(0)
    return None if way is None else _span(program, text, 0, way)


def _span(program: Program, text: str, start: int, way: _Way) -> Span:
    borders: list[int | None] = [None] * (2 * program.groups)
    border = way.borders
    while border is not None:
        borders[border.slot] = border.at
        border = border.rest
    pairs = zip(borders[::2], borders[1::2], strict=True)
    return Span(start, way.end, [None if begin is None else text[begin:end] for begin, end in pairs])


def _sweep(program: Program, text: str, *, exact: bool) -> tuple[dict[int, _Way], dict[int, _Way]]:
    """By position: the match that begins there; and, where that is empty, the one that is not."""
    first: dict[int, _Way] = {}
    not_empty: dict[int, _Way] = {}
    after: dict[int, _Way | None] = {}
    for at in range(len(text), -1, -1):
        accepts = not exact or at == len(text)
        here = _Here(program, text, at, after, accepts)
        entries = {entry: here.way(entry, ()) for entry in program.entries}
        if not exact or at == 0:
            way = here.way(program.start, ())
            if way is not None:
                first[at] = way
                if way.end == at:
                    other = _Here(program, text, at, after, False).way(program.start, ())
                    if other is not None:
                        not_empty[at] = other
        after = entries
    return first, not_empty


class _Here:
    """What the states come to at one position, from what they come to at the next."""

    __slots__ = ("accepts", "after", "at", "known", "program", "text")

    def __init__(self, program: Program, text: str, at: int, after: dict[int, _Way | None], accepts: bool) -> None:
        self.program = program
        self.text = text
        self.at = at
        self.after = after
        self.accepts = accepts
        self.known: dict[tuple[int, tuple[int, ...]], _Way | None] = {}

    def way(self, number: int, entered: tuple[int, ...]) -> _Way | None:
        """`entered` has the loops whose body was begun at this position: each may be twice, so that it ends."""
        key = (number, entered)
        if key in self.known:
            return self.known[key]
        found = self.known[key] = self._way(number, entered)
        return found

    def _way(self, number: int, entered: tuple[int, ...]) -> _Way | None:
        state = self.program.states[number]
        match state.kind:
            case "read":
                inside = self.at < len(self.text) and self.text[self.at] in state.chars
                return self.after[state.following] if inside else None
            case "try":
                one, other = self.way(state.other, entered), self.way(state.following, entered)
                return other if one is None or (other is not None and other.end > one.end) else one
            case "loop":
                if entered.count(number) < 2:
                    found = self.way(state.other, (*entered, number) if self.program.loops else ())
                    if found is not None:
                        return found
                return self.way(state.following, entered)
            case "border":
                found = self.way(state.following, entered)
                return None if found is None else _Way(found.end, _Border(state.slot, self.at, found.borders))
            case "begin" | "end":
                there = 0 if state.kind == "begin" else len(self.text)
                return self.way(state.following, entered) if self.at == there else None
        return _Way(self.at, None) if self.accepts else None


@lru_cache(maxsize=256)
def _program(pattern: str) -> Program:
    program = Program(groups=compiled_ere(pattern).groups)
    program.start = _add(program, parse(pattern), _state(program, _State("accept")))
    program.entries = sorted({state.following for state in program.states if state.kind == "read"})
    return program


def _state(program: Program, state: _State) -> int:
    program.states.append(state)
    return len(program.states) - 1


def _add(program: Program, tree: Tree, following: int) -> int:
    """States for a tree, after which comes the state `following`; the first of them."""
    match tree:
        case Chars(text):
            return _state(program, _State("read", following, chars=_members(text)))
        case Edge(text):
            return _state(program, _State("begin" if text == r"\A" else "end", following))
        case Group(number, body):
            close = _state(program, _State("border", following, slot=2 * number - 1))
            return _state(program, _State("border", _add(program, body, close), slot=2 * number - 2))
        case Sequence(parts):
            for part in reversed(parts):
                following = _add(program, part, following)
            return following
        case Choice(branches):
            first = _add(program, branches[-1], following)
            for branch in reversed(branches[:-1]):
                first = _state(program, _State("try", first, _add(program, branch, following)))
            return first
        case Repeat(body, least, most):
            return _add_repeat(program, body, least, most, following)


def _add_repeat(program: Program, body: Tree, least: int, most: int | None, following: int) -> int:
    if most != 0 and _nullable(body):
        program.loops = True
    first = following
    if most is None:
        loop = _state(program, _State("loop", following))
        program.states[loop].other = _add(program, body, loop)
        first = loop
    else:
        for _ in range(most - least):
            first = _state(program, _State("loop", following, _add(program, body, first)))
    for _ in range(least):
        first = _add(program, body, first)
    return first


@lru_cache(maxsize=512)
def _members(text: str) -> frozenset[str]:
    matches = re.compile(text, re.DOTALL).fullmatch
    return frozenset(char for char in ALL if matches(char))


def _nullable(tree: Tree) -> bool:
    match tree:
        case Chars():
            return False
        case Edge():
            return True
        case Group(_, body):
            return _nullable(body)
        case Repeat(body, least, _):
            return least == 0 or _nullable(body)
        case Sequence(parts):
            return all(map(_nullable, parts))
        case Choice(branches):
            return any(map(_nullable, branches))


def _first(tree: Tree) -> frozenset[str]:
    """The characters that a match may begin with."""
    match tree:
        case Chars(text):
            return _members(text)
        case Edge():
            return frozenset()
        case Group(_, body) | Repeat(body):
            return _first(body)
        case Sequence(parts):
            found: frozenset[str] = frozenset()
            for part in parts:
                found |= _first(part)
                if not _nullable(part):
                    break
            return found
        case Choice(branches):
            return frozenset().union(*map(_first, branches))


def _ambiguous(tree: Tree) -> bool:
    match tree:
        case Choice(branches):
            firsts = [_first(branch) for branch in branches]
            apart = sum(map(len, firsts)) == len(frozenset().union(*firsts))
            return not apart or any(map(_nullable, branches)) or any(map(_ambiguous, branches))
        case Group(_, body) | Repeat(body):
            return _ambiguous(body)
        case Sequence(parts):
            return any(map(_ambiguous, parts))
    return False


def _explosive(tree: Tree) -> bool:
    match tree:
        case Repeat(body):
            return _ambiguous(body)
        case Group(_, body):
            return _explosive(body)
        case Sequence(parts) | Choice(parts):
            return any(map(_explosive, parts))
    return False
