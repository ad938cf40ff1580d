"""The `invar` group: options before the verb, and where each verb lives (imported when it is used)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

import invar as package
from invar.cli.context import Session
from invar.core.home import Home

VERBS = {
    "up": "invar.cli.up:up",
    "build": "invar.cli.build:build",
    "lock": "invar.cli.build:lock",
    "formats": "invar.cli.build:formats",
    "plan": "invar.cli.plan:plan",
    "diff": "invar.cli.compare:diff",
    "sbom": "invar.cli.compare:sbom",
    "key": "invar.cli.key:key",
    "flake": "invar.cli.flake:flake",
    "eval": "invar.cli.evaluate:evaluate",
    "option": "invar.cli.option:option",
    "repl": "invar.cli.repl:repl",
    "run": "invar.cli.machines:run",
    "ps": "invar.cli.machines:ps",
    "ssh": "invar.cli.machines:ssh",
    "console": "invar.cli.machines:console",
    "stop": "invar.cli.machines:stop",
    "check": "invar.cli.machines:check",
    "cache": "invar.cli.cache:cache",
    "publish": "invar.cli.publish:publish",
    "verify": "invar.cli.verify:verify",
    "images": "invar.cli.images:images",
    "fleet": "invar.cli.fleet:fleet",
    "rollout": "invar.cli.rollout:rollout",
    "status": "invar.cli.fleet_state:status",
    "rollback": "invar.cli.rollout:rollback",
    "history": "invar.cli.fleet_state:history",
    "audit": "invar.cli.fleet_state:audit",
    "pause": "invar.cli.rollout:pause",
    "resume": "invar.cli.rollout:resume",
    "abort": "invar.cli.rollout:abort",
    "gc": "invar.cli.gc:gc",
    "cloud": "invar.cli.cloud:cloud",
    "proof": "invar.cli.proof:proof",
    "user-data": "invar.cli.user_data:user_data",
    "terraform": "invar.cli.terraform:terraform",
    "completion": "invar.cli.completion:completion",
}


class Verbs(click.Group):
    """Verbs in the order of a day's work, each imported only when it is called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in order."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of this name."""
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with the nearest verbs in the message."""
        name = args[0] if args else ""
        if name and name not in VERBS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, VERBS, n=2)
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"No such verb '{name}'.{meant}")
        return super().resolve_command(ctx, args)


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 differs or drift, 130 interrupted.",
)
@click.version_option(package.__version__, "--version", prog_name="invar")
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="URL",
    help="A Debian mirror to fetch from, tried in the given order; {date} stands for the lock's date. "
    "Else INVAR_MIRROR, the lock's, or the host's apt sources.",
)
@click.option("--quiet", "-q", is_flag=True, help="Only warnings, errors and the result.")
@click.option("--offline", is_flag=True, help="Fetch no input of a flake: what is not here already is an error.")
@click.option("--impure", is_flag=True, help="Let a flake read the environment, the clock and any file.")
@click.option(
    "--override-input",
    "override_inputs",
    multiple=True,
    nargs=2,
    metavar="INPUT URL",
    help="Take an input of a flake from elsewhere; flake.lock stays as it is.",
)
@click.option("--show-trace", is_flag=True, help="Show the whole trace of an error in a configuration.")
@click.pass_context
def invar(
    context: click.Context,
    mirrors: tuple[str, ...],
    quiet: bool,
    offline: bool,
    impure: bool,
    override_inputs: tuple[tuple[str, str], ...],
    show_trace: bool,
) -> Any:
    """A configuration.nix becomes an immutable, reproducible EC2 image.

    \b
    invar up examples/production-web      build it, boot it, check it
    invar build . --json                  the image, its digests and timings
    invar eval .#services.nginx.enable    a value of the configuration
    """
    context.obj = Session(Home.from_environment(), mirrors, quiet, show_trace, offline, impure, override_inputs)
