"""`invar repl`: Nix, line by line, with completion and history on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from invar.cli.context import Session, session_of, told
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.nix.errors import NixError

if TYPE_CHECKING:
    from invar.nix.interactive import Interactive


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("-I", "search_path", multiple=True, metavar="[NAME=]PATH", help="Where <NAME> is looked up.")
@click.option("--impure", is_flag=True, help="Fetch what has no hash too; look <NAME> up in NIX_PATH.")
@click.option(
    "--extra-experimental-features", "features", multiple=True, metavar="NAMES", help="Such as pipe-operators."
)
@click.pass_context
@told
def repl(
    context: click.Context,
    files: tuple[str, ...],
    search_path: tuple[str, ...],
    impure: bool,
    features: tuple[str, ...],
) -> None:
    """Evaluate Nix interactively. FILEs are loaded first. `:?` lists the commands.

    \b
    invar repl
    invar repl ./lib.nix
    echo ':p map (x: x * 2) [ 1 2 ]' | invar repl
    """
    from invar.cli.terminal import PlainScreen
    from invar.cli.values import Settings, plain_evaluator
    from invar.nix.interactive import Interactive

    session = session_of(context)
    settings = Settings(search_path=search_path, features=features, impure=impure)
    with PlainScreen(quiet=session.quiet) as report:  # live bars and the prompt would overwrite each other
        made = Interactive(
            lambda: plain_evaluator(session, report, settings, os.environ), show_trace=session.show_trace
        )
        failed = _answer_all(made, report, [f":l {file}" for file in files], stop=True)
        if not failed:
            lines = _prompted(made, session) if sys.stdin.isatty() and sys.stdout.isatty() else _piped(made)
            failed = _answer_all(made, report, lines, stop=False)
    if failed:
        sys.exit(1)


def _answer_all(made: Interactive, report: Report, inputs: Iterable[str], *, stop: bool) -> bool:
    """Answer each input; True if one failed and `stop` says that this ends it, or no terminal was there to see it."""
    failed = False
    for text in inputs:
        try:
            answer = made.run(text)
            if answer:
                click.echo(answer)
        except NixError as error:
            click.echo(made.told(error), err=True)
            failed = True
        except InvarError as error:
            click.echo(str(error), err=True)
            failed = True
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
        if made.finished or (failed and stop):
            break
    return failed and (stop or not sys.stdin.isatty())


def _piped(made: Interactive) -> Iterator[str]:
    """Inputs from lines of standard input; one goes on until it is complete, or until an empty line."""
    pending = ""
    for line in sys.stdin:
        pending += line
        if line.strip() and made.is_incomplete(pending):
            continue
        if pending.strip():
            yield pending.strip()
        pending = ""
    if pending.strip():
        yield pending.strip()


def _prompted(made: Interactive, session: Session) -> Iterator[str]:
    """Inputs from the terminal, with history in the user's Invar home."""
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
        from prompt_toolkit.document import Document
        from prompt_toolkit.filters import Condition
        from prompt_toolkit.history import FileHistory
    except ImportError as error:
        raise InvarError(
            "the REPL needs prompt_toolkit on a terminal",
            hint="install invar[repl], or pipe lines into `invar repl`",
        ) from error

    class Names(Completer):
        """Completes commands, variables, attribute paths, and files behind `:l`."""

        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
            before = document.text_before_cursor
            if before.startswith(":l "):
                rest = Document(before[3:])
                yield from PathCompleter(expanduser=True).get_completions(rest, complete_event)
                return
            word = before if before.startswith(":") and " " not in before else _last_word(before)
            for name in made.complete(before):
                yield Completion(name, start_position=-len(word))

    history = session.home.root / "repl-history"
    _private_file(history)
    prompt: PromptSession[str] = PromptSession(
        history=FileHistory(str(history)),
        completer=Names(),
        complete_while_typing=False,
        multiline=Condition(lambda: made.is_incomplete(prompt.default_buffer.text)),
        prompt_continuation=lambda width, line, wrapped: " " * width,
    )
    click.echo("Nix in Invar. ':?' lists the commands, Ctrl-D leaves.", err=True)
    while not made.finished:
        try:
            text = prompt.prompt("invar> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.strip():
            yield text


def _last_word(before: str) -> str:
    at = len(before)
    while at and (before[at - 1].isalnum() or before[at - 1] in "_'-."):
        at -= 1
    return before[at:]


def _private_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
