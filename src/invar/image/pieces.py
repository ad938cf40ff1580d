"""A stream made of bytes and of whole files, which are read only while it is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import IO

Piece = bytes | Path
"""Bytes, or a file that stands for its content."""

_CHUNK = 1 << 20


def total_size(pieces: Iterable[Piece]) -> int:
    """How many bytes the stream has."""
    return sum(len(piece) if isinstance(piece, bytes) else piece.stat().st_size for piece in pieces)


def write_pieces(pieces: Iterable[Piece], output: IO[bytes]) -> None:
    """Write the stream."""
    for piece in pieces:
        if isinstance(piece, bytes):
            output.write(piece)
        else:
            with piece.open("rb") as file:
                shutil.copyfileobj(file, output, _CHUNK)
