"""The common indentation of an indented string, taken off as the Nix manual's section on strings says."""

from __future__ import annotations

import re
from typing import TypeAlias

from invar.nix.ast import Node

Piece: TypeAlias = tuple[str, bool] | Node
"""A text with "came from an escape", or an interpolated expression."""

_LAST_BLANK_LINE = re.compile(r"\n *\Z")
_NO_INDENTATION = 1_000_000


def strip_indentation(pieces: list[Piece]) -> list[str | Node]:
    """Parts of the string, adjacent texts joined."""
    indentation = _common_indentation(pieces)
    parts: list[str | Node] = []
    start_of_line = True
    for index, piece in enumerate(pieces):
        if isinstance(piece, Node):
            start_of_line = False
            parts.append(piece)
            continue
        text, start_of_line = _dedent(piece[0], indentation, start_of_line)
        if index == len(pieces) - 1:
            text = _LAST_BLANK_LINE.sub("\n", text)
        if parts and isinstance(parts[-1], str):
            parts[-1] += text
        elif text:
            parts.append(text)
    return [part for part in parts if part != ""]


def _common_indentation(pieces: list[Piece]) -> int:
    least, current, start_of_line = _NO_INDENTATION, 0, True
    for piece in pieces:
        if isinstance(piece, Node) or piece[1]:
            if start_of_line:
                start_of_line = False
                least = min(least, current)
            continue
        lines = piece[0].split("\n")
        for number, line in enumerate(lines):
            if number:
                start_of_line, current = True, 0
            if start_of_line:
                spaces = len(line) - len(line.lstrip(" "))
                current += spaces
                if spaces < len(line):
                    start_of_line = False
                    least = min(least, current)
    return least


def _dedent(text: str, indentation: int, start_of_line: bool) -> tuple[str, bool]:
    done: list[str] = []
    lines = text.split("\n")
    for number, line in enumerate(lines):
        fresh = start_of_line if number == 0 else True
        if fresh:
            spaces = len(line) - len(line.lstrip(" "))
            done.append(line[min(spaces, indentation) :])
            start_of_line = spaces == len(line)
        else:
            done.append(line)
    return "\n".join(done), start_of_line
