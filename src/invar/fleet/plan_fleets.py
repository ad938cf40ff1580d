"""What of a configuration's fleets would change: groups to be made or changed, instances that a rollout replaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invar.aws.client import Cloud
from invar.aws.groups import GroupRecord
from invar.aws.launch_templates import list_versions
from invar.core.events import Report
from invar.fleet.apply import GroupChange, group_changes
from invar.fleet.begin import find_fleet_groups
from invar.fleet.declaration import FILE, NameOf, load_fleets
from invar.fleet.launch import description, launch_data
from invar.fleet.ledger import Entry, Ledger
from invar.fleet.regions import everywhere
from invar.fleet.spec import FleetSpec


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """One fleet. `generation` and `system_digest` are what it runs; `after` is the digest that it would be rolled to.

    `under_way` tells of a generation that is not at rest. `instances` are those of each region that a rollout would
    replace; `launch` the regions where the fleet.nix asks for another launch template version. `groups` is what `invar
    fleet apply` would do in a region, `settings` the changes of an update: API name → (now, declared).
    """

    fleet: str
    generation: int | None
    system_digest: str | None
    after: str | None
    instances: dict[str, int]
    groups: dict[str, str]
    under_way: str | None = None
    launch: tuple[str, ...] = ()
    settings: dict[str, dict[str, tuple[Any, Any]]] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Whether anything would."""
        return bool(self.groups) or self.rolls

    @property
    def rolls(self) -> bool:
        """Whether a rollout would replace instances. A system that is not built yet differs."""
        return self.generation is not None and (self.system_digest != self.after or bool(self.launch))


def plan_fleets(
    cloud: Cloud,
    place: Path,
    configuration: str,
    system_digest: str | None,
    name_of: NameOf,
    report: Report,
    *,
    cache_dir: Path | None,
) -> tuple[FleetPlan, ...]:
    """The fleets of the fleet.nix beside a configuration that run it; none where there is none. Raises InvarError."""
    directory = place if place.is_dir() else place.parent
    if not (directory / FILE).is_file():
        return ()
    specs = load_fleets(directory, name_of, report, cache_dir=cache_dir).values()
    return tuple(plan_fleet(cloud, spec, system_digest) for spec in specs if spec.configuration == configuration)


def plan_fleet(cloud: Cloud, spec: FleetSpec, system_digest: str | None) -> FleetPlan:
    """What would change of one fleet when its configuration is this system. Raises InvarError."""
    groups = find_fleet_groups(cloud, spec)
    history = Ledger(cloud, spec.home, spec.name).history()
    current, newest = history.current, history.newest
    changes = group_changes(spec, groups, adopt=True)
    return FleetPlan(
        fleet=spec.name,
        generation=None if current is None else current.entry.number,
        system_digest=None if current is None else current.entry.system_digest,
        after=system_digest,
        instances=_instances(groups),
        groups={one.region: one.action for one in changes},
        under_way=f"generation {newest.entry.number} is {newest.word}" if newest is not None and newest.open else None,
        launch=() if current is None else _launch_changes(cloud, spec, current.entry),
        settings=_settings(changes),
    )


def _instances(groups: Mapping[str, GroupRecord]) -> dict[str, int]:
    return {region: sum(member.counts for member in group.members) for region, group in groups.items()}


def _settings(changes: list[GroupChange]) -> dict[str, dict[str, tuple[Any, Any]]]:
    return {one.region: one.settings for one in changes if one.settings}


def _launch_changes(cloud: Cloud, spec: FleetSpec, entry: Entry) -> tuple[str, ...]:
    """The regions whose launch template version is not what the fleet.nix makes of the same image."""

    def differs(region: str) -> bool:
        deployment = entry.deployments[region]
        data = launch_data(spec, region, deployment.image, entry.system_digest)
        wanted = description(data, spec.instance_types, spec.spot)
        versions = list_versions(cloud, region, deployment.template)
        return all(str(one.number) != deployment.version or one.description != wanted for one in versions)

    regions = tuple(region for region in spec.order if region in entry.deployments)
    outcomes = everywhere(regions, differs)
    for error in outcomes.failed.values():
        raise error
    return tuple(region for region in regions if outcomes.done[region])
