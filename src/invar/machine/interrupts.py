"""Signals during a switch: it is taken back when somebody wants that, and goes on when somebody only stops looking."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM: the machine goes down, or systemd stops who switches. Nothing is worth waiting for."""


@contextmanager
def orderly() -> Iterator[None]:
    """For the time of the block SIGTERM raises Terminated, as Ctrl-C raises KeyboardInterrupt, and SIGHUP does nothing.

    A terminal that goes, with the ssh connection for example, leaves a switch to its checks.
    """
    with _handling({signal.SIGTERM: _terminate, signal.SIGHUP: signal.SIG_IGN}):
        yield


@contextmanager
def deaf() -> Iterator[None]:
    """For the time of the block nobody can end this process in an orderly way: it is on the way back."""
    with _handling(dict.fromkeys(_ENDING, signal.SIG_IGN)):
        yield


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


@contextmanager
def _handling(handlers: dict[signal.Signals, signal.Handlers | object]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
