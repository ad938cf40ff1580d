"""`invar rollout`, `rollback`, `pause`, `resume` and `abort`: a fleet's generations in motion."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from invar.cli.context import print_json
from invar.cli.fleet_options import Fleets, FleetVerb, fleet_verb, standing_data
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.fleet.ledger import Ledger, Standing
    from invar.fleet.rollout import Result
    from invar.fleet.spec import FleetSpec


@click.command()
@fleet_verb()
@click.option(
    "--image", type=click.IntRange(1), metavar="GENERATION", help="Roll out this published generation. [the newest]"
)
@click.option("--now", "force", is_flag=True, help="Ignore the time window.")
def rollout(verb: FleetVerb, image: int | None, force: bool) -> None:
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
    with verb.fleets() as found:
        for spec in found.specs:
            ledger = found.ledger(spec)
            entry = begin_rollout(found.cloud, spec, ledger, found.who, time.time(), image=image, force=force)
            if entry is None:
                found.report.note(f"{spec.name} runs that already")
                continue
            result = driven(found, spec.name, spec.group, ledger, entry.number)
            results.append(outcome_data(spec.name, result))
            good = good and result.good
            show(spec.name, result, as_json=verb.as_json)
            if not good:
                break
    finish(verb, results, good=good)


@click.command()
@click.argument("generation", type=click.IntRange(1), required=False)
@fleet_verb()
def rollback(verb: FleetVerb, generation: int | None) -> None:
    """Go back to GENERATION of the fleet, or to the one before the current one: all regions at once, without a canary.

    It works after a rollout has finished; one that is under way is ended with `invar abort`.

    \b
    invar rollback
    invar rollback 4 --fleet production-web
    """
    from invar.fleet.begin import begin_rollback

    results: list[dict[str, Any]] = []
    good = True
    with verb.fleets() as found:
        if generation is not None and len(found.specs) > 1:
            raise InvarError("a generation is one fleet's", hint="--fleet NAME", exit_code=ExitCode.USAGE)
        for spec in found.specs:
            ledger = found.ledger(spec)
            entry = begin_rollback(found.cloud, spec, ledger, found.who, time.time(), generation)
            found.report.note(f"{spec.name} goes back to generation {entry.repeats}")
            result = driven(found, spec.name, spec.group, ledger, entry.number)
            results.append(outcome_data(spec.name, result))
            good = good and result.good
            show(spec.name, result, as_json=verb.as_json)
    finish(verb, results, good=good)


@click.command()
@fleet_verb()
def pause(verb: FleetVerb) -> None:
    """Stop rollouts where they are: what was replaced stays, nothing more is. `invar resume` goes on.

    \b
    invar pause --fleet production-web
    """
    from invar.fleet.rollout import pause as stop

    results: list[dict[str, Any]] = []
    with verb.fleets() as found:
        for spec in found.specs:
            ledger = found.ledger(spec)
            standing = open_generation(ledger, spec.name)
            if standing.failed is not None or standing.entry.kind == "rollback":
                raise InvarError(f"{spec.name} is going back, which is not paused", exit_code=ExitCode.USAGE)
            stop(found.cloud, spec.group, ledger, standing, found.who, time.time())
            results.append(standing_data(spec.name, ledger.standing(standing.entry.number)))
    tell(results, as_json=verb.as_json)


@click.command()
@fleet_verb()
def resume(verb: FleetVerb) -> None:
    """Take over what is under way, paused or left alone, and drive it to rest; from any clone of the repository.

    \b
    invar resume
    """
    _drive_open(verb, abort_it=False)


@click.command()
@fleet_verb(terraform=True)
def abort(verb: FleetVerb) -> None:
    """End a rollout that is under way or paused: go back to the generation before, and wait until it runs everywhere.

    A rollout of Terraform's is ended likewise: an apply that drives it fails then, and its next plan moves on again.

    \b
    invar abort --fleet production-web
    invar abort --terraform web:eu-west-1
    """
    _drive_open(verb, abort_it=True)


@dataclass(frozen=True, slots=True)
class _Open:
    """Something that is under way: a fleet's (`spec`), or a group's that Terraform moves."""

    name: str
    group: str
    ledger: Ledger
    spec: FleetSpec | None = None


def _open_ones(found: Fleets) -> list[_Open]:
    return [
        *(_Open(spec.name, spec.group, found.ledger(spec), spec) for spec in found.specs),
        *(_Open(one.name, one.group, one.ledger(found.cloud)) for one in found.moved),
    ]


def _drive_open(verb: FleetVerb, *, abort_it: bool) -> None:
    from invar.fleet.apply import create_missing
    from invar.fleet.begin import find_fleet_groups
    from invar.fleet.rollout import abort as abandon
    from invar.fleet.rollout import go_on

    results: list[dict[str, Any]] = []
    good = True
    with verb.fleets() as found:
        for one in _open_ones(found):
            standing = open_generation(one.ledger, one.name)
            number = standing.entry.number
            if abort_it:
                abandon(one.ledger, standing, found.who, time.time())
            if standing.entry.kind == "create" and one.spec is not None:
                groups = find_fleet_groups(found.cloud, one.spec)
                create_missing(found.cloud, one.spec, groups, standing.entry.deployments)
            if standing.paused:
                go_on(found.cloud, one.group, one.ledger, standing, found.who, time.time())
            result = driven(found, one.name, one.group, one.ledger, number, tag=one.spec is not None)
            results.append(outcome_data(one.name, result))
            restored = result.standing.outcome is not None and result.standing.outcome.state == "restored"
            good = good and (restored if abort_it else result.good)
            show(one.name, result, as_json=verb.as_json)
    finish(verb, results, good=good)


def driven(found: Fleets, name: str, group: str, ledger: Ledger, number: int, *, tag: bool = True) -> Result:
    """Drive a generation to rest on the screen."""
    from invar.fleet.rollout import drive

    with found.report.stage(f"{name} generation {number}"):
        return drive(found.cloud, group, ledger, number, found.who, found.report, tag=tag)


def open_generation(ledger: Ledger, name: str) -> Standing:
    """The generation that is under way. Raises InvarError when nothing is."""
    newest = ledger.history().newest
    if newest is None or not newest.open:
        raise InvarError(f"nothing is under way in {name}", hint="invar status shows it", exit_code=ExitCode.USAGE)
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


def finish(verb: FleetVerb, results: list[dict[str, Any]], *, good: bool) -> None:
    """The generations as JSON, if that was asked for; exit code 1 unless all went as asked."""
    if verb.as_json:
        print_json({"generations": results})
    if not good:
        verb.context.exit(ExitCode.FAILED)
