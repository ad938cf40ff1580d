"""Programs that run no longer than they are wanted: Ctrl-C at any moment ends them before anything is cleaned up."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def child(argv: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program for the time of the block; `options` are those of `subprocess.Popen`.

    An exception in the block kills it; its end is waited for in any case. Raises OSError when it does not start.
    """
    process: subprocess.Popen[bytes] | None = None
    try:
        with interrupts_held():
            process = subprocess.Popen(argv, **options)
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
    except BaseException:
        if process is not None:
            process.kill()
            process.wait()
        raise


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C in the block is raised when the block has ended.

    `subprocess.Popen` needs it: interrupted between its fork and its return, it leaves a program that nobody knows.
    In another thread than the main one there is nothing to hold.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: arrived.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for number, frame in arrived[:1]:
            before(number, frame)
