"""What every verb shares: its options, its screen, and how a fault becomes an exit code."""

from __future__ import annotations

import errno
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click

from invar.cli.terminal import screen
from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.core.home import Home

if TYPE_CHECKING:
    from invar.engines.choice import EngineName, Engines
    from invar.engines.native import NativeEngine
    from invar.engines.nix import NixEngine

_SYSTEM_HINTS = {
    errno.ENOSPC: "make room, and run the same command again",
    errno.EACCES: "the user who runs this may not do that",
    errno.EROFS: "set INVAR_HOME to a place that can be written",
}

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Session:
    """One invocation: this user's home, and the options that stand before the verb."""

    home: Home
    mirrors: tuple[str, ...]
    quiet: bool
    show_trace: bool
    offline: bool = False
    impure: bool = False
    override_inputs: tuple[tuple[str, str], ...] = ()

    def engine(self, report: Report) -> NativeEngine:
        """The engine that builds this user's configurations."""
        from invar.engines.native import NativeEngine

        return NativeEngine(
            self.home,
            report,
            mirrors=self.mirrors,
            environment=os.environ,
            show_trace=self.show_trace,
            offline=self.offline,
            impure=self.impure,
            override_inputs=dict(self.override_inputs),
        )

    def engines(self, report: Report, option: EngineName | None = None, attribute: str | None = None) -> Engines:
        """Both engines; `option` and `attribute` as `--engine` and `--attr` say."""
        from invar.engines.choice import Engines

        return Engines(self.engine(report), lambda: self.nix_engine(report), option, attribute)

    def nix_engine(self, report: Report) -> NixEngine:
        """The engine that builds with the user's own Nix. Raises InvarError when there is none."""
        from invar.engines.nix import NixEngine
        from invar.sandbox.removal import remove_tree
        from invar.store.objects import Store

        return NixEngine(
            self.home,
            Store(self.home.store, remove=remove_tree),
            report,
            environment=os.environ,
            offline=self.offline,
            impure=self.impure,
            override_inputs=dict(self.override_inputs),
        )

    @contextmanager
    def reporting(self) -> Iterator[Report]:
        """A report whose events are on the screen while the block runs."""
        with screen(quiet=self.quiet) as report:
            yield report


def session_of(context: click.Context) -> Session:
    """The session that the `invar` group made."""
    session = context.find_object(Session)
    assert session is not None
    return session


def json_option(function: F) -> F:
    """`--json`: one object on standard output, everything else on standard error."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")(function)


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def fail(error: InvarError) -> NoReturn:
    """Show a fault on standard error and end with its exit code."""
    text = str(error)
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        text = text.replace("error:", click.style("error:", fg="red", bold=True), 1)
        text = text.replace("  hint:", click.style("  hint:", fg="cyan"), 1)
    click.echo(text, err=True)
    sys.exit(error.exit_code)


def refused_by_the_system(error: OSError) -> InvarError:
    """What the operating system refused, and where."""
    if error.strerror is None:
        return own_fault(error)
    hint = _SYSTEM_HINTS.get(error.errno or 0)
    return InvarError(error.strerror, where=str(error.filename) if error.filename else None, hint=hint)


def own_fault(error: Exception) -> InvarError:
    """A fault of Invar's own: the trace is in a file, for whoever mends it."""
    import shlex
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="invar-fault-", suffix=".txt", delete=False) as file:
        file.write(f"{shlex.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}")
    return InvarError(
        f"this is a fault of Invar: {type(error).__name__}: {error}",
        where=file.name,
        hint="please report it with that file; it holds the command's arguments",
    )


def told(function: Callable[P, R]) -> Callable[P, R]:
    """Turn every fault of a verb into a message and an exit code; Ctrl-C into 130."""

    @functools.wraps(function)
    def verb(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except InvarError as error:
            fail(error)
        except KeyboardInterrupt:
            click.echo("interrupted: nothing is half-made, run the same command again to go on", err=True)
            sys.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(ExitCode.FAILED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except OSError as error:
            fail(refused_by_the_system(error))
        except Exception as error:
            fail(own_fault(error))

    return verb
