"""What can be set on a running cloud: its clock, delays and limits."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Delays in seconds of the cloud's clock; limits as AWS sets them for a new account.

    `hidden_calls`: how many EBS direct calls after StartSnapshot answer that the snapshot does not exist.
    `concurrent_copies`: snapshot copies under way per destination region. `pending_snapshots`: per region.
    """

    complete_seconds: float = 0.0
    copy_seconds: float = 0.5
    register_seconds: float = 0.0
    hidden_calls: int = 0
    block_token_seconds: float = 7 * DAY
    page_token_seconds: float = 3600.0
    concurrent_copies: int = 20
    pending_snapshots: int = 100

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some replaced. Raises ValueError for an unknown name or a value of the wrong kind."""
        kinds = {field.name: type(getattr(self, field.name)) for field in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in kinds:
                raise ValueError(f"no setting is called {name}; there are {', '.join(kinds)}")
            if isinstance(value, bool) or not isinstance(value, (int, kinds[name])) or value < 0:
                raise ValueError(f"{name} takes a number from 0 up, not {value!r}")
        return dataclasses.replace(self, **{name: kinds[name](value) for name, value in changes.items()})


class Clock:
    """The cloud's clock: the machine's, moved forward on request, so that tokens can expire without waiting."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> float:
        """Move forward. Returns the new time."""
        with self._lock:
            self._ahead += seconds
        return self.now()
