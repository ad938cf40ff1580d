"""`invar terraform install`, and the hidden verb by which Terraform starts the provider."""

from __future__ import annotations

import os
from pathlib import Path

import click

from invar.cli.context import json_option, print_json, session_of, told


@click.group()
def terraform() -> None:
    """The Terraform provider: images and rollouts as resources.

    \b
    invar terraform install infra/     into the project; then `terraform init` there
    """


@terraform.command()
@click.argument("project", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@json_option
@told
def install(project: Path, as_json: bool) -> None:
    """Put the provider into a Terraform project, under terraform.d/plugins.

    The launcher there is the same file on every machine: commit it, and run this again after an update of Invar.
    `terraform init` then finds the provider without any registry.

    \b
    invar terraform install
    invar terraform install infra/production
    """
    from invar import __version__
    from invar.terraform.install import SOURCE, terraform_version
    from invar.terraform.install import install as install_provider

    done = install_provider(project, os.environ)
    if as_json:
        launchers = [str(path) for path in done.launchers]
        print_json({"source": SOURCE, "version": __version__, "launchers": launchers, "changed": done.changed})
        return
    click.echo(f"{'installed' if done.changed else 'there already'}: provider {SOURCE} {__version__}", err=True)
    if terraform_version() is None:
        click.echo("note: there is no terraform on the PATH", err=True)
    click.echo(
        "terraform {\n  required_providers {\n"
        f'    invar = {{\n      source  = "{SOURCE}"\n      version = "{__version__}"\n    }}\n  }}\n}}'
    )


@terraform.command(hidden=True)
@click.argument("version")
@click.pass_context
def serve(context: click.Context, version: str) -> None:
    """Serve the plugin protocol. Only Terraform starts this."""
    from invar.core.errors import InvarError
    from invar.terraform.install import check_version
    from invar.terraform.provider import make_provider
    from invar.terraform.server import serve as serve_provider

    home = session_of(context).home
    try:
        check_version(version)
        serve_provider(home, lambda stopped: make_provider(home, stopped))
    except InvarError as error:
        # Of what a plugin says on standard output in place of the handshake's line, Terraform shows one line.
        click.echo("; ".join(line.strip() for line in str(error).splitlines()))
        context.exit(error.exit_code)
