"""`invar lock`, `invar build` and `invar formats`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.cli.context import json_option, print_json, session_of, told
from invar.cli.nix import engine_options, nix_result, print_nix
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.engines.choice import EngineName


def project_argument(function: Any) -> Any:
    """The DIR|FILE argument of verbs about a configuration."""
    return click.argument("place", metavar="[DIR|FILE]", default=".", type=click.Path(path_type=Path))(function)


@click.command()
@project_argument
@click.option("--update", is_flag=True, help="Move every package to the archive's newest, and print what that changes.")
@click.option("--dry-run", is_flag=True, help="Print what would change; write nothing. Exit code 3 if anything would.")
@json_option
@click.pass_context
@told
def lock(context: click.Context, place: Path, update: bool, dry_run: bool, as_json: bool) -> None:
    """Pin the exact packages of a configuration in invar.lock.

    Without --update, what is locked stays as it is and only new requests are added.

    \b
    invar lock                      after adding a package to the configuration
    invar lock --update             take security updates
    invar lock --update --dry-run   see them first
    """
    session = session_of(context)
    with session.reporting() as report:
        engine = session.engine(report)
        project = engine.project(place)
        locked = engine.lock(project, update=update, dry_run=dry_run)
    if as_json:
        print_json(
            {
                "lock": str(project.lock),
                "digest": locked.lock.digest,
                "date": locked.lock.date,
                "packages": len(locked.lock.image),
                "tools": len(locked.lock.tools),
                "differs": locked.differs,
                "written": locked.differs and not dry_run,
                "changes": [
                    {
                        "name": change.name,
                        "kind": change.kind,
                        "old": change.old,
                        "new": change.new,
                        "security": change.security,
                    }
                    for change in locked.changes
                ],
            }
        )
    else:
        for change in locked.changes:
            click.echo(str(change))
        outcome = "unchanged" if not locked.differs else "not written (dry run)" if dry_run else "written"
        click.echo(
            f"{project.lock}: {outcome}; {len(locked.lock.image)} packages and {len(locked.lock.tools)} of tools, "
            f"archive of {locked.lock.date}",
            err=True,
        )
    if dry_run and locked.differs:
        context.exit(ExitCode.DIFFERS)


@click.command()
@project_argument
@click.option(
    "--format",
    "formats",
    multiple=True,
    show_default="what a flake's output is; of an EC2 image amazonImage.format",
    metavar="NAME[,NAME...]",
    help="See `invar formats`. Several, of one and the same system: repeat it, or separate them by commas.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Put the image (and image-info.json) there, sparse: a file's name, or a directory. Several formats get a "
    "directory each in it.",
)
@click.option(
    "--export-cache",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="CACHE",
    help="Put the system into this directory too, for instances to fetch (see `invar cache`).",
)
@engine_options
@json_option
@click.pass_context
@told
def build(
    context: click.Context,
    place: Path,
    formats: tuple[str, ...],
    out: Path | None,
    export_cache: Path | None,
    engine_name: EngineName | None,
    attribute: str | None,
    as_json: bool,
) -> None:
    """Build the image of a configuration.

    The same configuration and lock give the same bytes anywhere. What has been built before is not built again.

    \b
    invar build examples/production-web
    invar build . --format qcow2 --out web.qcow2
    invar build . --format vmdk,azure,gce --out images/
    invar build . --json | jq -r .system_digest
    invar build .#amazonImage --engine nix
    invar build image.nix --engine nix --attr amazonImage
    """
    from invar.cli.summary import build_result, print_build
    from invar.image.formats.place import copy_artifacts, copy_disk

    session = session_of(context)
    with session.reporting() as report:
        engines = session.engines(report, engine_name, attribute)
        if engines.of(str(place)) == "nix":
            if export_cache is not None:
                raise InvarError("--export-cache is of the native engine", exit_code=ExitCode.USAGE)
            if formats and set(formats) != {"amazon"}:
                raise InvarError(
                    "--format is of the native engine",
                    hint="with Nix, name the image: .#nixosConfigurations.NAME.config.system.build.images.FORMAT",
                    exit_code=ExitCode.USAGE,
                )
            image = engines.nix_image(str(place))
            path = copy_disk(image.raw, image.documents(), out) if out else image.raw
            said = nix_result(image, path, report)
            print_json(said) if as_json else print_nix(said)
            return
        engine = engines.native
        project = engine.project(place)
        wanted = [name for listed in formats for name in listed.split(",")]
        built = engine.build(project, *wanted)
        if export_cache is not None:
            engine.put_in_cache(project, built, export_cache)
        paths = copy_artifacts(built.artifacts, out) if out else [artifact.file for artifact in built.artifacts]
    result = build_result(built, paths, report)
    if as_json:
        print_json(result)
    else:
        print_build(result)


@click.command()
@json_option
@told
def formats(as_json: bool) -> None:
    """List the image formats, and what else each is called.

    \b
    invar formats
    invar formats --json | jq -r 'to_entries[] | select(.value.aliases | index("hyperv")) | .key'
    """
    from invar.cli.summary import formats_data, formats_lines
    from invar.image.formats import FORMATS

    if as_json:
        print_json(formats_data(FORMATS.values()))
        return
    for line in formats_lines(FORMATS.values()):
        click.echo(line)
