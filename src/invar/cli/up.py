"""`invar up`: build, boot, check, and stay."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from invar.cli.context import json_option, print_json, session_of, told
from invar.cli.machines import machine_options
from invar.core.errors import ExitCode

if TYPE_CHECKING:
    from invar.engines.choice import EngineName


@click.command()
@click.argument("place", metavar="[DIR|FILE]", default=".", type=click.Path(path_type=Path))
@machine_options
@click.option("--exit", "leave", is_flag=True, help="Stop the machine and exit when the checks have run.")
@json_option
@click.pass_context
@told
def up(
    context: click.Context,
    place: Path,
    name: str | None,
    memory: int,
    cpus: int,
    ports: tuple[int, ...],
    user_data: Path | None,
    engine_name: EngineName | None,
    attribute: str | None,
    leave: bool,
    as_json: bool,
) -> None:
    """Build a configuration's image, boot it as EC2 would, and check it.

    Prints digests, sizes, times, addresses and the ssh line, and stays until Ctrl-C. Exit code 1 when a check failed.

    \b
    invar up examples/production-web
    invar up . --exit --json | jq .checks
    """
    from invar.cli.launch import launchable, started_data
    from invar.cli.summary import build_lines, build_result, checks_data, print_checks
    from invar.vm.checks import run_checks
    from invar.vm.console import Console
    from invar.vm.machine import running

    session = session_of(context)
    with ExitStack() as stack:
        with session.reporting() as report:
            engines = session.engines(report, engine_name, attribute)
            launch = launchable(session, report, place, name, memory, cpus, ports, user_data, engines)
            checks = launch.system.checks if launch.system else ()
            machine = stack.enter_context(running(launch.spec, launch.equipment.qemu, session.home, report))
            launch.remember(machine)
            result = run_checks(machine, checks, launch.equipment.access, report)
        built = launch.built
        summary = build_result(built, [built.artifact.file], report) if built else {}
        if as_json:
            print_json({**summary, **started_data(machine), **checks_data(machine, result)})
        else:
            print_checks(result)
            for line in build_lines(summary) if summary else []:
                click.echo(line)
            for guest, host in sorted(machine.ports.items()):
                scheme = {22: "ssh://root@", 80: "http://", 443: "https://"}.get(guest, "")
                click.echo(f"port {guest:<10}{scheme}127.0.0.1:{host}")
            click.echo(f"ssh            invar ssh {machine.name}")
        if not result.passed:
            context.exit(ExitCode.FAILED)
        if leave:
            return
        click.echo("running; Ctrl-C stops it", err=True)
        try:
            with Console(machine) as console:
                while console.receive():
                    pass
            click.echo(f"the machine {machine.name} ended by itself", err=True)
        except KeyboardInterrupt:
            started = time.monotonic()
            stack.close()
            click.echo(f"stopped {machine.name} in {time.monotonic() - started:.1f} s", err=True)
