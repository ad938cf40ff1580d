"""`invar verify`: is what was published what was built?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invar.cli.account import account, account_options, region_option
from invar.cli.context import json_option, print_json, session_of, told
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.fleet.judge import Part
    from invar.fleet.verify import Verified

MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


@click.command()
@click.argument("target", metavar="AMI|FILE")
@region_option("Where the AMI is. [AWS_REGION]")
@click.option("--rebuild", is_flag=True, help="Build the tagged commit again too, and compare with that.")
@click.option(
    "--repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="The clone that has the commit. [.]",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Require a provenance of these bytes that is signed by a key in this file.",
)
@account_options
@json_option
@click.pass_context
@told
def verify(
    context: click.Context,
    target: str,
    region: str | None,
    rebuild: bool,
    repository: Path,
    key: Path | None,
    profile: str | None,
    endpoint_url: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Read an AMI's snapshot back, and tell whether it is what was built.

    Recomputes both layers' verity root hashes, the kernel's and the initrd's digest and so the system digest, out of
    the snapshot's bytes, and compares them and every block with the tags and with the record beside the image. Names
    the part that was altered. Exit code 3 when it is not what was built. What another engine built is judged by its
    blocks.

    \b
    invar verify ami-0f6b9468a8a46868b --region eu-west-1
    invar verify ami-0f6b9468a8a46868b --rebuild      compare with a build of the tagged commit
    invar verify ami-0f6b9468a8a46868b --key release.key.pub
    invar verify web.raw                              a local image, by the image-info.json beside it
    """
    from invar.fleet.build import build_again
    from invar.fleet.keys import read_public_keys
    from invar.fleet.verify import Rebuild, verify_ami, verify_file

    session = session_of(context)
    keys = read_public_keys(key) if key is not None else ()
    if not target.startswith("ami-"):
        if rebuild or key:
            raise InvarError("--rebuild and --key go with an AMI", exit_code=ExitCode.USAGE)
        if not Path(target).is_file():
            raise InvarError(f"there is no image {target}", hint="give an AMI id or a file", exit_code=ExitCode.USAGE)
        with session.reporting() as report:
            done = verify_file(Path(target), report)
    else:
        cloud = account(session, profile, endpoint_url, local)
        region = region or cloud.region
        if region is None:
            raise InvarError("no region is named", hint="--region, or AWS_REGION", exit_code=ExitCode.USAGE)
        cloud.require_credentials()
        with session.reporting() as report:
            engines = session.engines(report)
            again = Rebuild(repository, lambda source: build_again(source, engines, report)) if rebuild else None
            done = verify_ami(cloud, region, target, engines.native.store, report, again, keys)
    if as_json:
        print_json(verified_data(done))
    else:
        print_verified(done)
    if not done.passed:
        context.exit(ExitCode.DIFFERS)


def verified_data(done: Verified) -> dict[str, Any]:
    """What `invar verify --json` prints."""
    return {
        "target": done.target,
        "passed": done.passed,
        "parts": [
            {"name": part.name, "sound": part.sound, "why": part.why, "wrong": [list(one) for one in part.wrong]}
            for part in done.parts
        ],
        "tags": dict(done.tags),
        "documents": sorted(done.documents),
        "bytes_read": done.bytes_read,
        "seconds": round(done.seconds, 3),
    }


def print_verified(done: Verified) -> None:
    """A line a part; for an altered one, where on the disk."""
    width = max(len(part.name) for part in done.parts)
    for part in done.parts:
        mark, colour = MARKS[part.sound]
        click.echo(f"{click.style(mark, fg=colour)} {part.name:{width}}  {part.why}")
        for line in _places(part):
            click.echo(f"  {'':{width}}  {line}")
    altered = [part.name for part in done.parts if part.sound is False]
    outcome = "it is what was built" if done.passed else f"it is NOT what it should be: {', '.join(altered)}"
    if not done.passed and not altered:
        outcome = "it cannot be told whether it is what was built"
    click.echo(f"{done.target}: {outcome}; {done.bytes_read / 1e6:.1f} MB read in {done.seconds:.1f} s", err=True)


def _places(part: Part) -> list[str]:
    told_of = [f"bytes {start} to {end} of the disk" for start, end in part.wrong[:5]]
    more = len(part.wrong) - len(told_of)
    return [*told_of, f"and {more} more places"] if more else told_of
