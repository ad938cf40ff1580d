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
    compiled = compiled_ere(str(expect_plain(pattern)))
    found = compiled.fullmatch(str(expect_string(text)))
    return None if found is None else list(found.groups())


@primops.add("split", 2)
def split(pattern: Value, text: Value) -> list[Value]:
    """Texts between matches, and the list of groups of each match between them."""
    compiled = compiled_ere(str(expect_plain(pattern)))
    subject = str(expect_string(text))
    parts: list[Value] = []
    at = 0
    for found in compiled.finditer(subject):
        parts += [subject[at : found.start()], list(found.groups())]
        at = found.end()
    parts.append(subject[at:])
    return parts


@lru_cache(maxsize=4096)
def compiled_ere(pattern: str) -> re.Pattern[str]:
    """A POSIX extended regular expression as Python's. Raises NixError where it is none."""
    try:
        return re.compile(_translate(pattern), re.DOTALL)
    except (re.error, ValueError, IndexError, OverflowError) as error:
        raise NixError(f"invalid regular expression '{pattern}'", hint=str(error) or None) from None


def _translate(pattern: str) -> str:
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            if at + 1 >= len(pattern):
                raise ValueError("backslash at the end")
            following = pattern[at + 1]
            if following.isalnum() and not following.isdigit():
                raise ValueError(f"unknown escape \\{following}")
            out.append(re.escape(following) if not following.isdigit() else "\\" + following)
            at += 2
        elif char == "[":
            translated, at = _bracket(pattern, at)
            out.append(translated)
        elif char == "(":
            if pattern.startswith("(?", at):
                raise ValueError("nothing before ?")
            out.append("(")
            at += 1
        elif char in "*+?{" and pattern[at + 1 : at + 2] in ("?", "+") and char != "{":
            out.append(char)
            at += 1
            while pattern[at : at + 1] in ("?", "+", "*"):
                out[-1] = _wrap_quantified(out, pattern[at])
                at += 1
        elif char == "{":
            end = pattern.find("}", at)
            bounds = pattern[at + 1 : end] if end > 0 else ""
            if not re.fullmatch(r"[0-9]+(,[0-9]*)?", bounds):
                raise ValueError("bad repetition")
            out.append(pattern[at : end + 1])
            at = end + 1
        elif char == "$":
            out.append(r"\Z")
            at += 1
        else:
            out.append(char if char in "*+?.^|)" else re.escape(char))
            at += 1
    return "".join(out)


def _wrap_quantified(out: list[str], second: str) -> str:
    """`a*?` in POSIX is `(a*)?`; what both quantifiers allow together is at most any number."""
    first = out[-1]
    return "*" if (first, second) != ("?", "?") and (first, second) != ("+", "+") else first


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
