"""The cloud's clock, and what is to be looked at when."""

from __future__ import annotations

import heapq
import threading
import time


class Clock:
    """The machine's time moved forward on request; or frozen, so that it moves on request only."""

    def __init__(self, frozen_at: float | None = None) -> None:
        self._ahead = 0.0
        self._frozen = frozen_at
        self._lock = threading.Lock()

    @property
    def frozen(self) -> bool:
        """Whether time passes on request only."""
        return self._frozen is not None

    def now(self) -> float:
        """Seconds since 1970."""
        frozen = self._frozen
        return time.time() + self._ahead if frozen is None else frozen

    def advance(self, seconds: float) -> float:
        """Move forward. Returns the new time."""
        with self._lock:
            if self._frozen is None:
                self._ahead += seconds
            else:
                self._frozen += seconds
        return self.now()

    def freeze(self, frozen: bool) -> None:
        """Let time stand still, at the next whole second; or go on from where it stood."""
        with self._lock:
            now = time.time() + self._ahead if self._frozen is None else self._frozen
            self._ahead = now - time.time()
            self._frozen = float(-(-now // 1)) if frozen else None


class Timers:
    """Times at which a region has to be looked at again, in whole seconds so that what falls together is one look."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._known: set[tuple[float, str]] = set()

    def at(self, when: float, region: str) -> None:
        """Look at the region at that time, rounded up."""
        if when == float("inf"):
            return
        entry = (float(-(-when // 1)), region)
        if entry not in self._known:
            self._known.add(entry)
            heapq.heappush(self._heap, entry)

    def soon(self, now: float, region: str) -> None:
        """Look at the region as soon as time allows."""
        entry = (now, region)
        if entry not in self._known:
            self._known.add(entry)
            heapq.heappush(self._heap, entry)

    def next(self) -> float | None:
        """The earliest time at which something is due."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[str]:
        """Take out the regions that are due by `now`, each once."""
        regions: dict[str, None] = {}
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            self._known.discard(entry)
            regions[entry[1]] = None
        return list(regions)

    def clear(self) -> None:
        """Nothing is due any more."""
        self._heap.clear()
        self._known.clear()
