"""`invar proof`: what a local machine runs, by its own evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from invar.cli.context import json_option, print_json, session_of, told
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.vm.record import Machine


@click.command()
@click.argument("name")
@click.option("--nonce", help="Text that the answer has to repeat. Default: a new random one.")
@click.option("--http", "http_port", type=click.IntRange(1, 65535), help="Ask over HTTP, on this port of the machine.")
@click.option("--console", is_flag=True, help="Take the last one from the serial console, without asking.")
@click.option("--nixos", is_flag=True, help="It is NixOS: take its word for what /run/current-system is.")
@click.option(
    "--expect",
    metavar="DIGEST",
    help="Exit code 3 unless this system is active and proven. With --nixos: the system's store path.",
)
@json_option
@click.pass_context
@told
def proof(
    context: click.Context,
    name: str,
    nonce: str | None,
    http_port: int | None,
    console: bool,
    nixos: bool,
    expect: str | None,
    as_json: bool,
) -> None:
    """Tell what a machine runs: digests, generation, the layers' verity state, checks, failed units.

    It is asked by ssh, or with --http over the port that `invar.proof.http` opens (`invar run --port 9741`).

    \b
    invar proof production-web-01
    invar proof production-web-01 --expect "$(invar build . --json | jq -r .system_digest)"
    invar proof web --nixos --expect "$(invar build .#web --engine nix --json | jq -r .toplevel)"
    """
    from invar.system.proof import checked_nonce, lines_of
    from invar.vm.boot import Equipment
    from invar.vm.companion import load_companion
    from invar.vm.proof import by_http, by_ssh, from_console, new_nonce
    from invar.vm.record import find

    session = session_of(context)
    machine = find(session.home, name)
    if nixos:
        if nonce is not None or http_port is not None:
            raise InvarError("--nonce and --http go with Invar's own proof, not with --nixos", exit_code=ExitCode.USAGE)
        _nixos(context, machine, console, expect, as_json)
        return
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


def _nixos(context: click.Context, machine: Machine, console: bool, expect: str | None, as_json: bool) -> None:
    """Tell, and with `expect` judge, what a NixOS machine says that it runs."""
    from invar.system.toplevel import judge_toplevel
    from invar.vm.boot import Equipment
    from invar.vm.companion import load_companion
    from invar.vm.proof import toplevel_by_ssh, toplevel_from_console

    if console:
        running = toplevel_from_console(machine)
    else:
        equipment = Equipment.from_tools(load_companion(machine).tools, session_of(context).home)
        running = toplevel_by_ssh(machine, equipment.access)
    verdict = None if expect is None else judge_toplevel(running, expect)
    if as_json:
        print_json(verdict.to_data() if verdict else {"active": running.active, "booted": running.booted})
    else:
        click.echo(f"booted        {running.booted or 'unknown'}")
        click.echo(f"active        {running.active}")
    if verdict is not None and not verdict.holds:
        click.echo(f"{machine.name}: {verdict.why}", err=True)
        context.exit(ExitCode.DIFFERS)
