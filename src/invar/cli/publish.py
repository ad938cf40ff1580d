"""`invar publish`: a configuration's image becomes an AMI in every region."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.cli.account import account, account_options, regions_option
from invar.cli.build import project_argument
from invar.cli.context import json_option, print_json, session_of, told
from invar.cli.nix import engine_options
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.engines.choice import EngineName
    from invar.fleet.publish import Published

ACCOUNT = re.compile(r"\d{12}")
ORGANIZATION = re.compile(r"arn:aws[a-z-]*:organizations::\d{12}:(organization|ou)/.+")
UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "y": 365.0}


class Duration(click.ParamType[timedelta]):
    """A number and h, d, w or y."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The time. A value that is none ends in a usage error."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,5})([hdwy])", str(value))
        if found is None or int(found[1]) == 0:
            self.fail(f"{value!r} is no duration; write 90d, 12w, 2y or 36h", param, ctx)
        return timedelta(days=int(found[1]) * UNITS[found[2]])


def matching(pattern: re.Pattern[str], wanted: str) -> Any:
    """A callback that refuses values which do not match."""

    def check(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not pattern.fullmatch(value):
                raise click.BadParameter(f"{value!r} is not {wanted}", context, parameter)
        return values

    return check


def key_map(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """REGION=ARN pairs; an ARN alone goes to its own region."""
    keys: dict[str, str] = {}
    for value in values:
        region, _, arn = value.rpartition("=")
        parts = arn.split(":")
        if len(parts) < 6 or parts[0] != "arn" or parts[2] != "kms":
            raise click.BadParameter(f"{arn!r} is not the ARN of a KMS key", context, parameter)
        region = region or parts[3]
        if parts[3] != region:
            raise click.BadParameter(f"the key {arn} is not in {region}", context, parameter)
        keys[region] = arn
    return keys


@click.command()
@project_argument
@regions_option("A region to publish to; several times, or with commas. The first takes the upload. [AWS_REGION]")
@click.option(
    "--share-with",
    "accounts",
    multiple=True,
    metavar="ACCOUNT",
    callback=matching(ACCOUNT, "an account number of 12 digits"),
    help="Another account that may launch the image.",
)
@click.option(
    "--organization",
    "organizations",
    multiple=True,
    metavar="ARN",
    callback=matching(ORGANIZATION, "the ARN of an organization or organizational unit"),
    help="An organization, or organizational unit, whose accounts may launch it.",
)
@click.option("--encrypted", is_flag=True, help="Encrypt with each account's default key.")
@click.option(
    "--kms-key",
    "kms_keys",
    multiple=True,
    metavar="REGION=ARN",
    callback=key_map,
    help="Encrypt with this key in its region.",
)
@click.option("--volume-size", type=click.IntRange(1, 65536), metavar="GIB", help="Root volume. Default: the image's.")
@click.option("--iops", type=click.IntRange(3000, 80000), help="Of the gp3 root volume. Default: 3000.")
@click.option("--throughput", type=click.IntRange(125, 2000), metavar="MIB/S", help="Of the root volume. Default: 125.")
@click.option("--deprecate-after", type=Duration(), metavar="90d", help="Deprecate the image so long after its making.")
@click.option(
    "--tfvars",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Put the AMI ids into this variable file of Terraform, e.g. images.auto.tfvars.json.",
)
@click.option(
    "--sign-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Sign the provenance with this private key (see `invar key`).",
)
@engine_options
@account_options
@json_option
@click.pass_context
@told
def publish(
    context: click.Context,
    place: Path,
    regions: tuple[str, ...],
    accounts: tuple[str, ...],
    organizations: tuple[str, ...],
    encrypted: bool,
    kms_keys: dict[str, str],
    volume_size: int | None,
    iops: int | None,
    throughput: int | None,
    deprecate_after: timedelta | None,
    tfvars: Path | None,
    sign_key: Path | None,
    engine_name: EngineName | None,
    attribute: str | None,
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Build a configuration's image and make it an AMI in every region.

    Only the blocks that differ from the newest generation are uploaded, and AWS checks each by its SHA-256. Run
    it again after a failure or a kill: what is done stays done, what is missing is finished. Exit code 1 when a region
    failed; the others are usable then.

    \b
    invar publish examples/production-web --region eu-west-1 --region us-east-1
    invar publish . -r eu-west-1 --share-with 111122223333 --deprecate-after 180d
    invar publish . -r eu-west-1,us-east-1 --tfvars infra/images.auto.tfvars.json
    invar publish . --local                   into the local cloud
    """
    import invar
    from invar.fleet.build import build_artifact
    from invar.fleet.publish import Destination
    from invar.fleet.publish import publish as publish_image
    from invar.fleet.tfvars import write_tfvars

    session = session_of(context)
    cloud = account(session, profile, endpoint_url, local)
    regions = regions or ((cloud.region,) if cloud.region else ())
    if not regions:
        raise InvarError("no region to publish to", hint="--region, or AWS_REGION", exit_code=ExitCode.USAGE)
    unused = sorted(set(kms_keys) - set(regions))
    if unused:
        raise InvarError(f"a key is given for {', '.join(unused)}, but no --region", exit_code=ExitCode.USAGE)
    destination = Destination(
        regions=regions,
        accounts=accounts,
        organizations=organizations,
        encrypted=encrypted,
        kms_keys=kms_keys,
        volume_gib=volume_size,
        iops=iops,
        throughput=throughput,
        deprecate_after=deprecate_after,
    )
    signer = None
    if sign_key is not None:
        from invar.fleet.keys import PASSPHRASE, read_private_key
        from invar.fleet.signature import sign

        key = read_private_key(sign_key, os.environ.get(PASSPHRASE))
        signer = partial(sign, key=key)
    with session.reporting() as report:
        engines = session.engines(report, engine_name, attribute)
        artifact = build_artifact(str(place), engines, report, signer, cloud.require_credentials)
        done = publish_image(cloud, artifact, destination, engines.native.store, report, version=invar.__version__)
        if tfvars is not None and not done.failed:
            write_tfvars(tfvars, done)
    if as_json:
        print_json({**published_data(done), "seconds": {k: round(v, 3) for k, v in report.seconds.items()}})
    else:
        print_published(done)
    for region, error in done.failed.items():
        click.echo(f"{region} failed; run the same command again to finish it", err=True)
        click.echo(str(error), err=True)
    if done.failed:
        if tfvars is not None:
            click.echo(f"{tfvars} is left as it was", err=True)
        context.exit(ExitCode.FAILED)


def published_data(done: Published) -> dict[str, Any]:
    """What `invar publish --json` prints."""
    sent = done.uploaded
    return {
        "configuration": done.configuration,
        "generation": done.generation,
        "system_digest": done.system_digest,
        "images": {region: image.id for region, image in done.images.items()},
        "snapshots": {region: image.snapshots[0] for region, image in done.images.items()},
        "failed": {
            region: {"what": error.what, "where": error.where, "why": error.why, "hint": error.hint}
            for region, error in done.failed.items()
        },
        "uploaded": None
        if sent is None
        else {
            "snapshot": sent.snapshot,
            "region": sent.region,
            "parent": sent.parent,
            "blocks_sent": sent.sent,
            "blocks_resumed": sent.resumed,
            "bytes_sent": sent.bytes_sent,
            "calls_repeated": sent.retries,
            "seconds": round(sent.seconds, 3),
        },
    }


def print_published(done: Published) -> None:
    """The image in each region on standard output, all else on standard error."""
    sent = done.uploaded
    how = "there already"
    if sent is not None:
        kind = f"difference to {sent.parent}" if sent.parent else "whole"
        how = f"{sent.bytes_sent / 1e6:.1f} MB sent ({kind})"
    click.echo(f"{done.configuration} generation {done.generation}, {how}", err=True)
    click.echo(f"system digest  {done.system_digest}", err=True)
    for region, image in done.images.items():
        click.echo(f"{region:16} {image.id}")
