"""`invar rollout`, `rollback`, `pause`, `resume` and `abort`: a fleet's generations in motion."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.cli.context import json_option, print_json, session_of, told
from invar.cli.fleet_options import Fleets, fleet_options, fleets, standing_data
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.fleet.ledger import Ledger, Standing
    from invar.fleet.rollout import Result
    from invar.fleet.spec import FleetSpec


@click.command()
@fleet_options
@click.option(
    "--image", type=click.IntRange(1), metavar="GENERATION", help="Roll out this published generation. [the newest]"
)
@click.option("--now", "force", is_flag=True, help="Ignore the time window.")
@json_option
@click.pass_context
@told
def rollout(
    context: click.Context,
    place: Path,
    names: tuple[str, ...],
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    image: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Move fleets to the newest published generation, and wait until every instance has proven it.

    The first region begins with its canary; each new instance has to pass its checks and prove its digest. When one
    does not, the rollout goes back by itself, shows that instance's console, and ends with exit code 1. The command may
    be ended at any time: EC2 goes on, and `invar resume` takes over from any machine.

    \b
    invar rollout
    invar rollout --fleet production-web --image 7 --json
    """
    from invar.fleet.begin import begin_rollout

    results: list[dict[str, Any]] = []
    good = True
    with fleets(session_of(context), place, names, profile, endpoint_url, local) as found:
        for spec in found.specs:
            ledger = found.ledger(spec)
            entry = begin_rollout(found.cloud, spec, ledger, found.who, time.time(), image=image, force=force)
            if entry is None:
                found.report.note(f"{spec.name} runs that already")
                continue
            result = driven(found, spec, ledger, entry.number)
            results.append(outcome_data(spec.name, result))
            good = good and result.good
            show(spec.name, result, as_json=as_json)
            if not good:
                break
    if as_json:
        print_json({"generations": results})
    exit_with(context, good)


