"""The token list while it is parsed, and the errors of what stands in it."""

from __future__ import annotations

from invar.nix.errors import NixSyntaxError
from invar.nix.lexer import Source, Token, tokenize

DESCRIPTIONS = {"end": "end of file", "id": "ID", "string-start": "'\"'", "indented-start": "''''", "text": "STR"}


class TokenStream:
    """The tokens of a source, one of them the next."""

    def __init__(self, source: Source, features: frozenset[str]) -> None:
        self.source = source
        self.features = features
        self.tokens = tokenize(source)
        self.index = 0
        self.token = self.tokens[0]

    def advance(self) -> Token:
        """The token here; then go to the next."""
        token = self.token
        self.index += 1
        if self.index < len(self.tokens):
            self.token = self.tokens[self.index]
        return token

    def take(self, kind: str, expected: str | None = None) -> Token:
        """The token here, which must be of this kind."""
        if self.token.kind != kind:
            raise self.unexpected(expected or DESCRIPTIONS.get(kind) or f"'{kind}'")
        return self.advance()

    def unexpected(self, expected: str | None = None) -> NixSyntaxError:
        """The error for the token here."""
        token = self.token
        found = DESCRIPTIONS.get(token.kind)
        if token.kind == "id":
            found = f"ID '{token.value}'"
        message = f"syntax error, unexpected {found or repr(token.value)}"
        return self.fail(f"{message}, expecting {expected}" if expected else message, token.at)

    def disabled(self, what: str, feature: str, at: int) -> NixSyntaxError:
        """The error for syntax whose experimental feature is off."""
        return self.fail(f"{what} disabled; use '--extra-experimental-features {feature}' to enable them", at)

    def fail(self, message: str, at: int) -> NixSyntaxError:
        """A syntax error at an offset."""
        return NixSyntaxError(message, self.source.pos(at))
