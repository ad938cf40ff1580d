"""`invar run`, `ps`, `ssh`, `console`, `stop` and `check`: machines on this computer."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from invar.cli.context import json_option, print_json, session_of, told
from invar.cli.nix import engine_options
from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from invar.engines.choice import EngineName


def machine_options(function: click.decorators.FC) -> click.decorators.FC:
    """The options of verbs that start a machine."""
    for option in reversed(
        (
            click.option("--name", help="What the machine is called. Default: the configuration's name."),
            click.option("--memory", type=click.IntRange(256), default=1024, show_default=True, help="MiB."),
            click.option("--cpus", type=click.IntRange(1, 64), default=2, show_default=True),
            click.option(
                "--port", "ports", multiple=True, type=click.IntRange(1, 65535), help="Forward this port too."
            ),
            click.option(
                "--user-data", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="EC2 user data."
            ),
            engine_options,
        )
    ):
        function = option(function)
    return function


@click.command()
@click.argument("place", metavar="[IMAGE|DIR|FILE]", default=".", type=click.Path(path_type=Path))
@machine_options
@click.option("--detach", "-d", is_flag=True, help="Return when the machine has started; see ps, ssh, stop.")
@json_option
@click.pass_context
@told
def run(
    context: click.Context,
    place: Path,
    name: str | None,
    memory: int,
    cpus: int,
    ports: tuple[int, ...],
    user_data: Path | None,
    engine_name: EngineName | None,
    attribute: str | None,
    detach: bool,
    as_json: bool,
) -> None:
    """Boot an image, or the image of a configuration, as an EC2 instance would boot.

    The image's own boot chain runs under UEFI, with a metadata service at 169.254.169.254. Without --detach
    the serial console is shown and the machine ends with the command.

    \b
    invar run examples/production-web --detach
    invar run web.qcow2 --port 8080
    invar run .#amazonImage --engine nix      NixOS, if its image boots under UEFI
    """
    from invar.cli.launch import launchable, started_data
    from invar.vm.console import attach
    from invar.vm.machine import running, start

    session = session_of(context)
    with ExitStack() as stack:
        with session.reporting() as report:
            engines = session.engines(report, engine_name, attribute)
            launch = launchable(session, report, place, name, memory, cpus, ports, user_data, engines)
            if detach:
                machine = start(launch.spec, launch.equipment.qemu, session.home, report)
            else:
                machine = stack.enter_context(running(launch.spec, launch.equipment.qemu, session.home, report))
            launch.remember(machine)
        if as_json:
            print_json(started_data(machine))
        else:
            for guest, host in sorted(machine.ports.items()):
                click.echo(f"port {guest} is 127.0.0.1:{host}", err=True)
            click.echo(f"machine {machine.name}: invar ssh {machine.name}", err=True)
        if not detach:
            keyboard = None if as_json or not sys.stdin.isatty() else 0
            attach(machine, output=2 if as_json else 1, keyboard=keyboard)


@click.command()
@json_option
@click.pass_context
@told
def ps(context: click.Context, as_json: bool) -> None:
    """List the machines on this computer."""
    from invar.vm.record import list_machines

    machines = list_machines(session_of(context).home)
    if as_json:
        print_json([{**machine.to_data(), "status": machine.status} for machine in machines])
        return
    row = "{:24} {:9} {:>8}  {:14} {}"
    click.echo(row.format("NAME", "STATUS", "AGE", "DIGEST", "PORTS"))
    for machine in machines:
        forwards = " ".join(f"{guest}→{host}" for guest, host in sorted(machine.ports.items()))
        age = f"{(time.time() - machine.created) / 60:.0f} min"
        click.echo(row.format(machine.name, machine.status, age, (machine.digest or "-")[:12], forwards))


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--user", "-l", default="root", show_default=True, help="Whom to log in as.")
@click.option("--identity", "-i", "identities", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
@told
def ssh(context: click.Context, user: str, identities: tuple[Path, ...], name: str, command: tuple[str, ...]) -> None:
    """Log into a machine, or run a command there; its exit code is this command's.

    \b
    invar ssh production-web-01
    invar ssh production-web-01 systemctl --failed
    invar ssh production-web-01 -- uptime
    """
    from invar.vm.boot import Equipment
    from invar.vm.companion import load_companion
    from invar.vm.record import find
    from invar.vm.ssh import ssh_argv

    session = session_of(context)
    machine = find(session.home, name)
    equipment = Equipment.from_tools(load_companion(machine).tools, session.home)
    words = command[1:] if command[:1] == ("--",) else command
    argv = ssh_argv(machine, equipment.access, words, user=user, identities=identities)
    os.execv(argv[0], argv)


@click.command()
@click.argument("name")
@click.option("--no-input", is_flag=True, help="Only show; do not type into the machine.")
@click.pass_context
@told
def console(context: click.Context, name: str, no_input: bool) -> None:
    """Show a machine's serial console from its start, and follow it. Ctrl-] leaves."""
    from invar.vm.console import attach
    from invar.vm.record import find

    machine = find(session_of(context).home, name)
    attach(machine, keyboard=None if no_input or not sys.stdin.isatty() else 0)


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Stop every machine.")
@click.option("--force", is_flag=True, help="Switch off at once instead of shutting down.")
@click.pass_context
@told
def stop(context: click.Context, names: tuple[str, ...], everything: bool, force: bool) -> None:
    """Shut machines down and delete their disks."""
    from invar.vm.machine import stop as stop_machine
    from invar.vm.record import find, list_machines

    home = session_of(context).home
    if not names and not everything:
        raise InvarError("which machine?", hint="name it (see `invar ps`), or use --all", exit_code=ExitCode.USAGE)
    for machine in list_machines(home) if everything else [find(home, name) for name in names]:
        stop_machine(machine, graceful=not force)
        click.echo(f"stopped {machine.name}", err=True)


