"""Texts with one character a byte and back: Nix's strings are bytes, and some builtins show it."""

from __future__ import annotations


def bytewise(text: str) -> str:
    """One character, below U+0100, for each byte of the text's UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def textual(text: str) -> str:
    """The text again; bytes that are no UTF-8 become lone surrogates, as they do in files that are read."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")
