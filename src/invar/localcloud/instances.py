"""What the cloud knows of EC2 instances: one record each, kept in memory by region."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from invar.localcloud.behaviour import Behaviour

Kind = Literal["machine", "simulated"]
State = Literal["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]
Status = Literal["initializing", "ok", "impaired", "insufficient-data", "not-applicable"]
CODES: dict[State, int] = {
    "pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80,
}  # fmt: skip
NEVER = float("inf")


@dataclass(slots=True)
class Instance:
    """One instance. Times are seconds since 1970 on the cloud's clock.

    `template` is (id, name, version) of the launch template. `group` names its Auto Scaling group. `booted` is when its
    status checks began to pass, `running` since when it is running, `until` when the state it is in ends by itself
    (NEVER for machines, whose end is seen). `volumes` maps device names to EBS volume ids. `closed_ports` could not be
    opened on the host.
    """

    id: str
    region: str
    account: str
    reservation: str
    index: int
    kind: Kind
    image: str
    architecture: str
    root_device: str
    snapshot: str | None
    disk_gib: int
    type: str
    zone: str
    subnet: str
    vpc: str
    address: str
    security_groups: tuple[tuple[str, str], ...]
    ports: tuple[int, ...]
    key: str | None
    user_data: bytes | None
    profile: dict[str, str] | None
    tags: dict[str, str]
    launched: float
    token: str = ""
    spot: bool = False
    template: tuple[str, str, str] | None = None
    group: str | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)
    image_tags: dict[str, str] = field(default_factory=dict)
    metadata_options: dict[str, Any] = field(default_factory=dict)
    protected: bool = False
    monitoring: bool = False
    source_check: bool = True
    shutdown_behaviour: str = "stop"
    volumes: dict[str, str] = field(default_factory=dict)
    state: State = "pending"
    until: float = NEVER
    running: float | None = None
    booted: float | None = None
    boots_at: float = NEVER
    ended: float | None = None
    reason: tuple[str, str] | None = None
    closed_ports: tuple[int, ...] = ()
    boots: int = 1

    @property
    def alive(self) -> bool:
        """Whether it is neither terminated nor on the way there."""
        return self.state not in ("shutting-down", "terminated")

    def status(self, now: float) -> Status:
        """What its status checks say."""
        if self.state != "running":
            return "not-applicable"
        if self.fails(now):
            return "impaired"
        return "ok" if self.booted is not None and self.booted <= now else "initializing"

    def fails(self, now: float) -> bool:
        """Whether a fault that was asked for shows in its status checks."""
        start = self.running if self.running is not None else NEVER
        return self.behaviour.impaired_after is not None and now >= start + self.behaviour.impaired_after


class InstanceStore:
    """Instances of all regions, oldest first."""

    def __init__(self) -> None:
        self._regions: dict[str, dict[str, Instance]] = {}

    def add(self, instance: Instance) -> None:
        """Keep a new instance."""
        self._regions.setdefault(instance.region, {})[instance.id] = instance

    def find(self, region: str, identity: str) -> Instance | None:
        """The instance, if that region has it."""
        return self._regions.get(region, {}).get(identity)

    def of_region(self, region: str) -> list[Instance]:
        """All instances of a region."""
        return list(self._regions.get(region, {}).values())

    def everything(self) -> Iterable[Instance]:
        """All instances of all regions."""
        return [one for region in self._regions.values() for one in region.values()]

    def regions(self) -> list[str]:
        """Regions that ever had an instance."""
        return list(self._regions)

    def forget(self, instance: Instance) -> None:
        """It is no longer shown."""
        self._regions[instance.region].pop(instance.id, None)

    def restore(self, instances: Iterable[Instance]) -> None:
        """Take what was kept on disk."""
        self._regions.clear()
        for one in instances:
            self.add(one)


def new_instance_id() -> str:
    """An instance id."""
    return f"i-0{secrets.token_hex(8)}"
