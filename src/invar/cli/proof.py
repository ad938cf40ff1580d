"""`invar proof`: what a local machine runs, by its own evidence."""

from __future__ import annotations

import click

from invar.cli.context import json_option, session_of, told
from invar.core.errors import ExitCode


@click.command()
@click.argument("name")
@click.option("--nonce", help="Text that the answer has to repeat. Default: a new random one.")
@click.option("--http", "http_port", type=click.IntRange(1, 65535), help="Ask over HTTP, on this port of the machine.")
@click.option("--console", is_flag=True, help="Take the last one from the serial console, without asking.")
@click.option("--expect", metavar="DIGEST", help="Exit code 3 unless this system is active and proven.")
@json_option
@click.pass_context
@told
def proof(
    context: click.Context,
    name: str,
    nonce: str | None,
    http_port: int | None,
    console: bool,
    expect: str | None,
    as_json: bool,
) -> None:
    """Tell what a machine runs: digests, generation, the layers' verity state, checks, failed units.

    It is asked by ssh, or with --http over the port that `invar.proof.http` opens (`invar run --port 9741`).

    \b
    invar proof production-web-01
    invar proof production-web-01 --expect "$(invar build . --json | jq -r .system_digest)"
    """
    from invar.system.proof import checked_nonce, lines_of
    from invar.vm.boot import Equipment
    from invar.vm.companion import load_companion
    from invar.vm.proof import by_http, by_ssh, from_console, new_nonce
    from invar.vm.record import find

    session = session_of(context)
    machine = find(session.home, name)
    asked = checked_nonce(nonce) or new_nonce()
    if console:
        found = from_console(machine)
    elif http_port is not None:
        found = by_http(machine, asked, http_port)
    else:
        equipment = Equipment.from_tools(load_companion(machine).tools, session.home)
        found = by_ssh(machine, equipment.access, asked)
    click.echo(found.to_json() if as_json else "\n".join(lines_of(found)))
    if expect is not None and not found.shows(expect):
        context.exit(ExitCode.DIFFERS)
