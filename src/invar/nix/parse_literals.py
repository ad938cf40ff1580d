"""Literals: numbers, the strings and what is interpolated in them, URIs, paths."""

from __future__ import annotations

from invar.nix.ast import Literal, Node, PathLiteral, SearchPath, String
from invar.nix.features import NO_URL_LITERALS
from invar.nix.indented import Piece, strip_indentation
from invar.nix.token_stream import TokenStream
from invar.nix.values import INT_MAX


class LiteralParser(TokenStream):
    """The productions that start at a literal's own token."""

    def expression(self) -> Node:
        """Any expression: what an interpolation holds."""
        raise NotImplementedError

    def integer(self) -> Node:
        """64-bit."""
        token = self.advance()
        value = int(token.value)
        if value > INT_MAX:
            raise self.fail(f"invalid integer '{token.value}'", token.at)
        return Literal(token.at, value)

    def floating(self) -> Node:
        """A double."""
        token = self.advance()
        return Literal(token.at, float(token.value))

    def string(self) -> String:
        """`"text ${expression}"`."""
        token = self.advance()
        return String(token.at, self.parts("string-end"))

    def indented_string(self) -> String:
        """Text between two single quotes, its common indentation taken off."""
        token = self.advance()
        pieces: list[Piece] = []
        while self.token.kind != "string-end":
            if self.token.kind in ("text", "escaped"):
                part = self.advance()
                pieces.append((part.value, part.kind == "escaped"))
            else:
                pieces.append(self.interpolation())
        self.advance()
        return String(token.at, strip_indentation(pieces))

    def parts(self, end: str) -> list[str | Node]:
        """Text and interpolations up to the token of kind `end`, and that."""
        parts: list[str | Node] = []
        while self.token.kind != end:
            if self.token.kind == "text":
                parts.append(self.advance().value)
            else:
                parts.append(self.interpolation())
        self.advance()
        return parts

    def interpolation(self) -> Node:
        """`${expression}` inside of a string or a path."""
        self.take("${")
        node = self.expression()
        self.take("}")
        return node

    def uri(self) -> Node:
        """An unquoted URI is a string."""
        token = self.advance()
        if NO_URL_LITERALS in self.features:
            raise self.fail("URL literals are disabled", token.at)
        return String(token.at, [token.value])

    def path(self) -> Node:
        """A path without interpolation."""
        token = self.advance()
        return PathLiteral(token.at, token.value, [])

    def interpolated_path(self) -> Node:
        """`./a/${b}/c`."""
        token = self.advance()
        return PathLiteral(token.at, token.value, self.parts("path-end"))

    def search_path(self) -> Node:
        """`<nixpkgs/lib>`."""
        token = self.advance()
        return SearchPath(token.at, token.value[1:-1])
