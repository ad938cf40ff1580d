"""`invar user-data`: make, sign and check what an instance is started with."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import click

from invar.cli.context import json_option, print_json, session_of, told
from invar.core.errors import ExitCode, InvarError

_compress = click.option(
    "--compress", type=click.Choice(["none", "gzip", "xz"]), default="none", show_default=True, help="Pack the result."
)
_out = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write there, not to the terminal.")


@click.group("user-data")
def user_data() -> None:
    """EC2 user data: a configuration, parameters, a published generation or a script; see docs/instance.md.

    \b
    invar key generate fleet.key                               a key to sign with
    invar user-data make --parameter role=web | invar user-data sign - --key fleet.key > web.user-data
    invar user-data check web.user-data --image .              would an instance take it?
    """


@user_data.command()
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A value: JSON, else text.")
@click.option("--json-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="An object of them.")
@click.option("--generation", metavar="DIGEST", help="Point to a published generation instead.")
@click.option("--cache", metavar="URL", help="Where it lies, if not in the cache that the image declares.")
@_compress
@_out
@told
def make(
    parameters: tuple[str, ...],
    json_file: Path | None,
    generation: str | None,
    cache: str | None,
    compress: str,
    out: Path | None,
) -> None:
    """Make the JSON of parameters, or of a pointer to a generation.

    \b
    invar user-data make --parameter role=web --parameter workers=4
    invar user-data make --generation 9f86d0... --cache https://cache.example.org/web
    """
    from invar.machine.user_data import classify
    from invar.system.user_data import generation_document, parameters_document, read_parameters

    values = read_parameters(parameters, json_file)
    if (generation is None) == (not values):
        raise InvarError("give either parameters or --generation", exit_code=ExitCode.USAGE)
    document = generation_document(generation, cache) if generation else parameters_document(values)
    classify(document)
    _give(document, compress, out)


@user_data.command()
@click.argument("file", type=click.File("rb"))
@click.option("--key", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The secret key, PEM.")
@_compress
@_out
@told
def sign(file: BinaryIO, key: Path, compress: str, out: Path | None) -> None:
    """Sign user data (`-` is standard input) with an Ed25519 key.

    The signature is a last line that is a comment to Nix and to shells. Images that declare
    `invar.userData.trustedKeys` take nothing else.

    \b
    invar user-data sign web.nix --key fleet.key --compress gzip --out web.user-data
    """
    from invar.fleet.keys import PASSPHRASE
    from invar.fleet.user_data import sign as sign_user_data

    _give(sign_user_data(file.read(), key, os.environ.get(PASSPHRASE)), compress, out)


@user_data.command()
@click.argument("file", type=click.File("rb"))
@click.option("--image", type=click.Path(path_type=Path), help="The configuration of the image: evaluate beside it.")
@click.option("--trust", "trusted", multiple=True, metavar="KEY", help="Demand a signature by this key (ed25519:...).")
@json_option
@click.pass_context
@told
def check(context: click.Context, file: BinaryIO, image: Path | None, trusted: tuple[str, ...], as_json: bool) -> None:
    """Check user data as EC2 and an instance would: size, form, signature, and with --image its evaluation.

    \b
    invar user-data check web.nix --image .
    invar user-data check web.user-data --trust "$(cat fleet.key.pub)"
    """
    from invar.fleet.user_data import check as check_user_data
    from invar.system.record import plain
    from invar.system.user_data import LIMIT, PublicKey

    session = session_of(context)
    with session.reporting() as report:
        keys = [PublicKey.parse(key) for key in trusted]
        checked = check_user_data(file.read(), image, session.engine(report), where=file.name, trusted=keys)
    if as_json:
        print_json(plain(checked))
        return
    click.echo(f"form        {checked.kind}")
    click.echo(f"bytes       {checked.bytes} of {LIMIT}, {checked.unpacked_bytes} unpacked")
    verdict = "" if trusted or not checked.signed_by else " (not verified: --trust)"
    click.echo(f"signed by   {checked.signed_by or 'nobody'}{verdict}")
    click.echo(f"system      {checked.spec_digest or 'not evaluated'}")


def _give(data: bytes, compression: str, out: Path | None) -> None:
    from invar.fleet.user_data import packed
    from invar.system.user_data import check_size

    result = packed(data, compression)
    check_size(result, where=str(out) if out else None)
    if out is None:
        sys.stdout.buffer.write(result)
        sys.stdout.buffer.flush()
        return
    try:
        out.write_bytes(result)
    except OSError as error:
        raise InvarError(f"{out} can't be written", why=error.strerror) from error
