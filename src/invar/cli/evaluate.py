"""`invar eval`: a Nix expression, or a value of a configuration."""

from __future__ import annotations

import sys
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
) -> None:
    """Evaluate a Nix expression, or a value of a configuration (DIR#PATH).

    \b
    invar eval -E '1 + 1'
    invar eval default.nix -A lib.version
    invar eval examples/production-web#services.nginx.enable
    invar eval .#environment.systemPackages --json
    invar eval .                              the whole system record
    """
    from invar.cli.values import Style, configuration_text, expression_text

    if (target is None) == (expression is None):
        raise InvarError("give either an expression (-E) or a file", exit_code=ExitCode.USAGE)
    if as_json and as_xml:
        raise InvarError("--json and --xml exclude one another", exit_code=ExitCode.USAGE)
    style: Style = "json" if as_json else "xml" if as_xml else "nix"
    session = session_of(context)
    if target is not None and ("#" in target or (Path(target) / "configuration.nix").is_file()):
        with session.reporting() as report:
            text = configuration_text(session, report, target, attribute, style, strict=strict)
    else:
        source = sys.stdin.read() if target == "-" else expression
        file = None if target in (None, "-") else Path(target or ".")
        text = expression_text(session, source, file, attribute, style, strict=strict)
    click.echo(text)
