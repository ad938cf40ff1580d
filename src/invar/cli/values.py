"""Values for `invar eval`: found, selected, and printed as Nix, JSON or XML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from invar.cli.context import Session
from invar.core.events import Report
from invar.nix import Evaluator, NixError, Value, force, with_big_stack
from invar.nix.features import read_features
from invar.nix.fetching import DeferredFetcher, Fetcher, TreeAttributes
from invar.nix.selection import Style, select, shown, with_arguments
from invar.system.faults import told

if TYPE_CHECKING:
    from invar.nixos.configuration import Configuration


@dataclass(frozen=True, slots=True)
class Settings:
    """What evaluation of a plain expression may do. `arguments` are (name, text, whether the text is Nix)."""

    search_path: tuple[str, ...] = ()
    arguments: tuple[tuple[str, str, bool], ...] = ()
    features: tuple[str, ...] = ()
    pure: bool = False
    impure: bool = False
    restricted: bool = False
    read_only: bool = False
    strict: bool = False


def plain_evaluator(
    session: Session, report: Report, settings: Settings, environment: Mapping[str, str], root: Path | None = None
) -> Evaluator:
    """An evaluator for expressions of the command line; `root` is the directory that pure evaluation may read."""
    named = [entry for entry in environment.get("NIX_PATH", "").split(":") if entry] if settings.impure else []

    def fetcher() -> Fetcher:
        from invar.store.fetchers import Fetchers  # few expressions fetch anything
        from invar.store.objects import Store

        return Fetchers(Store(session.home.store), session.home.cache, report, environment)

    def flakes(evaluator: Evaluator, reference: TreeAttributes) -> Value:
        from invar.flakes.get import FlakeGetter  # few expressions ask for a flake

        return FlakeGetter(report, environment)(evaluator, reference)

    return Evaluator(
        cache_dir=session.home.code,
        search_path=[*settings.search_path, *named],
        pure=settings.pure,
        restricted=settings.restricted,
        allowed_roots=[root] if root is not None and settings.pure else None,
        features=read_features(settings.features),
        fetcher=DeferredFetcher(fetcher),
        fetch_unlocked=settings.impure,
        flakes=flakes,
        on_warn=report.warn,
        on_trace=lambda text: report.note(f"trace: {text}"),
    )


def expression_text(
    session: Session,
    report: Report,
    environment: Mapping[str, str],
    source: str | None,
    file: Path | None,
    attribute: str | None,
    style: Style,
    settings: Settings,
) -> str:
    """The value of a plain Nix expression, or of a file, as text. Raises InvarError."""
    root = None if file is None else file if file.is_dir() else file.absolute().parent
    evaluator = plain_evaluator(session, report, settings, environment, root)

    def evaluate() -> str:
        arguments: dict[str, Value] = {
            name: evaluator.eval_string(text) if is_nix else text for name, text, is_nix in settings.arguments
        }
        value = evaluator.import_file(file) if file is not None else evaluator.eval_string(source or "")
        value = select(value, attribute or "", arguments)
        if arguments:
            value = with_arguments(value, arguments)
        return shown(force(value), style, strict=settings.strict).removesuffix("\n")

    try:
        text = with_big_stack(evaluate)
    except NixError as error:
        raise told(error, evaluator.sources, show_trace=session.show_trace) from error
    if evaluator.store_objects and not settings.read_only:
        from invar.store.derivations import write_derivations  # few expressions make any
        from invar.store.objects import Store

        write_derivations(Store(session.home.store), evaluator.store_objects)
    return text


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
        return shown(configuration.attribute(full), style, strict=strict).removesuffix("\n")

    return engine.value(project, show)


def names_flake(target: str) -> bool:
    """Whether FLAKE, or FLAKE#PATH, is meant: a flake's own directory or URL, or anything in a flake with a #."""
    from invar.flakes.place import FLAKE, flake_at, is_url

    place, hash_, _ = target.partition("#")
    if is_url(place):
        return True
    if hash_:
        return not Path(place or ".").is_file() and flake_at(place) is not None
    return (Path(place) / FLAKE).is_file()


def flake_text(
    session: Session, report: Report, target: str, attribute: str | None, style: Style, *, strict: bool
) -> str:
    """An output of a flake, or without a path the system record of its default configuration. Raises InvarError."""
    from invar.flakes.attributes import search_order
    from invar.flakes.target import SYSTEM, flake_value

    place, _, fragment = target.partition("#")
    engine = session.engine(report)
    if not fragment and not attribute:
        return json.dumps(engine.evaluate(engine.project(target)).system.to_data(), indent=2, ensure_ascii=False)
    flake = engine.flake(place)

    def show(value: Value) -> str:
        return shown(force(select(value, attribute or "", {})), style, strict=strict).removesuffix("\n")

    with report.stage("evaluate"):
        return flake_value(flake, search_order(fragment, SYSTEM), engine.universe_of, show)
