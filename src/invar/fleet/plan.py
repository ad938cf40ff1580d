"""What publishing would change: the plan as data. Regions, generations, and the comparison of systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from invar.aws.blocks import BLOCK
from invar.fleet.comparison import Comparison
from invar.fleet.plan_fleets import FleetPlan
from invar.fleet.subjects import Subject
from invar.system.record import plain

Action = Literal["upload", "copy", "wait", "name", "nothing", "unreachable"]


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """What would happen in one region.

    "upload": `blocks` blocks (None: not built, unknown) go into a new snapshot, over `parent` if there is one, and an
    image is registered. "copy": an image is copied from region `source`. "wait": a copy is under way. "name": the image
    is there, only the SSM parameter does not name it yet. "unreachable": `why`.
    """

    region: str
    action: Action
    image: str | None = None
    parent: str | None = None
    source: str | None = None
    blocks: int | None = None
    why: str | None = None

    @property
    def bytes(self) -> int | None:
        """What would be sent."""
        return None if self.blocks is None else self.blocks * BLOCK


@dataclass(frozen=True, slots=True)
class CloudPlan:
    """The regions, and the generations: `before` is the newest one's number (0: none), `after` what it would be."""

    before: int
    after: int
    regions: tuple[RegionPlan, ...]

    @property
    def changes(self) -> bool:
        """Whether anything would be done anywhere."""
        return any(one.action != "nothing" for one in self.regions)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would change. `comparison` is with the newest generation, or with the last build; None when there is none.

    `cloud` None: no cloud was asked. `new` is the planned system; its disk is known when it was built.
    """

    new: Subject
    comparison: Comparison | None
    cloud: CloudPlan | None
    fleets: tuple[FleetPlan, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything would."""
        differs = self.comparison is None or self.comparison.differs or any(one.changes for one in self.fleets)
        return differs or (self.cloud is not None and self.cloud.changes)

    def to_data(self) -> dict[str, Any]:
        """As `--json` tells it."""
        cloud = self.cloud
        return {
            "changes": self.changes,
            "configuration": self.new.configuration,
            "system_digest": self.new.system_digest,
            "spec_digest": self.new.spec_digest,
            "comparison": None if self.comparison is None else self.comparison.to_data(),
            "generation": None if cloud is None else {"before": cloud.before, "after": cloud.after},
            "regions": None if cloud is None else [_region_data(one) for one in cloud.regions],
            "fleets": [{**plain(one), "rolls": one.rolls} for one in self.fleets],
        }


def _region_data(one: RegionPlan) -> dict[str, Any]:
    return {
        "region": one.region,
        "action": one.action,
        "image": one.image,
        "parent": one.parent,
        "source": one.source,
        "blocks": one.blocks,
        "bytes": one.bytes,
        "why": one.why,
    }
