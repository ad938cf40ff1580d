"""`invar option`: what an option is, what it is set to, and who set it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from invar.cli.context import Session, json_option, session_of, told
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.core.home import Home

if TYPE_CHECKING:
    from invar.modules.describe import OptionText


def complete_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Option names for the shell; nothing where the configuration cannot be evaluated."""
    from invar.nix.stack import process_ends_at_once

    process_ends_at_once()
    session = Session(Home.from_environment(), (), True, False)
    place = context.params.get("target") or "."
    parent = incomplete.rpartition(".")[0]
    try:
        names = json.loads(_asked(session, Report(), Path(place), parent, children=True))
    except (InvarError, OSError, ValueError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command()
@click.argument("name", shell_complete=complete_name)
@click.argument("target", required=False, default=".", metavar="[DIR|FILE]")
@json_option
@click.pass_context
@told
def option(context: click.Context, name: str, target: str, as_json: bool) -> None:
    """Tell an option's type, default, description, value, and every definition with its place and priority.

    \b
    invar option services.nginx.enable                    of the configuration here
    invar option networking.firewall.allowedTCPPorts examples/production-web --json
    invar option services.openssh                         the options below a name
    """
    from invar.nix.stack import process_ends_at_once

    process_ends_at_once()
    session = session_of(context)
    with session.reporting() as report:
        answer = json.loads(_asked(session, report, Path(target), name, children=False))
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif isinstance(answer, list):
        for one in answer:
            click.echo(one)
    else:
        click.echo(_page(answer))


def _asked(session: Session, report: Report, target: Path, name: str, *, children: bool) -> str:
    """JSON of an option, or of a list of names. `children`: only the next step of names below."""
    from invar.modules.describe import describe, find_option, is_option, names_below, option_json
    from invar.modules.render import quote_name
    from invar.nixos.configuration import Configuration, split_attribute_path

    path = split_attribute_path(name) if name else []

    def show(configuration: Configuration) -> str:
        found = find_option(configuration.definitions.options, path)
        prefix = f"{name}." if name else ""
        if children:
            return json.dumps(
                [] if is_option(found) else [f"{prefix}{quote_name(str(step))}" for step in sorted(found)]
            )
        if not is_option(found):
            return json.dumps(names_below(configuration.definitions.options, path))
        text = option_json(found)
        return json.dumps({**asdict(describe(found)), "json": None if text is None else json.loads(text)})

    engine = session.engine(report)
    return engine.value(engine.project(target), show)


def _page(answer: dict[str, object]) -> str:
    from invar.modules.describe import PRIORITY_WORDS, DefinitionText, OptionText

    given = answer["definitions"]
    assert isinstance(given, list)
    fields = {name: value for name, value in answer.items() if name not in ("definitions", "json")}
    shown: OptionText = OptionText(**fields, definitions=tuple(DefinitionText(**one) for one in given))  # type: ignore[arg-type]
    lines = [click.style(shown.name, bold=True)]
    rows = [
        ("type", shown.type),
        ("default", shown.default),
        ("example", shown.example),
        ("description", shown.description),
        *(("declared", place) for place in shown.declared),
        ("value", shown.value if shown.fault is None else f"none: {shown.fault}"),
    ]
    lines += [_row(label, text) for label, text in rows if text is not None]
    lines.append("definitions" if shown.definitions else "no definitions")
    for one in shown.definitions:
        word = PRIORITY_WORDS.get(one.priority)
        strength = f"priority {one.priority}" + (f" ({word})" if word else "")
        lines.append(f"  {one.where}  {strength}{'' if one.used else ', overridden'}")
        lines.append("    " + one.value.replace("\n", "\n    "))
    return "\n".join(lines)


def _row(label: str, text: str) -> str:
    return f"  {label:<12} " + text.replace("\n", "\n" + " " * 15)
