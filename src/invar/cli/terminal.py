"""The terminal as a listener of events: live progress on a terminal, plain lines elsewhere. All on standard error."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from invar.core.events import Event, Note, Progress, Report, StageFinished, StageStarted, Warned

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PLAIN_INTERVAL = 10.0
"""Seconds between two progress lines of one stage when standard error is no terminal."""

PACE_SECONDS = 0.5
"""A stage is watched so long before its rate is told."""


class Screen(Protocol):
    """What shows events. A context manager: leaving it restores the terminal."""

    def __enter__(self) -> Report: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def screen(*, quiet: bool) -> Screen:
    """The screen for this standard error: only warnings when quiet, live bars on a terminal, else plain lines."""
    if quiet:
        return PlainScreen(quiet=True)
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return LiveScreen()
    return PlainScreen()


def amount(done: int, total: int | None, unit: str) -> str:
    """ "12.3 of 80.0 MB", "4 of 203 packages"."""
    if unit == "bytes":
        whole = f" of {total / 1e6:.1f}" if total else ""
        return f"{done / 1e6:.1f}{whole} MB"
    return f"{done} of {total} {unit}" if total else f"{done} {unit}"


class Pace:
    """How fast a stage goes and how long it still takes, from its progress so far.

    What was done when the first progress came (an interrupted transfer's share) does not count as fast. Not for
    stages whose progress is not in bytes.
    """

    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, int]] = {}

    def told(self, progress: Progress, now: float) -> str:
        """ ", 45.1 MB/s, 12 s left", or "" while there is nothing to tell. `now` is monotonic seconds."""
        if progress.unit != "bytes":
            return ""
        since, before = self._begun.setdefault(progress.stage, (now, progress.done))
        moved = progress.done - before
        if now - since < PACE_SECONDS or moved <= 0:
            return ""
        rate = moved / (now - since)
        left = "" if progress.total is None else f", {remaining((progress.total - progress.done) / rate)} left"
        return f", {rate / 1e6:.1f} MB/s{left}"

    def forget(self, stage: str) -> None:
        """The stage begins, or has ended."""
        self._begun.pop(stage, None)


def remaining(seconds: float) -> str:
    """ "8 s", "3 min", "2 h 5 min"."""
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class PlainScreen:
    """One line when a stage takes long or ends, for logs and pipes."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._told: dict[str, float] = {}
        self._pace = Pace()
        self._lock = threading.Lock()

    def __enter__(self) -> Report:
        return Report(self._show)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _show(self, event: Event) -> None:
        with self._lock:
            line = self._line(event)
        if line is not None and (not self._quiet or isinstance(event, Warned)):
            print(line, file=sys.stderr, flush=True)

    def _line(self, event: Event) -> str | None:
        match event:
            case StageStarted(stage):
                self._told[stage] = time.monotonic()
                self._pace.forget(stage)
                return None
            case Progress(stage, done, total, unit):
                now = time.monotonic()
                pace = self._pace.told(event, now)
                if now - self._told.get(stage, now) < PLAIN_INTERVAL:
                    return None
                self._told[stage] = now
                return f"{stage}: {amount(done, total, unit)}{pace}"
            case StageFinished(stage, seconds, cached):
                return None if cached else f"{stage}: done in {seconds:.1f} s"
            case Note(text):
                return text
            case Warned(text):
                return f"warning: {text}"


class LiveScreen:
    """Bars of the stages under way at the bottom, finished ones above them."""

    def __init__(self) -> None:
        self._tasks: dict[str, TaskID] = {}
        self._pace = Pace()
        self._bars: Bars | None = None

    def __enter__(self) -> Report:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._bars.start()
        return Report(self._show)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _show(self, event: Event) -> None:
        assert self._bars is not None
        bars = self._bars
        match event:
            case StageStarted(stage):
                self._tasks[stage] = bars.add_task(stage, total=None, amount="")
                self._pace.forget(stage)
            case Progress(stage, done, total, unit):
                if stage in self._tasks:
                    text = amount(done, total, unit) + self._pace.told(event, time.monotonic())
                    bars.update(self._tasks[stage], completed=done, total=total, amount=text)
            case StageFinished(stage, seconds, cached):
                if stage in self._tasks:
                    bars.remove_task(self._tasks.pop(stage))
                if not cached:
                    bars.console.print(f"[green]✓[/green] {stage} [dim]{seconds:.1f} s[/dim]")
            case Note(text):
                bars.console.print(text, markup=False)
            case Warned(text):
                bars.console.print("[yellow]warning:[/yellow]", end=" ")
                bars.console.print(text, markup=False)
