"""Run a function where deep recursion is possible: a thread with a large stack and a raised recursion limit."""

from __future__ import annotations

import _thread
import gc
import sys

from invar.nix.errors import NixError
from invar.nix.traces import TRANSLATED, located

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Result = TypeVar("Result")

STACK_BYTES = 512 * 2**20
FRAMES_PER_CALL = 22
"""What the evaluator puts at most between two calls of a program."""

PYTHON_FRAMES = 10_000 * FRAMES_PER_CALL
"""Enough for Nix's own limit of 10,000 nested calls."""

MOST_FRAMES = 5 * PYTHON_FRAMES
"""What the stack has room for."""

_inside: set[int] = set()
_lock = _thread.allocate_lock()
_running: list[bool] = []
_before: list[Any] = []
_ends_at_once: list[bool] = []


def on_big_stack() -> bool:
    """Whether the caller runs inside of `with_big_stack`."""
    return _thread.get_ident() in _inside


def process_ends_at_once() -> None:
    """Promise that this process evaluates, prints and ends by `os._exit`: nothing has to be cleared up after it.

    The cyclic garbage collector rests from now on, as it would look through all values once evaluation is over. And
    `threading` is not loaded beforehand: up to Python 3.12, that module takes the thread that first imports it for the
    main one, and waits for it at the end.
    """
    gc.disable()
    _ends_at_once.append(True)


def ends_at_once() -> bool:
    """Whether `process_ends_at_once` was promised."""
    return bool(_ends_at_once)


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
        try:
            _inside.add(_thread.get_ident())
            try:
                outcome.append(fn(*args))
            except TRANSLATED as error:
                failure.append(located(error))
            except BaseException as error:
                failure.append(error)
            finally:
                _inside.discard(_thread.get_ident())
                done.release()
        except KeyboardInterrupt:
            pass  # one more, on the way out: `_wait` has its own

    done = _thread.allocate_lock()
    done.acquire()
    thread = _start(work)
    try:
        _wait(thread, done)
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


def _start(work: Callable[[], None]) -> int:
    if not _ends_at_once:
        import threading  # noqa: F401
    with _lock:
        if not _before:
            _before.extend((sys.getrecursionlimit(), gc.isenabled()))
            sys.setrecursionlimit(max(sys.getrecursionlimit(), PYTHON_FRAMES))
            gc.disable()
        _running.append(True)
        size = _thread.stack_size(STACK_BYTES)
        try:
            return _thread.start_new_thread(work, ())
        finally:
            _thread.stack_size(size)


def _finished() -> None:
    with _lock:
        _running.pop()
        if not _running:
            limit, collecting = _before
            _before.clear()
            sys.setrecursionlimit(limit)
            if collecting:
                gc.enable()


def _wait(thread: int, done: _thread.LockType) -> None:
    try:
        done.acquire()
    except KeyboardInterrupt:
        import ctypes  # few evaluations are interrupted

        # More than once, for what runs may catch the first. The last may keep `done` from being told: then the thread,
        # which could be reached before, is gone. One that has only just been started cannot be reached yet.
        interrupt, reached = ctypes.pythonapi.PyThreadState_SetAsyncExc, False
        while True:
            found = interrupt(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
            if reached and not found:
                break
            reached = reached or bool(found)
            if done.acquire(timeout=0.1):
                break
        _inside.discard(thread)
        raise
