"""Values for `invar eval`: found, selected, and printed as Nix, JSON or XML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from invar.cli.context import Session
from invar.core.events import Report
from invar.nix import Evaluator, NixError, Value, force, with_big_stack
from invar.nix.builtins.data import to_json, to_xml
from invar.nix.errors import NixMissingAttribute, did_you_mean, nearest
from invar.nix.printer import print_value
from invar.nixos.configuration import Configuration, split_attribute_path
from invar.system.evaluate import told

Style = Literal["nix", "json", "xml"]


def expression_text(
    session: Session, source: str | None, file: Path | None, attribute: str | None, style: Style, *, strict: bool
) -> str:
    """The value of a plain Nix expression, or of a file, as text. Raises InvarError."""
    evaluator = Evaluator(cache_dir=session.home.code)

    def evaluate() -> str:
        value = evaluator.import_file(file) if file is not None else evaluator.eval_string(source or "")
        return shown(select(value, attribute), style, strict=strict)

    try:
        return with_big_stack(evaluate)
    except NixError as error:
        raise told(error, evaluator.sources, show_trace=session.show_trace) from error


def configuration_text(
    session: Session, report: Report, target: str, attribute: str | None, style: Style, *, strict: bool
) -> str:
    """A value of a configuration (`DIR#PATH`), or its whole system record (`DIR`), as text. Raises InvarError."""
    from invar.engines.project import Project

    place, _, path = target.partition("#")
    engine = session.engine(report)
    project = Project.at(Path(place or "."))
    full = ".".join(part for part in (path, attribute) if part)
    if not full:
        return json.dumps(engine.evaluate(project).system.to_data(), indent=2, ensure_ascii=False)

    def show(configuration: Configuration) -> str:
        return shown(configuration.attribute(full), style, strict=strict)

    return engine.value(project, show)


def select(value: Value, attribute: str | None) -> Value:
    """The value at a dotted path. Raises NixMissingAttribute."""
    for name in split_attribute_path(attribute) if attribute else ():
        value = force(value)
        if not isinstance(value, dict) or name not in value:
            near = nearest(name, map(str, value)) if isinstance(value, dict) else []
            raise NixMissingAttribute(
                f"attribute '{name}' in selection path '{attribute}' not found", hint=did_you_mean(near)
            )
        value = value[name]
    return force(value)


def shown(value: Value, style: Style, *, strict: bool) -> str:
    """A value as text."""
    if style == "json":
        return to_json(value, None)
    if style == "xml":
        return to_xml(value, strict=strict)
    return print_value(value, strict=strict)
