"""`invar fleet apply`: the groups that a fleet.nix declares."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from invar.cli.context import print_json
from invar.cli.fleet_options import FleetVerb, fleet_verb
from invar.cli.rollout import driven, outcome_data
from invar.core.errors import ExitCode

if TYPE_CHECKING:
    from invar.fleet.apply import GroupChange


@click.group()
def fleet() -> None:
    """Fleets: groups of exact replicas, declared in a fleet.nix."""


@fleet.command()
@fleet_verb()
@click.option("--dry-run", is_flag=True, help="Only tell what would be done. Exit code 3 if it is anything.")
@click.option("--adopt", is_flag=True, help="Take over groups of the fleet's name that something else made.")
def apply(verb: FleetVerb, dry_run: bool, adopt: bool) -> None:
    """Make the fleet's launch templates and groups, and wait until every new instance has proven what it runs.

    Of groups that are there, sizes, subnets, target groups and health checks are made as declared at once; what
    concerns instances themselves (types, security groups, profile, parameters, the image) comes with `invar rollout`.

    \b
    invar fleet apply --dry-run
    invar fleet apply -f examples/fleet --local
    """
    from invar.fleet.apply import create_missing, group_changes, update_groups
    from invar.fleet.begin import begin_creation, find_fleet_groups

    changes: dict[str, list[GroupChange]] = {}
    results: list[dict[str, Any]] = []
    good = True
    with verb.fleets() as found:
        for spec in found.specs:
            ledger = found.ledger(spec)
            groups = find_fleet_groups(found.cloud, spec)
            changes[spec.name] = group_changes(spec, groups, adopt=adopt)
            if dry_run:
                continue
            update_groups(found.cloud, spec, groups, changes[spec.name])
            if all(one.action == "update" for one in changes[spec.name]):
                continue
            entry = begin_creation(found.cloud, spec, ledger, found.who, time.time(), groups)
            create_missing(found.cloud, spec, groups, entry.deployments)
            result = driven(found, spec.name, spec.group, ledger, entry.number)
            results.append(outcome_data(spec.name, result))
            good = good and result.good
    if verb.as_json:
        print_json({"applied": not dry_run, "changes": changes_data(changes), "generations": results})
    else:
        for name, listed in changes.items():
            print_changes(name, listed, dry_run=dry_run)
    if dry_run and any(changes.values()):
        verb.context.exit(ExitCode.DIFFERS)
    if not good:
        verb.context.exit(ExitCode.FAILED)


def changes_data(changes: dict[str, list[GroupChange]]) -> list[dict[str, Any]]:
    """What `--json` tells of groups' changes."""
    return [
        {
            "fleet": name,
            "region": one.region,
            "action": one.action,
            "settings": {key: {"now": now, "declared": declared} for key, (now, declared) in one.settings.items()},
        }
        for name, listed in changes.items()
        for one in listed
    ]


def print_changes(name: str, changes: list[GroupChange], *, dry_run: bool) -> None:
    """A line for each region, and each setting."""
    if not changes:
        click.echo(f"{name}: as declared")
    for one in changes:
        click.echo(f"{name} {one.region}: {'would ' if dry_run else ''}{one.action}")
        for key, (now, declared) in one.settings.items():
            click.echo(f"    {key}: {now} → {declared}")
