"""Moves many blocks at once: worker threads, pace, retries, and an end to every wait."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from invar.aws.errors import AWS_ERRORS, told, trouble
from invar.aws.pace import Pace, wait_before
from invar.core.errors import InvarError

T = TypeVar("T")

LEAVE_SECONDS = 10.0
"""How long a transfer that ends early waits for the calls under way."""


@dataclass(frozen=True, slots=True)
class Limits:
    """All in seconds. `total`: for the whole transfer. `stall`: without a single call getting through.

    `appear`: how long AWS may go on saying that a snapshot just begun does not exist.
    """

    total: float = 3600.0
    stall: float = 180.0
    appear: float = 150.0


def transfer(
    items: Iterable[T],
    work: Callable[[T], None],
    *,
    where: Callable[[T], str],
    limits: Limits,
    pace: Pace | None = None,
    expect_missing: bool = False,
) -> int:
    """Call `work` for every item, many at once, until each succeeded. Returns how many calls were repeated.

    Throttled and transient failures are tried again, and "does not exist" for `limits.appear` where `expect_missing`.
    Raises InvarError for any other answer of AWS (`where` of an item names the call) and when time is up; other
    exceptions of `work`, and KeyboardInterrupt, pass through. No further call begins after that.
    """
    return _Transfer(list(items), work, where, limits, pace or Pace(), expect_missing).run()


def patiently(work: Callable[[], T], *, where: str, limits: Limits, expect_missing: bool = False) -> T:
    """One call, repeated like those of `transfer`. Raises InvarError."""
    results: list[T] = []
    transfer(
        [None],
        lambda _: results.append(work()),
        where=lambda _: where,
        limits=limits,
        pace=Pace(first=1, most=1),
        expect_missing=expect_missing,
    )
    return results[0]


class _Transfer(Generic[T]):
    """One transfer's state, guarded by `_changed`."""

    def __init__(
        self,
        items: list[T],
        work: Callable[[T], None],
        where: Callable[[T], str],
        limits: Limits,
        pace: Pace,
        expect_missing: bool,
    ) -> None:
        self._work = work
        self._where = where
        self._limits = limits
        self._pace = pace
        self._expect_missing = expect_missing
        self._chance = random.Random()
        self._changed = threading.Condition()
        self._queue = deque((item, 0) for item in items)
        self._later: list[tuple[float, int, T, int]] = []
        self._order = itertools.count()
        self._left = len(items)
        self._active = 0
        self._retries = 0
        self._fault: BaseException | None = None
        self._stopped = False
        self._started = self._last_success = time.monotonic()
        self._last_trouble: tuple[str, BaseException] | None = None

    def run(self) -> int:
        count = min(self._left, self._pace.most)
        threads = [threading.Thread(target=self._serve, name=f"transfer-{n}", daemon=True) for n in range(count)]
        for thread in threads:
            thread.start()
        try:
            self._supervise()
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            leave = time.monotonic() + LEAVE_SECONDS
            for thread in threads:
                thread.join(max(0.0, leave - time.monotonic()))
        return self._retries

    def _supervise(self) -> None:
        """Wait for the end, a fault, or the end of patience."""
        with self._changed:
            while self._left and self._fault is None:
                now = time.monotonic()
                if now > self._started + self._limits.total:
                    raise self._out_of_time(f"it is not finished after {self._limits.total:.0f} s")
                if now > self._last_success + self._limits.stall:
                    raise self._out_of_time(f"nothing got through for {self._limits.stall:.0f} s")
                until = min(self._started + self._limits.total, self._last_success + self._limits.stall)
                self._changed.wait(min(1.0, until - now + 0.01))
            if self._fault is not None:
                raise self._fault

    def _out_of_time(self, why: str) -> InvarError:
        if self._last_trouble is None:
            where, last = None, ""
        else:
            where, error = self._last_trouble
            last = f"\nthe last answer: {told(error, where).why}"
        return InvarError(
            "the transfer takes too long",
            where=where,
            why=why + last,
            hint="check the network; a rerun continues where this one ended",
        )

    def _serve(self) -> None:
        while (taken := self._take()) is not None:
            item, attempt = taken
            try:
                self._work(item)
            except AWS_ERRORS as error:
                self._failed(item, attempt, error)
            except BaseException as error:
                self._give_up(error)
            else:
                self._succeeded()

    def _take(self) -> tuple[T, int] | None:
        """The next item, once there is one and the pace allows it; None at the end."""
        with self._changed:
            while not self._stopped and self._left and self._fault is None:
                now = time.monotonic()
                ready = bool(self._later) and self._later[0][0] <= now
                if self._active < self._pace.limit and (ready or self._queue):
                    self._active += 1
                    if ready:
                        _, _, item, attempt = heapq.heappop(self._later)
                        return item, attempt
                    return self._queue.popleft()
                self._changed.wait(max(0.001, self._later[0][0] - now) if self._later and not ready else None)
            return None

    def _succeeded(self) -> None:
        now = time.monotonic()
        self._pace.succeeded(now)
        with self._changed:
            self._active -= 1
            self._left -= 1
            self._last_success = now
            if self._left == 0:
                self._changed.notify_all()
            else:
                self._changed.notify(2)

    def _failed(self, item: T, attempt: int, error: Exception) -> None:
        now = time.monotonic()
        kind = trouble(error)
        patience = self._expect_missing and now < self._started + self._limits.appear
        if kind == "refused" or (kind == "missing" and not patience):
            fault = told(error, self._where(item))
            fault.__cause__ = error
            self._give_up(fault)
            return
        if kind == "throttled":
            self._pace.throttled(now)
        with self._changed:
            self._active -= 1
            self._retries += 1
            self._last_trouble = (self._where(item), error)
            due = now + wait_before(attempt + 1, self._chance)
            heapq.heappush(self._later, (due, next(self._order), item, attempt + 1))
            self._changed.notify_all()

    def _give_up(self, error: BaseException) -> None:
        with self._changed:
            self._active -= 1
            self._fault = self._fault or error
            self._changed.notify_all()
