"""How a switch tells of itself on a terminal, or in the journal: one line a stage."""

from __future__ import annotations

import sys
from contextlib import suppress

from invar.core.events import Event, Note, Report, StageFinished, Warned


def terminal_report(*, quiet: bool = False) -> Report:
    """A report that prints to standard error; a quiet one prints warnings only.

    A terminal or connection that is gone is no fault of what it tells about.
    """

    def listen(event: Event) -> None:
        match event:
            case StageFinished(stage, seconds, cached) if not quiet:
                _print(f"{stage}: {'nothing to do' if cached else f'{seconds:.2f} s'}")
            case Note(text) if not quiet:
                _print(text)
            case Warned(text):
                _print(f"warning: {text}")
            case _:
                pass

    return Report(listen)


def _print(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
