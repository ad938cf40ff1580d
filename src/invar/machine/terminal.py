"""How a switch tells of itself on a terminal, or in the journal: one line a stage."""

from __future__ import annotations

import sys

from invar.core.events import Event, Note, Report, StageFinished, Warned


def terminal_report(*, quiet: bool = False) -> Report:
    """A report that prints to standard error; a quiet one prints warnings only."""

    def listen(event: Event) -> None:
        match event:
            case StageFinished(stage, seconds, cached) if not quiet:
                print(f"{stage}: {'nothing to do' if cached else f'{seconds:.2f} s'}", file=sys.stderr)
            case Note(text) if not quiet:
                print(text, file=sys.stderr)
            case Warned(text):
                print(f"warning: {text}", file=sys.stderr)
            case _:
                pass

    return Report(listen)
