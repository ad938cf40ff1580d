"""Source text to tokens. Strings and interpolations nest, so the lexer keeps a stack of what it is inside of."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from invar.nix.errors import NixSyntaxError
from invar.nix.values import Pos

KEYWORDS = frozenset({"if", "then", "else", "assert", "with", "let", "in", "rec", "inherit", "or"})

_PATH = r"[a-zA-Z0-9._\-+]"
_TOKEN = re.compile(
    rf"""
    (?P<space>(?:[ \t\r\n]+|\#[^\r\n]*|/\*(?:[^*]|\*+[^*/])*\*+/)+)
  | (?P<spath><{_PATH}+(?:/{_PATH}+)*>)
  | (?P<hpath>~(?:/{_PATH}+)*/\$\{{|~(?:/{_PATH}+)+/?)
  | (?P<uri>[a-zA-Z][a-zA-Z0-9+\-.]*+:[a-zA-Z0-9%/?:@&=+$,\-_.!~*']+)
  | (?P<pathdollar>{_PATH}*+(?:/{_PATH}+)*/(?=\$\{{)|(?:{_PATH}*+(?:/{_PATH}+)+)(?=\$\{{))
  | (?P<path>{_PATH}*+(?:/{_PATH}+)+/?)
  | (?P<float>(?:[1-9][0-9]*\.[0-9]*|0?\.[0-9]+)(?:[Ee][+-]?[0-9]+)?)
  | (?P<int>[0-9]+)
  | (?P<id>[a-zA-Z_][a-zA-Z0-9_'\-]*)
  | (?P<op>\.\.\.|\$\{{|==|!=|<=|>=|&&|\|\||->|//|\+\+|\|>|<\||''|[{{}}()\[\];:,.@?=!<>+\-*/"])
    """,
    re.VERBOSE,
)
_STRING_TEXT = re.compile(r'(?:[^"\\$]|\\.|\$[^{"\\]|\$(?=["\\]))+', re.DOTALL)
_INDENTED_TEXT = re.compile(r"(?:[^'$]|'(?!')|\$[^{']|\$(?='))+", re.DOTALL)
_FIRST_BLANK_LINE = re.compile(r"(?: *\r?\n)?")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class Token(NamedTuple):
    """`kind` is the operator or keyword itself, or id, int, float, path, hpath, spath, uri, text, string-start ..."""

    kind: str
    value: str
    at: int


@dataclass(frozen=True, slots=True)
class Source:
    """A text with a name, which turns offsets into positions."""

    name: str
    text: str
    starts: list[int]
    ascii: bool

    @staticmethod
    def of(name: str, text: str) -> Source:
        """Index the line starts of `text`."""
        starts = [0, *(match.end() for match in re.finditer("\n", text))]
        return Source(name, text, starts, text.isascii())

    def line_column(self, offset: int) -> tuple[int, int]:
        """Line and byte column of an offset, both from 1."""
        line = bisect_right(self.starts, offset)
        start = self.starts[line - 1]
        if self.ascii:
            return line, offset - start + 1
        return line, len(self.text[start:offset].encode("utf-8", "surrogateescape")) + 1

    def pos(self, offset: int) -> Pos:
        """The position of an offset."""
        return Pos(self.name, *self.line_column(offset))


def tokenize(source: Source) -> list[Token]:
    """All tokens, the last one of kind "end". Raises NixSyntaxError."""
    return _Lexer(source).run()


class _Lexer:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.tokens: list[Token] = []
        self.inside: list[str] = []

    def run(self) -> list[Token]:
        text, tokens, at, end = self.text, self.tokens, 0, len(self.text)
        match_token = _TOKEN.match
        while at < end:
            match = match_token(text, at)
            if match is None:
                raise self.fail(self._unexpected(at), at)
            kind = match.lastgroup
            value = match.group()
            here, at = at, match.end()
            if kind == "space":
                continue
            if kind == "op":
                at = self._operator(value, here, at)
            elif kind == "id":
                tokens.append(Token(value if value in KEYWORDS else "id", value, here))
            elif kind == "pathdollar" or (kind == "hpath" and value.endswith("${")):
                text_end = here + len(value.removesuffix("${"))
                tokens.append(Token("path-start", text[here:text_end], here))
                at = self._path_rest(text_end)
            else:
                if kind in ("path", "hpath") and value.endswith("/"):
                    raise self.fail("path has a trailing slash", here)
                tokens.append(Token(str(kind), value, here))
        if self.inside:
            raise self.fail("syntax error, unexpected end of file", end)
        tokens.append(Token("end", "", end))
        return tokens

    def _operator(self, value: str, here: int, at: int) -> int:
        tokens = self.tokens
        if value == '"':
            tokens.append(Token("string-start", value, here))
            return self._string(at)
        if value == "''":
            tokens.append(Token("indented-start", value, here))
            return self._indented(_FIRST_BLANK_LINE.match(self.text, at).end())  # type: ignore[union-attr]
        tokens.append(Token(value, value, here))
        if value == "{" or value == "${":
            self.inside.append("{")
        elif value == "}":
            inside = self.inside.pop() if self.inside else "{"
            if inside == '"':
                return self._string(at)
            if inside == "''":
                return self._indented(at)
            if inside == "/":
                return self._path_rest(at)
        return at

    def _string(self, at: int) -> int:
        text = self.text
        while True:
            match = _STRING_TEXT.match(text, at)
            if match is not None:
                raw = match.group()
                if "\\" in raw:
                    raw = _ESCAPE.sub(lambda m: _ESCAPES.get(m.group(1), m.group(1)), raw)
                self.tokens.append(Token("text", raw.replace("\r\n", "\n"), at))
                at = match.end()
            if text.startswith('"', at):
                self.tokens.append(Token("string-end", '"', at))
                return at + 1
            if text.startswith("${", at):
                self.tokens.append(Token("${", "${", at))
                self.inside.append('"')
                return at + 2
            if match is None:
                raise self.fail("syntax error, unexpected end of file, expecting '\"'", len(text))

    def _indented(self, at: int) -> int:
        text, tokens = self.text, self.tokens
        while True:
            match = _INDENTED_TEXT.match(text, at)
            if match is not None:
                tokens.append(Token("text", match.group().replace("\r\n", "\n"), at))
                at = match.end()
            if text.startswith("''$", at):
                tokens.append(Token("escaped", "$", at))
                at += 3
            elif text.startswith("'''", at):
                tokens.append(Token("escaped", "''", at))
                at += 3
            elif text.startswith("''\\", at) and at + 3 < len(text):
                char = text[at + 3]
                tokens.append(Token("escaped", _ESCAPES.get(char, char), at))
                at += 4
            elif text.startswith("''", at):
                tokens.append(Token("string-end", "''", at))
                return at + 2
            elif text.startswith("${", at):
                tokens.append(Token("${", "${", at))
                self.inside.append("''")
                return at + 2
            elif match is None:
                raise self.fail("syntax error, unexpected end of file, expecting '''''", len(text))

    def _path_rest(self, at: int) -> int:
        """After a piece of a path: more text, an interpolation, or its end."""
        text = self.text
        match = _PATH_REST.match(text, at)
        if match is not None and match.group():
            self.tokens.append(Token("text", match.group(), at))
            at = match.end()
        if text.startswith("${", at):
            self.tokens.append(Token("${", "${", at))
            self.inside.append("/")
            return at + 2
        if text[at - 1] == "/":
            raise self.fail("path has a trailing slash", at - 1)
        self.tokens.append(Token("path-end", "", at))
        return at

    def _unexpected(self, at: int) -> str:
        char = self.text[at]
        if self.text.startswith("/*", at):
            return "syntax error, unexpected end of file in a comment"
        return f"syntax error, unexpected invalid token '{char}'"

    def fail(self, message: str, at: int) -> NixSyntaxError:
        return NixSyntaxError(message, self.source.pos(at))


_PATH_REST = re.compile(rf"(?:{_PATH}|/(?!/))*")
