"""mkfs.erofs fed with a tar stream. When the disk is full, version 1.8 says so and then waits for ever: it is ended."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from typing import IO

from invar.core.children import child
from invar.core.errors import InvarError
from invar.sandbox.launch import last_lines
from invar.sandbox.spec import Completed

_FULL = b"No space left on device"
_LEAST_ROOM = 4 << 20
"""Bytes; where less is left, what failed, failed for that: a stream that could not be kept whole counts as damaged."""


def make_from_tar(
    argv: Sequence[str], feed: Callable[[IO[bytes]], Completed], directory: Path, seconds: float
) -> Completed:
    """Run mkfs.erofs (`argv`) on what `feed` writes; what came of `feed`, whose failure is the caller's to tell.

    `directory` is where mkfs.erofs writes, `seconds` what it may take once it has been fed. Raises InvarError when it
    fails, OSError (ENOSPC) when the disk is full.
    """
    pipe = subprocess.PIPE
    with (
        ThreadPoolExecutor(1) as listeners,
        child(argv, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, start_new_session=True) as maker,
    ):
        assert maker.stdin is not None
        listener = listeners.submit(_listen, maker)
        fed = feed(maker.stdin)
        maker.stdin.close()
        try:
            said = listener.result(seconds)
        except Late:
            raise InvarError(f"mkfs.erofs did not end within {seconds:.0f} s", where=str(directory)) from None
        status = maker.wait()
    if _FULL in said or (status != 0 and shutil.disk_usage(directory).free < _LEAST_ROOM):
        raise OSError(errno.ENOSPC, "no space left", str(directory))
    if status != 0 and (fed.status == 0 or b"Broken pipe" in fed.output):
        raise InvarError("the packages layer's file system could not be made", where="mkfs.erofs", why=last_lines(said))
    return fed


def _listen(maker: subprocess.Popen[bytes]) -> bytes:
    """All that it says; it ends when it says that the disk is full."""
    assert maker.stdout is not None
    said = bytearray()
    for line in maker.stdout:
        said += line
        if _FULL in line:
            maker.kill()
    return bytes(said)