@click.command()
@click.argument("target", metavar="[NAME|DIR|FILE|IMAGE]", default=".")
@json_option
@click.pass_context
@told
def check(context: click.Context, target: str, as_json: bool) -> None:
    """Run the checks of a configuration against a running machine, or against one booted for it.

    Exit code 1 when a check fails.

    \b
    invar check production-web-01       the running machine of that name
    invar check examples/production-web builds, boots, checks, stops
    """
    from invar.cli.launch import launchable
    from invar.cli.summary import checks_data, print_checks
    from invar.flakes.place import flake_at
    from invar.vm.boot import Equipment
    from invar.vm.checks import run_checks
    from invar.vm.companion import load_companion
    from invar.vm.machine import running
    from invar.vm.record import list_machines

    session = session_of(context)
    named = [machine for machine in list_machines(session.home) if machine.name == target]
    with ExitStack() as stack, session.reporting() as report:
        if named:
            machine = named[0]
            companion = load_companion(machine)
            equipment = Equipment.from_tools(companion.tools, session.home)
            declared = companion.system.checks if companion.system else ()
            result = run_checks(machine, declared, equipment.access, report)
        else:
            if not Path(target).exists() and flake_at(target.partition("#")[0]) is None:
                raise InvarError(
                    f"there is neither a machine nor a configuration called {target}",
                    hint="see `invar ps`",
                    exit_code=ExitCode.USAGE,
                )
            launch = launchable(session, report, Path(target), None, 1024, 2, (), None, session.engines(report))
            checks = launch.system.checks if launch.system else ()
            machine = stack.enter_context(running(launch.spec, launch.equipment.qemu, session.home, report))
            launch.remember(machine)
            result = run_checks(machine, checks, launch.equipment.access, report)
    if as_json:
        print_json(checks_data(machine, result))
    else:
        print_checks(result)
    if not result.passed:
        context.exit(ExitCode.FAILED)
