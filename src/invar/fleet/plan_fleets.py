"""What of a configuration's fleets would change: groups to be made or changed, instances that a rollout replaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invar.aws.client import Cloud
from invar.core.events import Report
from invar.fleet.apply import group_changes
from invar.fleet.begin import find_fleet_groups
from invar.fleet.declaration import FILE, NameOf, load_fleets
from invar.fleet.ledger import Ledger
from invar.fleet.spec import FleetSpec


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """One fleet. `generation` and `system_digest` are what it runs; `after` is the digest that it would be rolled to.

    `instances` are those of each region that a rollout would replace; `groups` what `invar fleet apply` would do in it.
    """

    fleet: str
    generation: int | None
    system_digest: str | None
    after: str | None
    instances: dict[str, int]
    groups: dict[str, str]

    @property
    def changes(self) -> bool:
        """Whether anything would."""
        return bool(self.groups) or self.rolls

    @property
    def rolls(self) -> bool:
        """Whether a rollout would replace instances. A system that is not built yet differs."""
        return self.generation is not None and self.system_digest != self.after


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
    specs: Sequence[FleetSpec] = list(load_fleets(directory, name_of, report, cache_dir=cache_dir).values())
    return tuple(_plan(cloud, spec, system_digest) for spec in specs if spec.configuration == configuration)


def _plan(cloud: Cloud, spec: FleetSpec, system_digest: str | None) -> FleetPlan:
    groups = find_fleet_groups(cloud, spec)
    current = Ledger(cloud, spec.home, spec.name).history().current
    return FleetPlan(
        fleet=spec.name,
        generation=None if current is None else current.entry.number,
        system_digest=None if current is None else current.entry.system_digest,
        after=system_digest,
        instances={region: sum(member.counts for member in group.members) for region, group in groups.items()},
        groups={one.region: one.action for one in group_changes(spec, groups, adopt=True)},
    )
