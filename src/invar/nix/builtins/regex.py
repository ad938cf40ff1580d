"""`match` and `split`: POSIX extended regular expressions by way of Python's."""

from __future__ import annotations

import re
from functools import lru_cache

from invar.nix.builtins.registry import Registry
from invar.nix.errors import NixError
from invar.nix.runtime import expect_plain, expect_string
from invar.nix.values import Value

primops = Registry()

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


@primops.add("match", 2)
def match(pattern: Value, text: Value) -> Value:
    """The groups if the whole of `text` matches, else null."""
    source = str(expect_plain(pattern))
    compiled_ere(source)
    subject = str(expect_string(text))
    if source.isascii() and subject.isascii():
        found = compiled_ere(source).fullmatch(subject)
        return None if found is None else list(found.groups())
    found = compiled_ere(_bytewise(source)).fullmatch(_bytewise(subject))
    return None if found is None else [_textual(group) for group in found.groups()]


@primops.add("split", 2)
def split(pattern: Value, text: Value) -> list[Value]:
    """Texts between matches, and the list of groups of each match between them."""
    source = str(expect_plain(pattern))
    compiled_ere(source)
    subject = str(expect_string(text))
    if source.isascii() and subject.isascii():
        return _split(compiled_ere(source), subject)
    parts = _split(compiled_ere(_bytewise(source)), _bytewise(subject))
    return [[_textual(group) for group in part] if isinstance(part, list) else _textual(part) for part in parts]


def _split(compiled: re.Pattern[str], subject: str) -> list[Value]:
    parts: list[Value] = []
    at = 0
    for found in compiled.finditer(subject):
        parts += [subject[at : found.start()], list(found.groups())]
        at = found.end()
    parts.append(subject[at:])
    return parts


def _bytewise(text: str) -> str:
    """One character a byte: Nix's expressions know nothing of UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _textual(text: str | None) -> str | None:
    return None if text is None else text.encode("latin-1").decode("utf-8", "surrogateescape")


@lru_cache(maxsize=4096)
def compiled_ere(pattern: str) -> re.Pattern[str]:
    """A POSIX extended regular expression as Python's. Raises NixError where it is none."""
    try:
        return re.compile(_translate(pattern), re.DOTALL)
    except (re.error, ValueError, IndexError, OverflowError) as error:
        raise NixError(f"invalid regular expression '{pattern}'", hint=str(error) or None) from None


def _translate(pattern: str) -> str:
    """Piece by piece; `atom` is where the piece begins that a quantifier applies to."""
    out: list[str] = []
    opened: list[int] = []
    atom: int | None = None
    quantified = False
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char in "*+?{":
            quantifier, at = _quantifier(pattern, at)
            if atom is None:
                raise ValueError("nothing to repeat")
            if quantified:
                out[atom:] = ["(?:", *out[atom:], ")"]
            out.append(quantifier)
            quantified = True
            continue
        quantified = False
        at += 1
        if char == "(":
            opened.append(len(out))
            out.append("(")
            atom = None
        elif char == ")":
            if not opened:
                raise ValueError("unbalanced parenthesis")
            atom = opened.pop()
            out.append(")")
        elif char in "|^$":
            out.append({"|": "|", "^": r"\A", "$": r"\Z"}[char])
            atom = None
        else:
            atom = len(out)
            piece = "."
            if char == "\\":
                if at >= len(pattern) or pattern[at] not in _ESCAPABLE:
                    raise ValueError("escape of a character that is not special")
                piece = re.escape(pattern[at])
                at += 1
            elif char == "[":
                piece, at = _bracket(pattern, at - 1)
            elif char != ".":
                piece = re.escape(char)
            out.append(piece)
    return "".join(out)


_ESCAPABLE = "^.[]$()|*+?{}\\"
_BOUNDS = re.compile(r"\{[0-9]+(?:,[0-9]*)?\}")


def _quantifier(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at] != "{":
        return pattern[at], at + 1
    bounds = _BOUNDS.match(pattern, at)
    if bounds is None:
        raise ValueError("bad repetition")
    return bounds.group(), bounds.end()


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    start = at
    at += 1
    out = ["["]
    if pattern[at : at + 1] == "^":
        out.append("^")
        at += 1
    first = True
    while True:
        if at >= len(pattern):
            raise ValueError(f"no ] for the [ at {start}")
        char = pattern[at]
        if char == "]" and not first:
            break
        first = False
        if pattern.startswith("[:", at):
            end = pattern.find(":]", at)
            name = pattern[at + 2 : end]
            if end < 0 or name not in _CLASSES:
                raise ValueError("unknown character class")
            out.append(_CLASSES[name])
            at = end + 2
        elif pattern.startswith(("[.", "[="), at):
            close = pattern[at + 1] + "]"
            end = pattern.find(close, at + 2)
            out.append(re.escape(pattern[at + 2 : end]))
            at = end + 2
        else:
            out.append("\\" + char if char in "\\[]^&~|" else char)
            at += 1
    body = "".join(out)
    return body.replace("--", r"\--") + "]", at + 1
