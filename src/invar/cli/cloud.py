"""`invar cloud`: the local cloud on this computer."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from invar.cli.account import LOCAL_KEYS, LOCAL_REGION
from invar.cli.context import json_option, print_json, session_of, told
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.localcloud.record import CloudRecord


@click.group()
def cloud() -> None:
    """EC2, EBS direct, SSM and their neighbours on 127.0.0.1, to try everything without an account.

    \b
    invar cloud start
    eval "$(invar cloud env)"                 the AWS CLI, Terraform and boto3 use it too
    invar publish examples/production-web --local
    aws ec2 describe-images --owners self
    invar cloud stop                          what it holds stays; `reset` forgets it
    """


@cloud.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: the one it had last, or any free one.")
@json_option
@click.pass_context
@told
def start(context: click.Context, port: int, as_json: bool) -> None:
    """Start it, or find it running; print what a shell needs to use it."""
    from invar.localcloud.process import start as start_cloud

    record = start_cloud(session_of(context).home.cloud, port)
    if as_json:
        print_json(_record_data(record))
    else:
        click.echo(f"the local cloud is running, process {record.pid}; for this shell:", err=True)
        _print_exports(record)


@cloud.command()
@click.pass_context
@told
def stop(context: click.Context) -> None:
    """Stop it. Its state stays on disk."""
    from invar.localcloud.process import stop as stop_cloud

    stopped = stop_cloud(session_of(context).home.cloud)
    click.echo("stopped; its state is kept" if stopped else "it was not running", err=True)


@cloud.command()
@json_option
@click.pass_context
@told
def status(context: click.Context, as_json: bool) -> None:
    """Say whether it runs, and what it holds. Exit code 1 when it does not run."""
    from invar.localcloud.process import control
    from invar.localcloud.process import status as status_of

    root = session_of(context).home.cloud
    record = status_of(root)
    state = {} if record is None else control(record, "GET", "state")
    if as_json:
        print_json({"running": record is not None, "state_directory": str(root), **_record_data(record), **state})
    elif record is None:
        click.echo(f"not running; its state is in {root}")
    else:
        regions = sorted({one["region"] for kind in ("images", "snapshots") for one in state[kind]})
        click.echo(f"running at {record.url}, process {record.pid}, state in {root}")
        click.echo(f"{len(state['images'])} images, {len(state['snapshots'])} snapshots in {len(regions)} regions")
        for fault in state["faults"]:
            click.echo(f"fault  {json.dumps({k: v for k, v in fault.items() if v is not None})}")
        for name in state["down"]:
            click.echo(f"region {name} is down")
    if record is None:
        context.exit(ExitCode.FAILED)


@cloud.command()
@click.confirmation_option("--yes", prompt="Forget every image, snapshot and instance of the local cloud?")
@click.pass_context
@told
def reset(context: click.Context) -> None:
    """Forget everything that it holds, running or not."""
    from invar.localcloud.process import reset as reset_cloud

    reset_cloud(session_of(context).home.cloud)
    click.echo("the local cloud is empty", err=True)


@cloud.command()
@click.pass_context
@told
def env(context: click.Context) -> None:
    """Print the variables that make AWS's own tools use it: eval "$(invar cloud env)"."""
    _print_exports(_running(context))


@cloud.command()
@click.option("--operation", help="The API call, as PutSnapshotBlock. Default: any.")
@click.option("--region", help="Default: any.")
@click.option("--after", type=click.IntRange(0), default=0, show_default=True, help="So many calls pass first.")
@click.option("--times", type=click.IntRange(0), default=1, show_default=True, help="So many are struck; 0: all.")
@click.option(
    "--action",
    type=click.Choice(["error", "drop", "cut", "fail_copy", "none"]),
    default="error",
    show_default=True,
    help="Answer an error; close the connection before, or after, doing it; let a CopyImage fail; only delay.",
)
@click.option("--code", default="InternalServerException", show_default=True, help="The error's code.")
@click.option("--status", "http_status", type=click.IntRange(400, 599), default=500, show_default=True)
@click.option("--latency", type=click.FloatRange(0), default=0.0, help="Seconds to wait first.")
@click.option("--clear", is_flag=True, help="Take all faults, rates and dead regions back.")
@click.pass_context
@told
def fault(
    context: click.Context,
    operation: str | None,
    region: str | None,
    after: int,
    times: int,
    action: str,
    code: str,
    http_status: int,
    latency: float,
    clear: bool,
) -> None:
    """Let calls fail: to see what a publish or a rollout makes of it.

    \b
    invar cloud fault --operation PutSnapshotBlock --after 100 --times 5 --action drop
    invar cloud fault --operation CopyImage --region eu-west-1 --action fail_copy
    invar cloud fault --clear
    """
    if clear:
        _control(context, "DELETE", "faults", None)
        return
    body = {
        "operation": operation,
        "region": region,
        "after": after,
        "times": times or None,
        "action": None if action == "none" else action,
        "code": code,
        "status": http_status,
        "latency": latency,
    }
    _control(context, "POST", "faults", body)


@cloud.command("control")
@click.argument("method", type=click.Choice(["GET", "POST", "DELETE"]))
@click.argument("path")
@click.argument("body", required=False)
@click.pass_context
@told
def control_call(context: click.Context, method: str, path: str, body: str | None) -> None:
    """One call of the control API, with a JSON object where it takes one.

    \b
    invar cloud control POST settings '{"copy_seconds": 30}'
    invar cloud control POST throttle '{"operation": "PutSnapshotBlock", "rate": 50}'
    invar cloud control POST regions '{"region": "eu-west-1", "down": true}'
    invar cloud control POST clock '{"advance": 86400}'
    invar cloud control POST alter '{"snapshot": "snap-0...", "block": 1100}'
    """
    try:
        sent = json.loads(body) if body else None
        if sent is not None and not isinstance(sent, dict):
            raise ValueError("it is not an object")
    except ValueError as error:
        raise InvarError(f"the body is not JSON: {body}", why=str(error), exit_code=ExitCode.USAGE) from error
    print_json(_control(context, method, path, sent))


def _control(context: click.Context, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    from invar.localcloud.process import control

    return control(_running(context), method, path, body)


def _running(context: click.Context) -> CloudRecord:
    from invar.localcloud.process import status as status_of

    record = status_of(session_of(context).home.cloud)
    if record is None:
        raise InvarError("the local cloud is not running", hint="invar cloud start")
    return record


def _record_data(record: CloudRecord | None) -> dict[str, Any]:
    return {} if record is None else {"endpoint_url": record.url, "pid": record.pid, "environment": _variables(record)}


def _variables(record: CloudRecord) -> dict[str, str]:
    key, secret = LOCAL_KEYS
    return {
        "AWS_ENDPOINT_URL": record.url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": LOCAL_REGION,
        "AWS_DEFAULT_REGION": LOCAL_REGION,
    }


def _print_exports(record: CloudRecord) -> None:
    for name, value in _variables(record).items():
        click.echo(f"export {name}={shlex.quote(value)}")
