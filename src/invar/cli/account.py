"""The options of verbs that talk to AWS, and the account that they name: a real one, or the local cloud."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from invar.cli.context import Session
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.aws.client import Cloud

LOCAL_KEYS = ("local", "local")
LOCAL_REGION = "us-east-1"
REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")


def account_options(function: click.decorators.FC) -> click.decorators.FC:
    """`--profile`, `--endpoint-url` and `--local`."""
    for option in reversed(
        (
            click.option("--profile", help="The AWS profile. Default: what the environment says, as for the AWS CLI."),
            click.option("--endpoint-url", metavar="URL", help="Another address of AWS. Default: AWS_ENDPOINT_URL."),
            click.option("--local", is_flag=True, help="The local cloud (see `invar cloud`), started if need be."),
        )
    ):
        function = option(function)
    return function


def regions_option(help_text: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """`--region`, several times or several with commas."""
    return click.option("--region", "-r", "regions", multiple=True, metavar="REGION", callback=_split, help=help_text)


def region_option(help_text: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """`--region`, once."""

    def one(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        return None if value is None else _checked(value, context, parameter)

    return click.option("--region", "-r", metavar="REGION", callback=one, help=help_text)


def account(session: Session, profile: str | None, endpoint_url: str | None, local: bool) -> Cloud:
    """The account that the options name. Raises InvarError."""
    from invar.aws.client import Cloud

    if not local:
        return Cloud(profile=profile, endpoint_url=endpoint_url, region=os.environ.get("AWS_REGION"))
    if profile or endpoint_url:
        raise InvarError("--local goes with neither --profile nor --endpoint-url", exit_code=ExitCode.USAGE)
    from invar.localcloud.process import start

    record = start(session.home.cloud)
    return Cloud(endpoint_url=record.url, keys=LOCAL_KEYS, region=LOCAL_REGION)


def _split(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    found = [name.strip() for value in values for name in value.split(",") if name.strip()]
    return tuple(dict.fromkeys(_checked(name, context, parameter) for name in found))


def _checked(name: str, context: click.Context, parameter: click.Parameter) -> str:
    if not REGION.fullmatch(name):
        raise click.BadParameter(f"{name!r} is no region; they look like eu-west-1", context, parameter)
    return name