@click.command()
@click.argument("generation", type=click.IntRange(1), required=False)
@fleet_options
@json_option
@click.pass_context
@told
def rollback(
    context: click.Context,
    generation: int | None,
    place: Path,
    names: tuple[str, ...],
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Go back to GENERATION of the fleet, or to the one before the current one: all regions at once, without a canary.

    It works after a rollout has finished; one that is under way is ended with `invar abort`.

    \b
    invar rollback
    invar rollback 4 --fleet production-web
    """
    from invar.fleet.begin import begin_rollback

    results: list[dict[str, Any]] = []
    good = True
    with fleets(session_of(context), place, names, profile, endpoint_url, local) as found:
        if generation is not None and len(found.specs) > 1:
            raise InvarError("a generation is one fleet's", hint="--fleet NAME", exit_code=ExitCode.USAGE)
        for spec in found.specs:
            ledger = found.ledger(spec)
            entry = begin_rollback(found.cloud, spec, ledger, found.who, time.time(), generation)
            found.report.note(f"{spec.name} goes back to generation {entry.repeats}")
            result = driven(found, spec, ledger, entry.number)
            results.append(outcome_data(spec.name, result))
            good = good and result.good
            show(spec.name, result, as_json=as_json)
    if as_json:
        print_json({"generations": results})
    exit_with(context, good)


@click.command()
@fleet_options
@json_option
@click.pass_context
@told
def pause(
    context: click.Context,
    place: Path,
    names: tuple[str, ...],
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Stop rollouts where they are: what was replaced stays, nothing more is. `invar resume` goes on.

    \b
    invar pause --fleet production-web
    """
    from invar.fleet.rollout import pause as stop

    results: list[dict[str, Any]] = []
    with fleets(session_of(context), place, names, profile, endpoint_url, local) as found:
        for spec in found.specs:
            ledger = found.ledger(spec)
            standing = open_generation(ledger, spec)
            if standing.failed is not None or standing.entry.kind == "rollback":
                raise InvarError(f"{spec.name} is going back, which is not paused", exit_code=ExitCode.USAGE)
            stop(found.cloud, spec.group, ledger, standing, found.who, time.time())
            results.append(standing_data(spec.name, ledger.standing(standing.entry.number)))
    tell(results, as_json=as_json)


@click.command()
@fleet_options
@json_option
@click.pass_context
@told
def resume(
    context: click.Context,
    place: Path,
    names: tuple[str, ...],
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Take over what is under way, paused or left alone, and drive it to rest; from any clone of the repository.

    \b
    invar resume
    """
    _drive_open(context, place, names, profile, endpoint_url, local, as_json, abort_it=False)


@click.command()
@fleet_options
@json_option
@click.pass_context
@told
def abort(
    context: click.Context,
    place: Path,
    names: tuple[str, ...],
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """End a rollout that is under way or paused: go back to the generation before, and wait until it runs everywhere.

    \b
    invar abort --fleet production-web
    """
    _drive_open(context, place, names, profile, endpoint_url, local, as_json, abort_it=True)


def _drive_open(
    context: click.Context,
    place: Path,
    names: tuple[str, ...],
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
    *,
    abort_it: bool,
) -> None:
    from invar.fleet.apply import create_missing
    from invar.fleet.begin import find_fleet_groups
    from invar.fleet.ledger import Mark
    from invar.fleet.rollout import go_on

    results: list[dict[str, Any]] = []
    good = True
    with fleets(session_of(context), place, names, profile, endpoint_url, local) as found:
        for spec in found.specs:
            ledger = found.ledger(spec)
            standing = open_generation(ledger, spec)
            number = standing.entry.number
            if abort_it:
                ledger.fail(number, Mark("failed", found.who, time.time(), "an operator aborted it"))
            if standing.entry.kind == "create":
                groups = find_fleet_groups(found.cloud, spec)
                create_missing(found.cloud, spec, groups, standing.entry.deployments)
            if standing.paused:
                go_on(found.cloud, spec.group, ledger, standing, found.who, time.time())
            result = driven(found, spec, ledger, number)
            results.append(outcome_data(spec.name, result))
            restored = result.standing.outcome is not None and result.standing.outcome.state == "restored"
            good = good and (restored if abort_it else result.good)
            show(spec.name, result, as_json=as_json)
    if as_json:
        print_json({"generations": results})
    exit_with(context, good)


def driven(found: Fleets, spec: FleetSpec, ledger: Ledger, number: int) -> Result:
    """Drive a generation to rest on the screen."""
    from invar.fleet.rollout import drive

    with found.report.stage(f"{spec.name} generation {number}"):
        return drive(found.cloud, spec.group, ledger, number, found.who, found.report)


def open_generation(ledger: Ledger, spec: FleetSpec) -> Standing:
    """The generation that is under way. Raises InvarError when nothing is."""
    newest = ledger.history().newest
    if newest is None or not newest.open:
        raise InvarError(f"nothing is under way in {spec.name}", hint="invar status shows it", exit_code=ExitCode.USAGE)
    return newest


def outcome_data(name: str, result: Result) -> dict[str, Any]:
    """What `--json` tells of a generation that was driven."""
    evidence = result.evidence
    return standing_data(name, result.standing) | {
        "evidence": None
        if evidence is None
        else {"region": evidence.region, "instance": evidence.instance, "console": evidence.console}
    }


def show(name: str, result: Result, *, as_json: bool) -> None:
    """The outcome in a line; what failed, and the end of its console."""
    if as_json:
        return
    standing = result.standing
    click.echo(f"{name}: generation {standing.entry.number} is {standing.word}")
    if standing.failed is not None:
        failed = standing.failed
        where = " ".join(filter(None, (failed.region, failed.instance)))
        click.echo(f"  {where}{': ' if where else ''}{failed.why}", err=True)
    if result.evidence is not None and result.evidence.console:
        click.echo(f"  the console of {result.evidence.instance} ends with", err=True)
        for line in result.evidence.console.splitlines():
            click.echo(f"    {line}", err=True)


def tell(results: list[dict[str, Any]], *, as_json: bool) -> None:
    """Standings as JSON, or in a line each."""
    if as_json:
        print_json({"generations": results})
        return
    for one in results:
        click.echo(f"{one['fleet']}: generation {one['entry']['number']} is {one['state']}")


def exit_with(context: click.Context, good: bool) -> None:
    """Exit code 1 unless all went as asked."""
    if not good:
        context.exit(ExitCode.FAILED)
