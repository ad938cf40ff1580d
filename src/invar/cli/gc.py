"""`invar gc`: delete published images that nobody needs."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.cli.account import account, account_options, regions_option
from invar.cli.build import project_argument
from invar.cli.context import Session, json_option, print_json, session_of, told
from invar.cli.images import age
from invar.cli.publish import Duration
from invar.core.errors import ExitCode

if TYPE_CHECKING:
    from invar.core.events import Report
    from invar.fleet.gc import Deleted
    from invar.fleet.gc_choice import Choice


@click.command()
@project_argument
@click.option(
    "--configuration",
    "configurations",
    multiple=True,
    metavar="NAME",
    help="Whose images. [the configuration's at DIR]",
)
@regions_option("A region to look into; several times, or with commas. [every region of the account]")
@click.option(
    "--keep", multiple=True, metavar="NAME", help="Keep this: AMI id or name, digest, CONFIGURATION@GENERATION."
)
@click.option("--keep-generations", type=click.IntRange(1), default=3, show_default=True, help="So many newest stay.")
@click.option("--older-than", type=Duration(), metavar="30d", help="Delete only what is older.")
@click.option(
    "--references",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Another directory whose .tf, .tfvars and pins files name what stays. DIR's own always do.",
)
@click.option("--shared", is_flag=True, help="Also delete what other accounts may launch: nobody sees whether they do.")
@click.option(
    "--orphans-after",
    type=Duration(),
    default="1d",
    show_default=True,
    help="Snapshots of killed uploads go after this.",
)
@click.option("--apply", is_flag=True, help="Really delete. Without it nothing is changed.")
@account_options
@json_option
@click.pass_context
@told
def gc(
    context: click.Context,
    place: Path,
    configurations: tuple[str, ...],
    regions: tuple[str, ...],
    keep: tuple[str, ...],
    keep_generations: int,
    older_than: timedelta | None,
    references: tuple[Path, ...],
    shared: bool,
    orphans_after: timedelta,
    apply: bool,
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Delete published images that nobody needs, with their snapshots. A dry run unless --apply.

    Never deleted: what an instance (stopped ones too), any version of a launch template, an Auto Scaling group, a
    launch configuration or an SSM parameter uses in any region, what a .tf, .tfvars or pins file of DIR names, what is
    shared with others, and the newest generations. If any of that cannot be found out, nothing is deleted.

    \b
    invar gc                                          what would go, and why the rest stays
    invar gc --keep-generations 5 --older-than 30d --apply
    invar gc . --references ../infrastructure --keep production-web@12 --apply
    """
    from invar.aws.regions import enabled_regions
    from invar.fleet.gc import survey, sweep
    from invar.fleet.gc_choice import Rules
    from invar.fleet.pins import pinned_in

    session = session_of(context)
    cloud = account(session, profile, endpoint_url, local)
    cloud.require_credentials()
    with session.reporting() as report:
        names = configurations or (configuration_name(session, report, place),)
        pins: dict[str, str] = {}
        for directory in (place if place.is_dir() else place.parent, *references):
            pins = {**pinned_in(directory), **pins}
        rules = Rules(
            generations=keep_generations,
            names=frozenset(keep),
            pinned=pins,
            shared=shared,
            younger=older_than.total_seconds() if older_than else 0.0,
            orphans_younger=orphans_after.total_seconds(),
        )
        choice = survey(cloud, regions or enabled_regions(cloud), names, rules, time.time(), report)
        deleted = sweep(cloud, choice, report) if apply else None
    if as_json:
        print_json(choice_data(choice, deleted))
    else:
        print_choice(choice, deleted)
    for error in deleted.failed.values() if deleted else ():
        click.echo(str(error), err=True)
    if deleted and deleted.failed:
        context.exit(ExitCode.FAILED)


def configuration_name(session: Session, report: Report, place: Path) -> str:
    """The name of the configuration at a place. Raises InvarError with the other way to name one."""
    from invar.core.errors import InvarError

    engine = session.engine(report)
    try:
        project = engine.project(place)
    except InvarError as error:
        error.hint = f"{error.hint or 'name a directory that has one'}; or --configuration NAME"
        raise
    return engine.evaluate(project).system.name


def choice_data(choice: Choice, deleted: Deleted | None) -> dict[str, Any]:
    """What `invar gc --json` prints."""
    return {
        "applied": deleted is not None,
        "doomed": [
            {
                "configuration": one.configuration,
                "generation": one.number,
                "system_digest": one.system_digest,
                "images": {region: image.id for region, image in one.images.items()},
            }
            for one in choice.doomed
        ],
        "kept": [
            {
                "configuration": one.generation.configuration,
                "generation": one.generation.number,
                "system_digest": one.generation.system_digest,
                "reasons": list(one.reasons),
            }
            for one in choice.kept
        ],
        "orphans": [{"region": o.region, "snapshot": o.snapshot.id, "why": o.why} for o in choice.orphans],
        "deleted": None
        if deleted is None
        else {
            "images": deleted.images,
            "snapshots": deleted.snapshots,
            "spared": deleted.spared,
            "failed": {region: error.what for region, error in deleted.failed.items()},
        },
    }


def print_choice(choice: Choice, deleted: Deleted | None) -> None:
    """A line for each generation and orphan: what becomes of it, and why."""
    verb = "delete" if deleted is not None else "would delete"
    for kept in choice.kept:
        one = kept.generation
        click.echo(
            f"keep          {_title(one.configuration, one.number, one.system_digest)}  {'; '.join(kept.reasons)}"
        )
    for one in choice.doomed:
        where = ", ".join(one.images)
        click.echo(
            f"{verb:12}  {_title(one.configuration, one.number, one.system_digest)}  {age(one.created)} old, {where}"
        )
    for orphan in choice.orphans:
        click.echo(f"{verb:12}  {orphan.snapshot.id}  {orphan.why}, {orphan.region}")
    if deleted is None:
        images = sum(len(one.images) for one in choice.doomed)
        click.echo(f"AMIs: {images}, orphaned snapshots: {len(choice.orphans)}; --apply deletes them", err=True)
        return
    images, snapshots = (sum(map(len, gone.values())) for gone in (deleted.images, deleted.snapshots))
    click.echo(f"deleted AMIs: {images}, snapshots: {snapshots}", err=True)
    for region, spared in deleted.spared.items():
        click.echo(f"spared in {region}, in use since: {', '.join(spared)}", err=True)


def _title(configuration: str, number: int, digest: str) -> str:
    return f"{configuration}@{number}  {digest[:12]}"
