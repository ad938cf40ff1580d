"""`invar plan`: what publishing a configuration would change, without changing it."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from invar.cli.account import account, account_options, regions_option
from invar.cli.build import project_argument
from invar.cli.context import Session, json_option, print_json, session_of, told
from invar.cli.nix import engine_options
from invar.core.errors import ExitCode

if TYPE_CHECKING:
    from invar.aws.client import Cloud
    from invar.engines.choice import EngineName


@click.command()
@project_argument
@regions_option("A region to plan for; several times, or with commas. The first takes the upload. [AWS_REGION]")
@click.option("--no-build", is_flag=True, help="Do not build the image: no sizes, but an answer at once.")
@click.option("--offline", is_flag=True, help="Ask no cloud: compare with the last build on this machine.")
@click.option("--full", is_flag=True, help="Show every package and every line.")
@engine_options
@account_options
@json_option
@click.pass_context
@told
def plan(
    context: click.Context,
    place: Path,
    regions: tuple[str, ...],
    no_build: bool,
    offline: bool,
    full: bool,
    engine_name: EngineName | None,
    attribute: str | None,
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Show what publishing a configuration would change. Exit code 3 if it would change anything, 0 if nothing.

    Options, packages (security updates are marked), units, files and the disk are compared with the newest published
    generation; then follows what would be made in each region, and which fleets of the fleet.nix beside it a rollout
    would then change. Where no region is named, the comparison is with the last build on this machine. The image is
    built into the store; nothing else is written, here or in AWS.

    \b
    invar plan                               against the last build, or the generation in AWS_REGION
    invar plan . -r eu-west-1,us-east-1      against the newest generation there
    invar plan . --local --json              against the local cloud
    invar plan .#amazonImage --engine nix    packages of the closure, the NixOS system, blocks
    """
    from invar.cli.plan_text import plan_lines
    from invar.fleet.plan_fleets import plan_fleets
    from invar.fleet.planning import plan_project

    session = session_of(context)
    cloud = None if offline else _cloud(session, regions, profile, endpoint_url, local)
    with session.reporting() as report:
        if cloud is None and not offline:
            report.note("no region is named: compared with the last build on this machine")
        if cloud is not None and cloud.region and not regions:
            regions = (cloud.region,)
        engines = session.engines(report, engine_name, attribute)
        found = plan_project(str(place), engines, report, cloud=cloud, regions=regions, build=not no_build)
        if cloud is not None:
            native = engines.native
            fleets = plan_fleets(
                cloud,
                Path(str(place).partition("#")[0]),
                found.new.configuration,
                found.new.system_digest,
                lambda path: native.evaluate(native.project(path)).system.name,
                report,
                cache_dir=session.home.code,
            )
            found = replace(found, fleets=fleets)
    if as_json:
        print_json(found.to_data())
    else:
        for line in plan_lines(found, full=full):
            click.echo(line)
    if found.changes:
        context.exit(ExitCode.DIFFERS)


def _cloud(
    session: Session, regions: tuple[str, ...], profile: str | None, endpoint_url: str | None, local: bool
) -> Cloud | None:
    """The account to ask; None when nothing says that there is one."""
    named = regions or local or profile or endpoint_url
    if not named and (find_spec("boto3") is None or not (os.environ.keys() & _REGION_VARIABLES)):
        return None
    cloud = account(session, profile, endpoint_url, local)
    if not regions and not cloud.region:
        return None
    cloud.require_credentials()
    return cloud


_REGION_VARIABLES = {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"}
