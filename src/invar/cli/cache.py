"""`invar cache`: systems put where running instances fetch them from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.cli.build import project_argument
from invar.cli.context import json_option, print_json, session_of, told
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.image.cache_export import Exported


@click.group()
def cache() -> None:
    """A build cache: a directory that any web server or bucket serves, for instances to switch to what is in it.

    \b
    invar cache export /srv/cache .
    aws s3 sync /srv/cache s3://example-invar-cache/web
    """


@cache.command()
@click.argument("directory", metavar="CACHE", type=click.Path(file_okay=False, path_type=Path))
@project_argument
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Sign which system the configuration was built to, with this secret Ed25519 key (`invar key generate`).",
)
@json_option
@click.pass_context
@told
def export(context: click.Context, directory: Path, place: Path, key: Path | None, as_json: bool) -> None:
    """Build a configuration and put its system into the directory CACHE: layers, kernel, initrd, and a manifest.

    What is there already is left alone, so that a change of the configuration adds a config layer only. An instance
    takes it by its digest, from user data (`invar user-data make --generation`) or by `invar switch --generation`; or
    by configuration, where that is signed as its user data must be.

    \b
    invar cache export /srv/cache examples/production-web
    invar cache export /srv/cache . --key fleet.key
    python3 -m http.server --directory /srv/cache
    """
    from invar.fleet.keys import PASSPHRASE
    from invar.fleet.user_data import sign

    session = session_of(context)
    with session.reporting() as report:
        engines = session.engines(report)
        if engines.of(str(place)) == "nix":
            raise InvarError(
                "a build cache takes what the native engine builds",
                hint="what Nix builds goes to instances as an image",
                exit_code=ExitCode.USAGE,
            )
        engine = engines.native
        project = engine.project(place)
        signer = None if key is None else lambda text: sign(text, key, os.environ.get(PASSPHRASE))
        if signer is not None:
            signer(b"\n")  # a key that cannot sign is told before anything is built
        exported = engine.put_in_cache(project, engine.build(project, "amazon"), directory, signer)
    if as_json:
        print_json(exported_data(exported, directory))
        return
    for name in exported.written:
        click.echo(name)
    click.echo(f"system {exported.digest}")
    click.echo(f"{directory}: {len(exported.written)} files written, {exported.bytes / 1e6:.1f} MB", err=True)


def exported_data(exported: Exported, directory: Path) -> dict[str, Any]:
    """What `--json` prints of an export; sizes in bytes."""
    return {
        "cache": str(directory),
        "system_digest": exported.digest,
        "files": list(exported.names),
        "written": list(exported.written),
        "bytes": exported.bytes,
    }
