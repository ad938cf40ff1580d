"""A fleet as its fleet.nix declares it, as plain frozen records; and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
TAG_FLEET = "invar:fleet"
"""Tag of groups, launch templates and instances: the fleet's name."""
TAG_FLEET_GENERATION = "invar:fleet-generation"
"""Tag of instances and launch template versions: the fleet's generation that launched them first."""

TAG_HELD = "invar:held"
"""Tag of groups: the generation whose rollout suspended the process InstanceRefresh. Others have it not."""


@dataclass(frozen=True, slots=True)
class Size:
    """Fewest, wanted and most instances of a group. `desired` None: whatever it is."""

    min: int
    desired: int | None
    max: int


@dataclass(frozen=True, slots=True)
class RegionSpec:
    """One region: its network, and sizes that replace the fleet's."""

    subnets: tuple[str, ...]
    zones: tuple[str, ...]
    target_groups: tuple[str, ...]
    security_groups: tuple[str, ...]
    min: int | None
    desired: int | None
    max: int | None


@dataclass(frozen=True, slots=True)
class Spot:
    """`share` in percent of what is above `on_demand_base` instances."""

    share: int
    on_demand_base: int
    strategy: str


@dataclass(frozen=True, slots=True)
class Health:
    """What makes an instance a good one. `grace` and `within` are in seconds after its launch."""

    type: Literal["EC2", "ELB"]
    grace: int
    checks: bool
    proof: Literal["console", "http"]
    proof_port: int
    within: int


@dataclass(frozen=True, slots=True)
class Window:
    """When rollouts may begin, in UTC. `begin` and `end` are HH:MM; `end` before `begin` is on the next day."""

    days: tuple[str, ...]
    begin: str
    end: str

    def opens(self, now: float) -> bool:
        """Whether a rollout may begin at `now` (seconds since 1970)."""
        at = datetime.fromtimestamp(now, UTC)
        day, time = at.weekday(), f"{at:%H:%M}"
        if self.begin <= self.end:
            return DAYS[day] in self.days and self.begin <= time < self.end
        return (DAYS[day] in self.days and time >= self.begin) or (DAYS[day - 1] in self.days and time < self.end)

    def __str__(self) -> str:
        return f"{', '.join(self.days)} from {self.begin} to {self.end} UTC"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a rollout goes. Percentages of a region's desired instances; times in seconds."""

    regions: tuple[str, ...]
    canary: int
    waves: tuple[int, ...]
    pause: int
    min_healthy: int
    max_healthy: int
    warm_up: int
    bake: int
    alarms: tuple[str, ...]
    automatic_rollback: bool
    window: Window | None


@dataclass(frozen=True, slots=True)
class AuditPolicy:
    """What an audit takes as it is. `sessions`: that somebody is logged in. `max_age`: seconds for which a proof counts
    after it was gathered, None: for ever."""

    sessions: bool = False
    max_age: int | None = 10800


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """One fleet. `configuration` is the name of a published configuration."""

    name: str
    configuration: str
    regions: dict[str, RegionSpec]
    ledger_region: str | None
    instance_types: tuple[str, ...]
    spot: Spot
    min: int
    desired: int | None
    max: int | None
    instance_profile: str | None
    parameters: dict[str, Any]
    tags: dict[str, str]
    health: Health
    rollout: Policy
    audit: AuditPolicy = AuditPolicy()

    @property
    def order(self) -> tuple[str, ...]:
        """Its regions, in the order in which they are rolled."""
        return tuple(dict.fromkeys((*self.rollout.regions, *sorted(self.regions))))

    @property
    def home(self) -> str:
        """The region that holds its ledger."""
        return self.ledger_region or self.order[0]

    @property
    def group(self) -> str:
        """The name of its groups and launch templates, in every region."""
        return f"invar-{self.name}"

    @property
    def mixed(self) -> bool:
        """Whether its groups are of mixed instances."""
        return len(self.instance_types) > 1 or self.spot.share > 0

    def size(self, region: str) -> Size:
        """The size of a region's group."""
        own = self.regions[region]
        least = self.min if own.min is None else own.min
        desired = self.desired if own.desired is None else own.desired
        most = self.max if own.max is None else own.max
        return Size(least, desired, 2 * max(1, least, desired or 0) if most is None else most)
