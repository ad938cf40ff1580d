"""Which instance type a mixed instances policy launches next, and whether as Spot. Pure, and without chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

from invar.localcloud.autoscaling_records import Member

DEFAULTS = {
    "OnDemandAllocationStrategy": "prioritized",
    "OnDemandBaseCapacity": 0,
    "OnDemandPercentageAboveBaseCapacity": 100,
    "SpotAllocationStrategy": "lowest-price",
    "SpotInstancePools": 2,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """`type` is empty where the template's own type counts; `template` is an override's own template."""

    type: str
    spot: bool
    template: dict[str, Any] | None = None


def choose(policy: Mapping[str, Any] | None, own_type: str, present: Sequence[Member]) -> Choice:
    """The next launch, given the members that count.

    On-Demand: base capacity first, then so many that the percentage above it is kept, rounded up in favour of
    On-Demand; `prioritized` and `lowest-price` take the first override. Spot: `lowest-price` goes round the first
    SpotInstancePools overrides, `capacity-optimized-prioritized` takes the first, the others go round all.
    """
    if policy is None:
        return Choice("", False)
    options = complete_distribution(policy)
    listed = list(policy["LaunchTemplate"].get("Overrides") or [{}])
    spot_now = sum(one.spot for one in present)
    on_demand = len(present) - spot_now
    base = options["OnDemandBaseCapacity"]
    above = max(0, len(present) + 1 - base)
    spot_wanted = floor(above * (100 - options["OnDemandPercentageAboveBaseCapacity"]) / 100)
    spot = on_demand >= base and spot_now < spot_wanted
    if not spot:
        return _choice(listed[0], False)
    strategy = options["SpotAllocationStrategy"]
    if strategy == "lowest-price":
        pools = listed[: options["SpotInstancePools"]]
    elif strategy == "capacity-optimized-prioritized":
        pools = listed[:1]
    else:
        pools = listed
    used = Counter(one.type for one in present if one.spot)
    return _choice(min(pools, key=lambda one: used[one.get("InstanceType", own_type)]), True)


def complete_distribution(policy: Mapping[str, Any]) -> dict[str, Any]:
    """InstancesDistribution with its defaults."""
    return DEFAULTS | dict(policy.get("InstancesDistribution") or {})


def _choice(override: Mapping[str, Any], spot: bool) -> Choice:
    return Choice(override.get("InstanceType", ""), spot, override.get("LaunchTemplateSpecification"))
