"""From a fleet.nix to its fleets: evaluated by the language and the module system, then checked as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
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
NAME = re.compile(r"[a-z][a-z0-9-]{0,49}")
REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")

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
        configuration = _configuration(values["configuration"], source, name_of)
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


def problems(spec: FleetSpec) -> Iterator[tuple[str, str, str | None]]:
    """What is wrong with a fleet as a whole: (option, problem, hint). Pure."""
    if not NAME.fullmatch(spec.name):
        yield "", f"{spec.name!r} cannot be a fleet's name", "lower-case letters, digits and -, 50 at most"
    if not spec.regions:
        yield "regions", "the fleet has no region", 'regions.eu-west-1.subnets = [ "subnet-..." ];'
    for region in (*spec.regions, *spec.rollout.regions, *filter(None, [spec.ledger_region])):
        if not REGION.fullmatch(region):
            yield "regions", f"{region!r} is no region", "they look like eu-west-1"
    for region in spec.rollout.regions:
        if region not in spec.regions:
            yield "rollout.regions", f"the fleet is not in {region}", f"it is in {', '.join(spec.regions)}"
    for region, own in spec.regions.items():
        if bool(own.subnets) == bool(own.zones):
            yield f"regions.{region}", f"{region} needs subnets, or else zones", "one of the two"
        size = spec.size(region)
        if not size.min <= (size.min if size.desired is None else size.desired) <= size.max:
            wanted = "" if size.desired is None else f", desired {size.desired}"
            option = f"regions.{region}" if any(x is not None for x in (own.min, own.desired, own.max)) else "min"
            yield option, f"in {region} min is {size.min}{wanted}, max {size.max}", "min ≤ desired ≤ max"
    if spec.health.type == "ELB" and not any(own.target_groups for own in spec.regions.values()):
        yield "health.type", "health is the load balancer's, but there is no target group", "regions.NAME.targetGroups"
    yield from _rollout_problems(spec)


def _rollout_problems(spec: FleetSpec) -> Iterator[tuple[str, str, str | None]]:
    policy = spec.rollout
    if list(policy.waves) != sorted(set(policy.waves)) or (policy.waves and policy.waves[0] <= policy.canary):
        yield "rollout.waves", "waves ascend, and come after the canary", None
    if policy.max_healthy - policy.min_healthy > 100:
        yield "rollout.minHealthy", "maxHealthy is more than 100 above minHealthy", "EC2 does not take that"
    if policy.max_healthy == 100 and policy.min_healthy == 100:
        yield "rollout.maxHealthy", "with both at 100 % nothing could be replaced", "raise maxHealthy: 110"


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


def _configuration(value: str | None, source: Path, name_of: NameOf) -> str:
    if value is None:
        return name_of(source.parent)
    return name_of(Path(value.removeprefix(_PATH))) if value.startswith(_PATH) else value


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
