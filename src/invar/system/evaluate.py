"""configuration + universe → System: evaluate the module library and gather what /etc refers to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invar.core.events import Report
from invar.nix import NixError, NixMissingAttribute, NixString, deep_force, with_big_stack
from invar.nix.fetching import Fetcher
from invar.nixos.configuration import Configuration, evaluate_configuration
from invar.nixos.names import Universe
from invar.nixos.objects import Object
from invar.system.faults import told

if TYPE_CHECKING:
    from invar.system.options import Setting
    from invar.system.record import System


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A system and the evaluated configuration that it is the value of."""

    system: System
    configuration: Configuration


def evaluate(
    path: Path,
    universe: Universe,
    report: Report,
    *,
    cache_dir: Path | None,
    show_trace: bool = False,
    fetcher: Fetcher | None = None,
) -> Evaluation:
    """Evaluate a configuration (a .nix file) to its System.

    `universe` tells versions of packages; `cache_dir` keeps compiled code; `fetcher` gets what the configuration
    fetches by hash. Raises InvarError, rendered from the language's error with file, line, source and trace.
    """
    with report.stage("evaluate"):
        return with_big_stack(_evaluate, path, universe, report, cache_dir, show_trace, fetcher)


def settings(evaluation: Evaluation) -> dict[str, Setting]:
    """What the configuration's own files set, by option. Raises InvarError when the option tree is at fault."""

    from invar.system.options import settings_of  # showing one value needs neither this nor the record

    def work() -> dict[str, Setting]:
        configuration = evaluation.configuration
        try:
            return settings_of(configuration.definitions, configuration.directory, configuration.library)
        except NixError as error:
            raise told(error) from error

    return with_big_stack(work)


def option_value(evaluation: Evaluation, path: str) -> Any:
    """The plain value of an option of an evaluated configuration; None where no module declares it."""

    def work() -> Any:
        try:
            return plain_data(deep_force(evaluation.configuration.attribute(path)), set())
        except NixMissingAttribute:
            return None
        except NixError as error:
            raise told(error) from error

    return with_big_stack(work)


def evaluate_value(
    path: Path,
    universe: Universe,
    report: Report,
    show: Callable[[Configuration], str],
    *,
    cache_dir: Path | None,
    show_trace: bool = False,
    fetcher: Fetcher | None = None,
) -> str:
    """Evaluate a configuration and show a part of it: `show` runs where values may be forced. Raises InvarError."""

    def work() -> str:
        try:
            return show(
                evaluate_configuration(path, universe, cache_dir=cache_dir, on_warn=report.warn, fetcher=fetcher)
            )
        except NixError as error:
            raise told(error, show_trace=show_trace) from error

    with report.stage("evaluate"):
        return with_big_stack(work)


def _evaluate(
    path: Path,
    universe: Universe,
    report: Report,
    cache_dir: Path | None,
    show_trace: bool,
    fetcher: Fetcher | None,
) -> Evaluation:
    try:
        return evaluation_of(
            evaluate_configuration(path, universe, cache_dir=cache_dir, on_warn=report.warn, fetcher=fetcher)
        )
    except NixError as error:
        raise told(error, show_trace=show_trace) from error


def evaluation_of(configuration: Configuration) -> Evaluation:
    """The System of an evaluated configuration. Call it inside `with_big_stack`. Raises NixError, InvarError."""
    context: set[str] = set()
    data = plain_data(deep_force(configuration.attribute("system.build.invar")), context)
    return Evaluation(system_of(data, configuration.objects.closure(sorted(context))), configuration)


def plain_data(value: Any, context: set[str]) -> Any:
    """An evaluated Nix value as JSON data; the contexts of its strings are added to `context`."""
    if isinstance(value, NixString):
        context |= value.context
        return str(value)
    if isinstance(value, dict):
        return {str(name): plain_data(item, context) for name, item in value.items()}
    if isinstance(value, list):
        return [plain_data(item, context) for item in value]
    return value


def system_of(data: dict[str, Any], objects: tuple[Object, ...]) -> System:
    """The record out of the library's plain data and the closure of its store paths.

    A package whose programs are referred to ("${pkgs.jq}/bin/jq" in a unit) is in the image as if it were asked for.
    """
    from invar.system.decode import system_from_data

    asked = data.pop("packages")
    origins = {package["name"]: package["origin"] for package in reversed(asked) if package.get("origin")}
    names = {package["name"] for package in asked}
    for made in objects:
        names |= set(made.package)
    store_objects = [
        {
            "path": made.path,
            "entries": {name: dict(node) for name, node in made.entries.items()},
            "package": made.package,
        }
        for made in objects
    ]
    return system_from_data({**data, "packages": sorted(names), "store_objects": store_objects}, origins)
