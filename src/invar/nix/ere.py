"""POSIX extended regular expressions: their syntax as a tree, and the same expression in Python's syntax."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from invar.nix.errors import NixError

_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r" \t\n\r\f\v",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "print": r"\x20-\x7e",
    "graph": r"\x21-\x7e",
    "cntrl": r"\x00-\x1f\x7f",
    "xdigit": "0-9A-Fa-f",
}
_ESCAPABLE = ".[\\()*+?{|^$"
_BOUNDS = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")


@dataclass(frozen=True, slots=True)
class Chars:
    """One character: a piece of Python's syntax that says which."""

    text: str


@dataclass(frozen=True, slots=True)
class Edge:
    """The beginning (`^`) or the end (`$`) of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """A parenthesis, counted from 1."""

    number: int
    body: Tree


@dataclass(frozen=True, slots=True)
class Repeat:
    """`least` to `most` times the body, greedily; no `most` is no bound."""

    body: Tree
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of two or more."""

    branches: tuple[Tree, ...]


Tree: TypeAlias = Chars | Edge | Group | Repeat | Sequence | Choice


@lru_cache(maxsize=4096)
def compiled_ere(pattern: str) -> re.Pattern[str]:
    """A POSIX extended regular expression as Python's. Raises NixError where it is none."""
    try:
        return re.compile(python_syntax(parse(pattern)), re.DOTALL)
    except (re.error, ValueError, IndexError, OverflowError) as error:
        raise NixError(f"invalid regular expression '{pattern}'", hint=str(error) or None) from None


def python_syntax(tree: Tree) -> str:
    """The same expression for Python's `re`."""
    match tree:
        case Chars(text) | Edge(text):
            return text
        case Group(_, body):
            return f"({python_syntax(body)})"
        case Repeat(body, least, most):
            inner = python_syntax(body)
            if isinstance(body, Repeat):
                inner = f"(?:{inner})"
            return inner + _SHORT.get((least, most), f"{{{least},{'' if most is None else most}}}")
        case Sequence(parts):
            return "".join(map(python_syntax, parts))
        case Choice(branches):
            return "|".join(map(python_syntax, branches))


_SHORT: dict[tuple[int, int | None], str] = {(0, None): "*", (1, None): "+", (0, 1): "?"}


def parse(pattern: str) -> Tree:
    """The tree of an expression. Raises ValueError where POSIX, or the library that Nix uses, has no meaning for it."""
    reader = _Reader(pattern)
    tree = reader.choice()
    if reader.at < len(pattern):
        raise ValueError("unbalanced parenthesis")
    return tree


class _Reader:
    """One method a production of the grammar."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.groups = 0

    def choice(self) -> Tree:
        branches = [self.sequence()]
        while self.pattern.startswith("|", self.at):
            self.at += 1
            branches.append(self.sequence())
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def sequence(self) -> Tree:
        parts: list[Tree] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self.repeated())
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def repeated(self) -> Tree:
        tree = self.atom()
        while not isinstance(tree, Edge) and self.at < len(self.pattern) and self.pattern[self.at] in "*+?{":
            tree = Repeat(tree, *self.bounds())
        return tree

    def bounds(self) -> tuple[int, int | None]:
        char = self.pattern[self.at]
        if char != "{":
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        found = _BOUNDS.match(self.pattern, self.at)
        if found is None:
            raise ValueError("bad repetition")
        self.at = found.end()
        least = int(found[1])
        return least, least if found[2] is None else int(found[3]) if found[3] else None

    def atom(self) -> Tree:
        char = self.pattern[self.at]
        if char in "*+?{":
            raise ValueError("nothing to repeat")
        self.at += 1
        match char:
            case "(":
                return self.group()
            case "^" | "$":
                return Edge(r"\A" if char == "^" else r"\Z")
            case "[":
                return self.bracket()
            case ".":
                return Chars(".")
            case "\\":
                char = self.pattern[self.at : self.at + 1]
                if not char or char not in _ESCAPABLE:
                    raise ValueError("escape of a character that is not special")
                self.at += 1
        return Chars(re.escape(char))

    def group(self) -> Group:
        self.groups += 1
        number = self.groups
        body = self.choice()
        if not self.pattern.startswith(")", self.at):
            raise ValueError("missing )")
        self.at += 1
        return Group(number, body)

    def bracket(self) -> Chars:
        """What follows `[`, up to and with its `]`."""
        out = ["["]
        if self.pattern.startswith("^", self.at):
            out.append("^")
            self.at += 1
        start = self.at
        while True:
            if self.at >= len(self.pattern):
                raise ValueError("missing ]")
            char = self.pattern[self.at]
            if char == "]" and self.at > start:
                self.at += 1
                return Chars("".join(out).replace("--", r"\--") + "]")
            if self.pattern.startswith("[:", self.at):
                name = self.named(":]")
                if name not in _CLASSES:
                    raise ValueError("unknown character class")
                out.append(_CLASSES[name])
            elif self.pattern.startswith(("[.", "[="), self.at):
                out.append(re.escape(self.named(self.pattern[self.at + 1] + "]")))
            else:
                out.append("\\" + char if char in "\\[]^&~|" else char)
                self.at += 1

    def named(self, close: str) -> str:
        """The name in `[:name:]`, `[.name.]` or `[=name=]`."""
        end = self.pattern.find(close, self.at + 2)
        if end < 0:
            raise ValueError(f"missing {close}")
        name = self.pattern[self.at + 2 : end]
        self.at = end + 2
        return name
