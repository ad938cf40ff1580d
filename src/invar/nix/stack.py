"""Run a function where deep recursion is possible: a thread with a large stack and a raised recursion limit."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from invar.nix.errors import NixError
from invar.nix.traces import TRANSLATED, located

STACK_BYTES = 512 * 2**20
FRAMES_PER_CALL = 22
"""What the evaluator puts at most between two calls of a program."""

PYTHON_FRAMES = 10_000 * FRAMES_PER_CALL
"""Enough for Nix's own limit of 10,000 nested calls."""

MOST_FRAMES = 5 * PYTHON_FRAMES
"""What the stack has room for."""

Result = TypeVar("Result")

_inside = threading.local()
_lock = threading.Lock()
_running: list[bool] = []
_before: list[Any] = []


def on_big_stack() -> bool:
    """Whether the caller runs inside of `with_big_stack`."""
    return getattr(_inside, "yes", False)


def with_big_stack(fn: Callable[..., Result], *args: Any) -> Result:
    """`fn(*args)` on a 512 MB stack; its exception is raised here, evaluation errors located.

    Inside of another call it only calls. Ctrl-C stops the work within one bytecode and raises KeyboardInterrupt. The
    cyclic garbage collector rests meanwhile: evaluation makes few cycles that could be freed, and it doubles the time.
    """
    if on_big_stack():
        return fn(*args)
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def work() -> None:
        _inside.yes = True
        try:
            outcome.append(fn(*args))
        except TRANSLATED as error:
            failure.append(located(error))
        except BaseException as error:
            failure.append(error)

    thread = _start(work)
    try:
        _wait(thread)
    finally:
        _finished()
    if failure:
        raise failure[0]
    return outcome[0]


def limit_calls(depth: str) -> None:
    """Nix's setting `max-call-depth`, for the evaluation that runs. Raises NixError unless it is a number."""
    if not depth.isdecimal():
        raise NixError(f"configuration setting 'max-call-depth' has invalid value '{depth}'")
    sys.setrecursionlimit(min(max(int(depth), 50) * FRAMES_PER_CALL, MOST_FRAMES))


def _start(work: Callable[[], None]) -> threading.Thread:
    with _lock:
        if not _before:
            _before.extend((sys.getrecursionlimit(), gc.isenabled()))
            sys.setrecursionlimit(max(sys.getrecursionlimit(), PYTHON_FRAMES))
            gc.disable()
        _running.append(True)
        size = threading.stack_size(STACK_BYTES)
        try:
            thread = threading.Thread(target=work, name="nix evaluation", daemon=True)
            thread.start()
        finally:
            threading.stack_size(size)
    return thread


def _finished() -> None:
    with _lock:
        _running.pop()
        if not _running:
            limit, collecting = _before
            _before.clear()
            sys.setrecursionlimit(limit)
            if collecting:
                gc.enable()


def _wait(thread: threading.Thread) -> None:
    try:
        thread.join()
    except KeyboardInterrupt:
        import ctypes  # few evaluations are interrupted

        while thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
            )
            thread.join(0.1)
        raise
