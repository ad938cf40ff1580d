"""`invar diff` and `invar sbom`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from invar.cli.account import account, account_options, regions_option
from invar.cli.context import json_option, print_json, session_of, told
from invar.cli.nix import engine_options
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.engines.choice import EngineName
    from invar.fleet.subjects import Subject


@click.command()
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.option("--full", is_flag=True, help="Show every package and every line.")
@click.option("--exit-code", is_flag=True, help="End with exit code 3 if they differ.")
@regions_option("Where AMIs are looked for. [AWS_REGION]")
@engine_options
@account_options
@json_option
@click.pass_context
@told
def diff(
    context: click.Context,
    old: str,
    new: str,
    full: bool,
    exit_code: bool,
    regions: tuple[str, ...],
    engine_name: EngineName | None,
    attribute: str | None,
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Show what differs between two systems: options, packages, units, files, accounts, checks and disk.

    A and B are, each: a directory or .nix file; the same at a Git commit (DIR@COMMIT); a built image or the directory
    that it lies in; the first digits of a system or spec digest of an image in the store; the id of an AMI that Invar
    published. Values that look secret are never shown. What Nix is to build is built, and compared by its closure and
    its disk.

    \b
    invar diff .@HEAD .                     what the working tree changes
    invar diff .@v1.2 .@v1.3 --full         everything between two tags
    invar diff 4e366b09 web.raw --json      two images
    invar diff ami-0a1b2c3d4e5f60718 . -r eu-west-1
    invar diff .@HEAD#web .#web --engine nix
    """
    from invar.cli.compare_text import comparison_lines
    from invar.fleet.comparison import compare
    from invar.fleet.subjects import find_subject

    session = session_of(context)

    with session.reporting() as report:
        engines = session.engines(report, engine_name, attribute)
        store = engines.native.store

        def published(identity: str) -> Subject:
            from invar.fleet.published import published_subject

            cloud = account(session, profile, endpoint_url, local)
            places = regions or ((cloud.region,) if cloud.region else ())
            if not places:
                raise InvarError("no region to look in", hint="--region, or AWS_REGION", exit_code=ExitCode.USAGE)
            return published_subject(cloud, places, identity, store, report)

        subjects = [find_subject(name, engines, published) for name in (old, new)]
        comparison = compare(subjects[0], subjects[1], store, report)
    if as_json:
        print_json(comparison.to_data())
    else:
        for line in comparison_lines(comparison, full=full):
            click.echo(line)
    if exit_code and comparison.differs:
        context.exit(ExitCode.DIFFERS)


@click.command()
@click.argument("place", metavar="[DIR|FILE|IMAGE]", default=".")
@click.option(
    "--format",
    "form",
    type=click.Choice(["spdx", "cyclonedx"]),
    default="spdx",
    show_default=True,
    help="SPDX 2.3 or CycloneDX 1.6, both as JSON.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there instead of printing it.")
@engine_options
@click.pass_context
@told
def sbom(
    context: click.Context,
    place: str,
    form: str,
    out: Path | None,
    engine_name: EngineName | None,
    attribute: str | None,
) -> None:
    """Print the bill of materials of an image: every package, its source, its .deb's SHA-256, its licences.

    A configuration is built first, if it is not built yet. The document is the same on every machine: it lies beside
    each image as sbom.spdx.json and sbom.cdx.json. Of what Nix built it lists the closure's store paths (pkg:nix/...).

    \b
    invar sbom . > sbom.spdx.json
    invar sbom . --format cyclonedx | grype
    invar sbom web.raw --out web.spdx.json
    """
    from invar.fleet.bill import bill_of_materials

    session = session_of(context)
    with session.reporting() as report:
        document = bill_of_materials(place, form, session.engines(report, engine_name, attribute))
    if out is None:
        click.echo(document, nl=False)
        return
    try:
        out.write_bytes(document)
    except OSError as error:
        raise InvarError(f"cannot write {out}", why=error.strerror) from error
    click.echo(out, err=True)
