"""`invar eval`: a Nix expression, or a value of a configuration."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from invar.cli.context import session_of, told
from invar.core.errors import ExitCode, InvarError


@click.command("eval")
@click.argument("target", required=False, metavar="[FILE|DIR#PATH]")
@click.option("-E", "--expr", "expression", help="Evaluate this expression. `-` as FILE reads standard input.")
@click.option("-A", "--attr", "attribute", help="Select this attribute path of the value.")
@click.option("--json", "as_json", is_flag=True, help="Print the value as JSON.")
@click.option("--xml", "as_xml", is_flag=True, help="Print the value as XML.")
@click.option("--strict", is_flag=True, help="Evaluate lists and attribute sets to the bottom.")
@click.option("--arg", "arguments", nargs=2, multiple=True, metavar="NAME EXPR", help="An argument for a function.")
@click.option("--argstr", "texts", nargs=2, multiple=True, metavar="NAME TEXT", help="The same, a string.")
@click.option("-I", "search_path", multiple=True, metavar="[NAME=]PATH", help="Where <NAME> is looked up.")
@click.option("--impure", is_flag=True, help="Fetch what has no hash too; look <NAME> up in NIX_PATH.")
@click.option("--pure", is_flag=True, help="Read no environment, no clock, no file outside of FILE's directory and -I.")
@click.option("--restrict", is_flag=True, help="Read no file outside of -I, fetch nothing from elsewhere.")
@click.option("--read-only", is_flag=True, help="Do not write derivations (.drv) to the store.")
@click.option(
    "--extra-experimental-features", "features", multiple=True, metavar="NAMES", help="Such as pipe-operators."
)
@click.pass_context
@told
def evaluate(
    context: click.Context,
    target: str | None,
    expression: str | None,
    attribute: str | None,
    as_json: bool,
    as_xml: bool,
    strict: bool,
    arguments: tuple[tuple[str, str], ...],
    texts: tuple[tuple[str, str], ...],
    search_path: tuple[str, ...],
    impure: bool,
    pure: bool,
    restrict: bool,
    read_only: bool,
    features: tuple[str, ...],
) -> None:
    """Evaluate a Nix expression, a value of a configuration (DIR#PATH), or an output of a flake (FLAKE#PATH).

    \b
    invar eval -E '1 + 1'
    invar eval default.nix -A lib.version --argstr system x86_64-linux
    invar eval -E 'import (fetchTarball "https://example.org/x.tar.gz")' --impure
    invar eval examples/production-web#services.nginx.enable
    invar eval .#environment.systemPackages --json
    invar eval .                              the whole system record
    invar eval .#nixosConfigurations.web.config.networking.hostName
    """
    from invar.nix.stack import process_ends_at_once

    process_ends_at_once()
    from invar.cli.values import Settings, configuration_text, expression_text, flake_text, names_flake
    from invar.nix.selection import Style

    if (target is None) == (expression is None):
        raise InvarError("give either an expression (-E) or a file", exit_code=ExitCode.USAGE)
    if as_json and as_xml:
        raise InvarError("--json and --xml exclude one another", exit_code=ExitCode.USAGE)
    if pure and impure:
        raise InvarError("--pure and --impure exclude one another", exit_code=ExitCode.USAGE)
    style: Style = "json" if as_json else "xml" if as_xml else "nix"
    session = session_of(context)
    if target is not None and names_flake(target):
        session = replace(session, impure=session.impure or impure)
        with session.reporting() as report:
            text = flake_text(session, report, target, attribute, style, strict=strict)
    elif target is not None and ("#" in target or (Path(target) / "configuration.nix").is_file()):
        with session.reporting() as report:
            text = configuration_text(session, report, target, attribute, style, strict=strict)
    else:
        source = sys.stdin.read() if target == "-" else expression
        file = None if target in (None, "-") else Path(target or ".")
        given = (*((name, text, True) for name, text in arguments), *((name, text, False) for name, text in texts))
        settings = Settings(search_path, given, features, pure, impure, restrict, read_only, strict)
        with session.reporting() as report:
            text = expression_text(session, report, os.environ, source, file, attribute, style, settings)
    click.echo(text)
