"""Where a fleet stands: what its ledger says, and what each region's group has in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from invar.aws.client import Cloud
from invar.aws.groups import GroupRecord, find_group
from invar.aws.refreshes import RefreshRecord, newest_refresh
from invar.fleet.given import Moved
from invar.fleet.ledger import History, Ledger, Standing
from invar.fleet.regions import everywhere
from invar.fleet.rollout_decision import is_held
from invar.fleet.spec import FleetSpec
from invar.system.record import plain


@dataclass(frozen=True, slots=True)
class RegionStatus:
    """One region. `by_generation`: what members run ("generation 3", or a template's version) → how many.

    `held`: its refresh is suspended, until a new instance has proven what it runs or an operator takes back a pause.
    """

    region: str
    desired: int = 0
    serving: int = 0
    by_generation: dict[str, int] = field(default_factory=dict)
    refresh: RefreshRecord | None = None
    held: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """One fleet: the generation that runs, the last one begun, and the regions."""

    fleet: str
    current: Standing | None
    newest: Standing | None
    regions: tuple[RegionStatus, ...]

    def to_data(self) -> dict[str, Any]:
        """As `--json` tells it."""
        newest = self.newest
        return {
            "fleet": self.fleet,
            "generation": None if self.current is None else self.current.entry.number,
            "under_way": None if newest is None or not newest.open else {"state": newest.word, **plain(newest)},
            "regions": plain(self.regions),
        }


def status_of(cloud: Cloud, spec: FleetSpec, ledger: Ledger) -> Status:
    """Look at the ledger and at every region: three calls a region. Raises InvarError without the ledger."""
    return _status(cloud, spec.name, spec.group, spec.order, ledger.history(), "invar fleet apply makes it")


def status_of_moved(cloud: Cloud, moved: Moved) -> Status:
    """The same of a group that Terraform moves, in the regions of its last generation. Raises InvarError."""
    history = moved.history(cloud)
    newest = history.newest
    order = newest.entry.terms.order if newest is not None else ()
    return _status(cloud, moved.name, moved.group, order, history, "Terraform declares it")


def _status(cloud: Cloud, name: str, group: str, order: tuple[str, ...], history: History, missing: str) -> Status:
    outcomes = everywhere(order, lambda region: _look(cloud, group, region, history, missing))
    regions = [
        outcomes.done[region] if region in outcomes.done else RegionStatus(region, error=outcomes.failed[region].what)
        for region in order
    ]
    return Status(name, history.current, history.newest, tuple(regions))


def _look(cloud: Cloud, name: str, region: str, history: History, missing: str) -> RegionStatus:
    group = find_group(cloud, region, name)
    if group is None:
        return RegionStatus(region, error=f"there is no group: {missing}")
    refresh = newest_refresh(cloud, region, name)
    return RegionStatus(
        region,
        group.desired,
        sum(member.serving for member in group.members),
        spread(group, history),
        refresh if refresh is not None and (refresh.active or refresh.ending) else None,
        is_held(group),
    )


def spread(group: GroupRecord, history: History) -> dict[str, int]:
    """How many working members are of which generation. Pure."""
    names: dict[tuple[str, str], str] = {}
    for one in history.standings:
        deployment = one.entry.deployments.get(group.region)
        if deployment is not None:
            names[deployment.template, deployment.version] = f"generation {one.entry.number}"
    counted = Counter(
        names.get((member.template, member.version), f"{member.template or 'no template'} {member.version}".strip())
        for member in group.members
        if member.counts
    )
    return dict(sorted(counted.items()))
