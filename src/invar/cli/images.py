"""`invar images`: what is published."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from invar.cli.account import account, account_options, regions_option
from invar.cli.context import json_option, print_json, session_of, told
from invar.core.errors import ExitCode

if TYPE_CHECKING:
    from invar.fleet.inventory import Generation, Inventory

DAY = 86400.0


@click.command()
@click.argument("configurations", metavar="[CONFIGURATION]...", nargs=-1)
@regions_option("A region to look into; several times, or with commas. [every region of the account]")
@account_options
@json_option
@click.pass_context
@told
def images(
    context: click.Context,
    configurations: tuple[str, ...],
    regions: tuple[str, ...],
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """List what is published: generations, where they are, how old, and who uses them.

    \b
    invar images                          everything, in every region of the account
    invar images production-web --region eu-west-1 --json
    """
    from invar.aws.regions import enabled_regions
    from invar.fleet.inventory import take_inventory

    session = session_of(context)
    cloud = account(session, profile, endpoint_url, local)
    cloud.require_credentials()
    with session.reporting() as report, report.stage("list images"):
        inventory = take_inventory(cloud, regions or enabled_regions(cloud), configurations)
    if as_json:
        print_json(inventory_data(inventory))
    else:
        print_inventory(inventory)
    for error in inventory.failed.values():
        click.echo(str(error), err=True)
    if inventory.failed:
        context.exit(ExitCode.FAILED)


def inventory_data(inventory: Inventory) -> dict[str, Any]:
    """What `invar images --json` prints."""
    return {
        "generations": [
            {
                "configuration": one.configuration,
                "generation": one.number,
                "system_digest": one.system_digest,
                "created": round(one.created),
                "images": {
                    region: {
                        "id": image.id,
                        "state": image.state,
                        "snapshots": list(image.snapshots),
                        "deprecation": image.deprecation,
                        "tags": image.tags,
                        "uses": [{"kind": use.kind, "name": use.name} for use in one.uses.get(region, ())],
                    }
                    for region, image in one.images.items()
                },
            }
            for one in inventory.generations
        ],
        "failed": {region: error.what for region, error in inventory.failed.items()},
    }


def print_inventory(inventory: Inventory) -> None:
    """A table on standard output."""
    if not inventory.generations:
        click.echo("nothing is published here; see `invar publish --help`", err=True)
        return
    rows = [("CONFIGURATION", "GENERATION", "DIGEST", "AGE", "REGIONS", "IN USE BY")]
    rows += [
        (one.configuration, str(one.number), one.system_digest[:12], age(one.created), places(one), users(one))
        for one in inventory.generations
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def age(created: float) -> str:
    """ "5 min", "3 h", "12 d"."""
    seconds = max(0.0, time.time() - created)
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 2 * DAY else f"{seconds / DAY:.0f} d"


def places(generation: Generation) -> str:
    """The regions; with its state, where an image is not available."""
    told_of = [
        region if image.state == "available" else f"{region} ({image.state})"
        for region, image in generation.images.items()
    ]
    return ", ".join(told_of) if len(told_of) <= 3 else f"{', '.join(told_of[:2])} and {len(told_of) - 2} more"


def users(generation: Generation) -> str:
    """How many of each kind use it, over all regions."""
    counts = Counter(use.kind for uses in generation.uses.values() for use in uses)
    return ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(counts.items())) or "-"
