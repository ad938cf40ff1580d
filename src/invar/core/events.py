"""Long work reports events; the terminal, the JSON output and tests are listeners. Algorithms never print."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage of the walk begins ("fetch", "packages layer", ...)."""

    stage: str


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage ended well after `seconds`; `cached` when its product was already there."""

    stage: str
    seconds: float
    cached: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is: `done` of `total` (None when unknown) in `unit` ("bytes", "packages", ...)."""

    stage: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True, slots=True)
class Note:
    """One line that a user may want to read."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """One line that a user should read."""

    text: str


Event = StageStarted | StageFinished | Progress | Note | Warned
Listener = Callable[[Event], None]


class Stage:
    """Handed out by `Report.stage`: call `progress` while working, set `cached` when there was nothing to do."""

    def __init__(self, name: str, listener: Listener) -> None:
        self.name = name
        self.cached = False
        self._listener = listener

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """Report how far the stage is. May be called from any thread."""
        self._listener(Progress(self.name, done, total, unit))


class Report:
    """What working code is handed to tell about itself."""

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener: Listener = listener or (lambda event: None)
        self.seconds: dict[str, float] = {}
        self.cached: dict[str, bool] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a stage and report its start and end; an exception leaves it unfinished."""
        stage = Stage(name, self._listener)
        self._listener(StageStarted(name))
        start = time.monotonic()
        yield stage
        seconds = time.monotonic() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.cached[name] = stage.cached and self.cached.get(name, True)
        self._listener(StageFinished(name, seconds, stage.cached))

    def note(self, text: str) -> None:
        """Tell one line."""
        self._listener(Note(text))

    def warn(self, text: str) -> None:
        """Tell one line that matters."""
        self._listener(Warned(text))
