"""Members of a tar archive out of a stream, root's, with one time."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from typing import IO

from invar.image.pieces import Piece, total_size, write_pieces

RECORD = 512
END = bytes(2 * RECORD)


def write_member(output: IO[bytes], name: str, content: Sequence[Piece], *, epoch: int, mode: int = 0o644) -> None:
    """A regular file. `epoch` is in seconds since 1970."""
    size = total_size(content)
    output.write(_header(name, size, epoch, mode, tarfile.REGTYPE))
    write_pieces(content, output)
    output.write(bytes(-size % RECORD))


def write_directory(output: IO[bytes], name: str, *, epoch: int) -> None:
    """A directory, 0755."""
    output.write(_header(name, 0, epoch, 0o755, tarfile.DIRTYPE))


def _header(name: str, size: int, epoch: int, mode: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode, info.type = size, epoch, mode, kind
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
