"""`invar flake show`, `check`, `metadata`, `lock` and `update`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from invar.cli.context import json_option, print_json, session_of, told
from invar.core.errors import ExitCode

if TYPE_CHECKING:
    from invar.flakes.changes import InputChange
    from invar.flakes.flake import Flake


@click.group()
def flake() -> None:
    """What a flake has, whether it holds, and what its inputs are locked to.

    \b
    invar flake show
    invar flake update nixos-hardware
    """


def flake_argument(function: Any) -> Any:
    """The FLAKE argument: a directory with a flake.nix, or a URL."""
    return click.argument("place", metavar="[FLAKE]", default=".")(function)


dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print what would change; write nothing. Exit code 3 if anything would."
)


@flake.command()
@flake_argument
@json_option
@click.pass_context
@told
def show(context: click.Context, place: str, as_json: bool) -> None:
    """The outputs of a flake, each with its kind, as `nix flake show` tells them.

    \b
    invar flake show
    invar flake show github:OWNER/REPO --json
    """
    from invar.flakes.show import outputs_tree, tree_lines
    from invar.nix import force

    session = session_of(context)
    with session.reporting() as report:
        opened = session.engine(report).flake(place)
        with report.stage("evaluate"):
            tree = opened.explained(lambda: outputs_tree(force(opened.value)["outputs"]))
    if as_json:
        print_json(tree)
        return
    click.echo(opened.name)
    for line in tree_lines(tree):
        click.echo(opened.readable(line))


@flake.command()
@flake_argument
@json_option
@click.pass_context
@told
def check(context: click.Context, place: str, as_json: bool) -> None:
    """Evaluate all outputs: kinds as their names say, configurations down to their systems, assertions included.

    Nothing is built. Exit code 1 when an output is wrong.

    \b
    invar flake check
    invar --offline flake check . --json
    """
    from invar.flakes.check import check_flake

    session = session_of(context)
    with session.reporting() as report:
        engine = session.engine(report)
        results = list(check_flake(engine.flake(place), report, engine.universe_of))
    wrong = [one for one in results if one.error is not None]
    if as_json:
        print_json(
            {
                "passed": not wrong,
                "outputs": [
                    {
                        "path": one.path,
                        "type": one.kind,
                        "error": None if one.error is None else {"what": one.error.what, "why": one.error.why},
                    }
                    for one in results
                ],
            }
        )
    else:
        for one in results:
            click.echo(f"{'✗' if one.error else '✓'} {one.path} ({one.kind})")
            if one.error is not None:
                click.echo("    " + str(one.error).replace("\n", "\n    "))
    if wrong:
        context.exit(ExitCode.FAILED)


@flake.command()
@flake_argument
@json_option
@click.pass_context
@told
def metadata(context: click.Context, place: str, as_json: bool) -> None:
    """Where a flake is, which revision of it, and what its inputs are locked to. Writes nothing.

    \b
    invar flake metadata
    invar flake metadata --json | jq .locks.nodes
    """
    from invar.flakes.changes import input_lines
    from invar.flakes.metadata import metadata_data, metadata_lines

    session = session_of(context)
    with session.reporting() as report:
        opened = session.engine(report).flake(place, write=False)
    if as_json:
        print_json(metadata_data(opened))
        return
    for line in metadata_lines(opened):
        click.echo(line)
    if opened.inputs:
        click.echo("inputs:")
    for line in input_lines(opened.inputs):
        click.echo(line)


@flake.command()
@flake_argument
@dry_run_option
@json_option
@click.pass_context
@told
def lock(context: click.Context, place: str, dry_run: bool, as_json: bool) -> None:
    """Add what flake.lock lacks and drop what the flake no longer has; what is locked stays.

    \b
    invar flake lock
    invar flake lock --dry-run
    """
    session = session_of(context)
    with session.reporting() as report:
        engine = session.engine(report)
        before = engine.flake(place, write=False)
        after = before if dry_run else engine.flake(place)
    _tell(context, before, after, dry_run, as_json)


@flake.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT...]")
@click.option("--flake", "place", default=".", show_default=True, metavar="FLAKE", help="Whose inputs.")
@dry_run_option
@json_option
@click.pass_context
@told
def update(context: click.Context, inputs: tuple[str, ...], place: str, dry_run: bool, as_json: bool) -> None:
    """Lock inputs (a/b is the input b of a; without a name all) to what they are now.

    What the native engine provides is not locked here: `nix flake update nixpkgs` moves it for Nix,
    `invar lock --update` moves the Debian packages.

    \b
    invar flake update
    invar flake update nixos-hardware modules/common
    invar flake update --dry-run
    """
    session = session_of(context)
    ways = frozenset(tuple(name.split("/")) for name in inputs) if inputs else None
    with session.reporting() as report:
        engine = session.engine(report)
        before = engine.flake(place, write=False)
        after = engine.flake(place, update=ways, write=not dry_run)
    _tell(context, before, after, dry_run, as_json)


def _tell(context: click.Context, before: Flake, after: Flake, dry_run: bool, as_json: bool) -> None:
    from invar.flakes.changes import input_changes

    changes = input_changes(before.lock_before, after.inputs)
    if as_json:
        print_json(
            {
                "lock": str(after.lock_path),
                "differs": bool(changes),
                "written": bool(changes) and not dry_run,
                "changes": [_change(one) for one in changes],
            }
        )
    else:
        for one in changes:
            click.echo(str(one))
        outcome = "unchanged" if not changes else "not written (dry run)" if dry_run else "written"
        click.echo(f"{after.lock_path}: {outcome}", err=True)
    if dry_run and changes:
        context.exit(ExitCode.DIFFERS)


def _change(change: InputChange) -> dict[str, Any]:
    return {"input": change.way, "old": change.old, "new": change.new}
