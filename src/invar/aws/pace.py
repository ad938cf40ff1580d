"""How many calls to have under way at once, and how long to wait before another try. Pure: times are handed in."""

from __future__ import annotations

import random
import threading

FIRST = 8
MOST = 64
GAIN = 1.05
SHORTEST_WAIT = 0.05
LONGEST_WAIT = 8.0
SETTLE_SECONDS = 0.5


class Pace:
    """The number of calls that may be under way: raised while that raises throughput, halved when AWS says "too fast".

    A throttled call halves it at most once in half a second, for one burst is one piece of news.
    """

    def __init__(self, *, first: int = FIRST, most: int = MOST) -> None:
        self._lock = threading.Lock()
        self._limit = min(first, most)
        self.most = most
        self._best = 0.0
        self._done = 0
        self._since: float | None = None
        self._halved: float | None = None

    @property
    def limit(self) -> int:
        """Calls that may be under way now."""
        return self._limit

    def succeeded(self, now: float) -> None:
        """A call succeeded at `now` (monotonic seconds)."""
        with self._lock:
            if self._since is None:
                self._since = now
                return
            self._done += 1
            if self._done < 3 * self._limit or now <= self._since:
                return
            rate = self._done / (now - self._since)
            if rate > self._best * GAIN:
                self._best = rate
                self._limit = min(self.most, self._limit + max(1, self._limit // 2))
            self._done, self._since = 0, now

    def throttled(self, now: float) -> None:
        """AWS asked to go slower at `now`."""
        with self._lock:
            if self._halved is not None and now - self._halved < SETTLE_SECONDS:
                return
            self._halved = now
            self._limit = max(1, self._limit // 2)
            self._best = 0.0
            self._done, self._since = 0, now


def wait_before(attempt: int, chance: random.Random) -> float:
    """Seconds to wait before try number `attempt` (1 is the first repetition): exponential, with full jitter."""
    return chance.uniform(SHORTEST_WAIT / 2, min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** min(attempt, 16)))
