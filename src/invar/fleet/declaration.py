"""From a fleet.nix to its fleets: evaluated by the language and the module system, then checked as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.fleet.problems import problems
from invar.fleet.spec import FleetSpec
from invar.modules.evaluate import ConfigSet
from invar.modules.native import native_builtins
from invar.nix import Evaluator, NixError, call, deep_force, force, with_big_stack
from invar.nix import Path as NixPath
from invar.nixos.places import LIBRARY
from invar.system.decode import decode
from invar.system.evaluate import plain_data
from invar.system.faults import told
from invar.system.options import Settings, settings_of
from invar.system.user_data import check_size, parameters_document

FILE = "fleet.nix"

_PATH = "path:"
NameOf = Callable[[Path], str]
"""The name of the configuration at a path."""


def load_fleets(
    place: Path, name_of: NameOf, report: Report, *, cache_dir: Path | None, show_trace: bool = False
) -> dict[str, FleetSpec]:
    """The fleets of a fleet.nix (a file, or a directory that has one), by name.

    Only files of its directory are read; a configuration that it names by path may lie elsewhere. Raises InvarError,
    with file and line.
    """
    source = (place / FILE if place.is_dir() else place).absolute()
    if not source.is_file():
        raise InvarError(
            f"there is no {FILE} at {place}",
            hint="name a fleet.nix, or a directory that has one (docs/fleet.md)",
            exit_code=ExitCode.USAGE,
        )
    with report.stage("evaluate the fleets"):
        data, settings = with_big_stack(_evaluate, source, report, cache_dir, show_trace)
    found: dict[str, FleetSpec] = {}
    for name, values in data.items():
        where = _where(name, "configuration", settings, source)
        configuration = _configuration(values["configuration"], source, where, name_of)
        spec = _decoded(name, {**values, "configuration": configuration})
        for path, problem, hint in problems(spec):
            raise InvarError(problem, where=_where(name, path, settings, source), hint=hint)
        check_size(parameters_document(spec.parameters), where=_where(name, "parameters", settings, source))
        found[name] = spec
    if not found:
        raise InvarError("no fleet is declared", where=str(source), hint="fleets.NAME = { regions = ...; };")
    return found


def chosen(fleets: Mapping[str, FleetSpec], names: tuple[str, ...]) -> list[FleetSpec]:
    """The fleets of these names, or all. Raises InvarError for a name that there is not."""
    for name in names:
        if name not in fleets:
            raise InvarError(
                f"there is no fleet {name}",
                hint=f"there is {', '.join(sorted(fleets))}",
                exit_code=ExitCode.USAGE,
            )
    return [fleets[name] for name in names or sorted(fleets)]


def _evaluate(
    source: Path, report: Report, cache_dir: Path | None, show_trace: bool
) -> tuple[dict[str, Any], Settings]:
    evaluator = Evaluator(
        cache_dir=cache_dir,
        pure=True,
        allowed_roots=(source.parent, LIBRARY),
        on_trace=report.warn,
        on_warn=report.warn,
    )
    evaluator.builtins.update(native_builtins(evaluator))
    try:
        library = evaluator.import_file(str(LIBRARY / "lib"))
        evaluate = call(evaluator.import_file(str(LIBRARY / "fleet" / "eval-fleet.nix")), {"lib": library})
        config = force(call(evaluate, {"modules": [NixPath(str(source))]})["config"])
        assert isinstance(config, ConfigSet)
        context: set[str] = set()
        data = _without_paths(deep_force(config["fleets"]))
        settings = settings_of(config.evaluation, str(source.parent), str(LIBRARY))
        return plain_data(data, context), settings
    except NixError as error:
        raise told(error, show_trace=show_trace) from error


def _without_paths(value: Any) -> Any:
    """Paths as text, so that nothing of them is copied anywhere."""
    if isinstance(value, NixPath):
        return f"{_PATH}{value.path}"
    if isinstance(value, dict):
        return {name: _without_paths(item) for name, item in value.items()}
    return [_without_paths(item) for item in value] if isinstance(value, list) else value


def _configuration(value: str | None, source: Path, where: str, name_of: NameOf) -> str:
    """The name of a fleet's configuration: as it is written, or that of the one that is meant by a path."""
    if value is not None and not value.startswith(_PATH):
        return value
    path = source.parent if value is None else Path(value.removeprefix(_PATH))
    beside = [path / name for name in ("configuration.nix", "flake.nix")] if path.is_dir() else [path]
    if not any(one.exists() for one in beside):
        raise InvarError(
            f"there is no configuration at {path}" + ("" if value is None else ", which the fleet runs"),
            where=where,
            hint="set configuration to a path, or to the name of a published configuration (invar images)",
        )
    return name_of(path)


def _decoded(name: str, values: Mapping[str, Any]) -> FleetSpec:
    """The record: options' names as Python writes them."""
    fields = {**_snake(values), "name": name}
    fields["regions"] = {region: _snake(own) for region, own in values["regions"].items()}
    for group in ("spot", "health", "rollout", "audit"):
        fields[group] = _snake(values[group])
    window = values["rollout"]["window"]
    if window is not None:
        fields["rollout"]["window"] = {"days": window["days"], "begin": window["from"], "end": window["to"]}
    spec = decode(FleetSpec, fields, f"fleets.{name}")
    assert isinstance(spec, FleetSpec)
    return spec


def _snake(values: Mapping[str, Any]) -> dict[str, Any]:
    return {re.sub("([A-Z])", lambda found: "_" + found[1].lower(), name): value for name, value in values.items()}


def _where(name: str, path: str, settings: Settings, source: Path) -> str:
    """Where an option is set, or else the nearest thing to it."""
    whole = f"fleets.{name}.{path}" if path else f"fleets.{name}"
    for prefix in (whole, whole.rpartition(".")[0], f"fleets.{name}"):
        for option, setting in settings.items():
            if (option == prefix or option.startswith(f"{prefix}.")) and setting.places:
                return str(source.parent / setting.places[0])
    return str(source)
