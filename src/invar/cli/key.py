"""`invar key`: keys that sign what an image says of itself."""

from __future__ import annotations

import os
from pathlib import Path

import click

from invar.cli.context import json_option, print_json, told
from invar.core.errors import InvarError


@click.group()
def key() -> None:
    """Make and show keys that sign provenance.

    \b
    invar key generate release.key           release.key (secret) and release.key.pub
    invar key public release.key             print the public key again
    """


@key.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--type",
    "kind",
    type=click.Choice(["ed25519", "p256"]),
    default="ed25519",
    show_default=True,
    help="Instances check signatures of ed25519 only.",
)
@json_option
@told
def generate(file: Path, kind: str, as_json: bool) -> None:
    """Make a key pair: FILE, which only you can read, and FILE.pub. Nothing is overwritten.

    \b
    invar key generate release.key
    invar key generate release.key --type p256
    """
    from invar.fleet.keys import generate_key

    made = generate_key(file, "p256" if kind == "p256" else "ed25519")
    public = file.with_name(f"{file.name}.pub")
    if as_json:
        print_json({"private": str(file), "public": str(public), "type": made.kind, "id": made.id})
        return
    click.echo(f"{file}: secret, keep it out of repositories and images", err=True)
    click.echo(public)


@key.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@json_option
@told
def public(file: Path, as_json: bool) -> None:
    """Print the public key of a private key, or of a file of public keys, in the form that instances read."""
    from invar.fleet.keys import PASSPHRASE, read_private_key, read_public_keys

    try:
        keys = read_public_keys(file)
    except InvarError:
        keys = (read_private_key(file, os.environ.get(PASSPHRASE)).public,)
    if as_json:
        print_json([{"type": one.kind, "id": one.id, "public": one.text()} for one in keys])
        return
    for one in keys:
        click.echo(one.text(), nl=False)
