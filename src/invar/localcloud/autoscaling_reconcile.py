"""What an Auto Scaling group does next: members move on, unhealthy ones go, capacity is met. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from invar.localcloud.autoscaling_records import LAUNCHING, TERMINATING, Group, LifecycleState, Member

REBALANCED = "an instance was launched to rebalance instances in the group across Availability Zones."
STOPPED = "an instance was taken out of service in response to an EC2 health check indicating it has been "
IMPAIRED = "an instance was taken out of service in response to an EC2 instance status checks failure."
UNHEALTHY = "an instance was taken out of service in response to an ELB system health check failure."
InstanceState = Literal["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a member's instance: EC2's state, whether its status checks fail, and its targets.

    `target`: "healthy", "unhealthy", "initial", "draining" or None where the group has no target group; the worst one.
    """

    state: InstanceState
    impaired: bool = False
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """Launch members. `zone` None: wherever fewest are. `warm`: into the warm pool."""

    count: int
    cause: str
    zone: str | None = None
    warm: bool = False


@dataclass(frozen=True, slots=True)
class Terminate:
    """Take a member out and end its instance."""

    member: str
    cause: str


@dataclass(frozen=True, slots=True)
class Move:
    """A member comes into another state."""

    member: str
    state: LifecycleState


@dataclass(frozen=True, slots=True)
class Judge:
    """A member is unhealthy."""

    member: str
    cause: str


@dataclass(frozen=True, slots=True)
class Forget:
    """A member's instance is gone; `failed` says why it never came into service."""

    member: str
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class FromPool:
    """A member of the warm pool goes into service."""

    member: str
    cause: str


Action = Launch | Terminate | Move | Judge | Forget | FromPool


def progress(group: Group, seen: Mapping[str, Seen], now: float) -> list[Action]:
    """Every member's own next step, given what is seen of its instance (an instance not in `seen` is gone)."""
    return [step for member in group.members.values() for step in _next(group, member, seen.get(member.id), now)]


def unhealthy(group: Group, seen: Mapping[str, Seen], now: float) -> list[Judge]:
    """Members in service that a health check finds unhealthy now."""
    if not group.runs("HealthCheck"):
        return []
    found = []
    for member in group.members.values():
        look = seen.get(member.id)
        if member.health == "Unhealthy" or member.state != "InService":
            continue
        if look is None or look.state != "running":
            found.append(Judge(member.id, f"{STOPPED}terminated or stopped."))
        elif now < member.ready + group.grace:
            continue
        elif look.impaired:
            found.append(Judge(member.id, IMPAIRED))
        elif group.health == "ELB" and look.target == "unhealthy":
            found.append(Judge(member.id, UNHEALTHY))
    return found


def capacity(group: Group, surge: int, now: float) -> list[Action]:
    """Launches and terminations that bring the group to its desired capacity plus what a refresh has above it."""
    actions: list[Action] = []
    members = list(group.members.values())
    bad = [one for one in members if one.health == "Unhealthy" and one.state == "InService"]
    counted = [one for one in members if one.counted]
    wanted = group.desired + surge
    wanted += sum(one.cause == REBALANCED and one.state != "InService" for one in counted)
    if bad and group.runs("ReplaceUnhealthy"):
        ahead = _launched_ahead(group, counted, bad)
        wanted += ahead
        good = [one for one in counted if one.state == "InService" and one.health == "Healthy"]
        spare = len(good) >= wanted - len(bad) if ahead else True
        if spare and group.runs("Terminate"):
            actions += [Terminate(one.id, one.cause) for one in bad]
            counted = [one for one in counted if one not in bad]
            wanted -= ahead
    missing = wanted - len(counted)
    if missing > 0 and group.runs("Launch") and not group.deleting and now >= group.next_try:
        cause = (
            "an instance was launched in response to a difference between desired and actual capacity, "
            f"increasing the capacity from {len(counted)} to {wanted}."
        )
        pool = [one for one in members if one.warm and one.state in ("Warmed:Running", "Warmed:Stopped")]
        taken = pool[:missing]
        actions += [FromPool(one.id, cause) for one in taken]
        if missing > len(taken):
            actions.append(Launch(missing - len(taken), cause))
    elif missing < 0 and group.runs("Terminate"):
        cause = (
            f"an instance was taken out of service in response to a difference between desired and actual capacity, "
            f"shrinking the capacity from {len(counted)} to {wanted}."
        )
        actions += [Terminate(one.id, cause) for one in scale_in(group, counted, -missing)]
    return actions or _rebalance(group, counted)


def warm_pool(group: Group) -> list[Action]:
    """Launches and terminations that bring the warm pool to its size."""
    warm = [one for one in group.members.values() if one.warm and not one.leaving]
    pool = group.pool
    if pool is None or group.deleting or pool.deleting:
        return [Terminate(one.id, "the warm pool was deleted.") for one in warm]
    size = max(pool.least, (group.most if pool.most is None else pool.most) - group.desired)
    if len(warm) < size and group.runs("Launch"):
        return [Launch(size - len(warm), "an instance was launched into the warm pool.", warm=True)]
    return [Terminate(one.id, "the warm pool is larger than wanted.") for one in warm[size:]]


def scale_in(group: Group, members: Sequence[Member], count: int) -> list[Member]:
    """The members that go first: of the zone with most, by the termination policies. Protected ones never."""
    chosen: list[Member] = []
    left = [one for one in members if not one.protected]
    zones = Counter(one.zone for one in members)
    while left and len(chosen) < count:
        most = max(zones[one.zone] for one in left)
        crowded = [one for one in left if zones[one.zone] == most]
        first = min(crowded, key=lambda one: _order(group, one))
        chosen.append(first)
        left.remove(first)
        zones[first.zone] -= 1
    return chosen


def emptiest_zone(group: Group) -> str:
    """The zone for the next launch: where fewest counted members are, in the order of the group's zones.

    Under a refresh it is where fewest of those are that stay.
    """
    zones = Counter(one.zone for one in group.members.values() if one.counted or one.warm)
    refresh = group.active_refresh
    if refresh is None:
        return min(group.zones, key=lambda zone: zones[zone])
    staying = Counter(
        one.zone
        for one in group.members.values()
        if one.counted and (one.epoch != refresh.epoch if refresh.rolling_back else one.epoch >= refresh.epoch)
    )
    return min(group.zones, key=lambda zone: (staying[zone], zones[zone]))


def _order(group: Group, member: Member) -> tuple[object, ...]:
    """Members with the smallest go first. Default: not yet in service, unhealthy, another template version, older."""
    keys: list[object] = [member.health == "Healthy", member.state == "InService"]
    version, current = int(member.template.version), _current_version(group)
    for name in group.termination:
        if name == "NewestInstance":
            keys.append(-member.since if member.ready == float("inf") else -member.ready)
        elif name == "OldestInstance":
            keys.append(member.since if member.ready == float("inf") else member.ready)
        elif name in ("OldestLaunchTemplate", "Default"):
            keys += [version == current, version]
    return (*keys, member.since, member.id)


def _current_version(group: Group) -> int | None:
    """The version that is launched now, where it is a number: members of any other go before those of it."""
    launch = group.launching
    mixed = launch.get("MixedInstancesPolicy")
    named = mixed["LaunchTemplate"]["LaunchTemplateSpecification"] if mixed else launch["LaunchTemplate"]
    text = str(named.get("Version", ""))
    return int(text) if text.isdecimal() else None


def _launched_ahead(group: Group, counted: Sequence[Member], bad: Sequence[Member]) -> int:
    """How many replacements come before the unhealthy go: as the instance maintenance policy allows."""
    if group.policy is None or group.policy[1] <= 100:
        return 0
    return min(len(bad), max(1, ceil(group.desired * group.policy[1] / 100) - group.desired))


def _rebalance(group: Group, counted: Sequence[Member]) -> list[Action]:
    """One launch in the emptiest zone when zones differ by more than one; scale-in then takes one where most are."""
    if len(group.zones) < 2 or not group.runs("AZRebalance") or group.active_refresh is not None or group.deleting:
        return []
    if any(one.state != "InService" for one in group.members.values() if not one.warm) or not group.runs("Launch"):
        return []
    zones = Counter(dict.fromkeys(group.zones, 0))
    zones.update(one.zone for one in counted)
    low = min(group.zones, key=lambda zone: zones[zone])
    high = max(zones.values())
    if high - zones[low] < 2:
        return []
    return [Launch(1, REBALANCED, zone=low)]


def _next(group: Group, member: Member, look: Seen | None, now: float) -> list[Action]:
    dead = look is None or look.state in ("shutting-down", "terminated")
    state = member.state
    if state in ("Terminating", "Terminating:Wait", "Terminating:Proceed"):
        return _leaving(group, member, look, dead, now)
    if dead:
        if state in ("InService", "Standby") or member.health == "Unhealthy":
            return [] if state == "InService" else [Forget(member.id)]
        return [Forget(member.id, "Instance failed to launch: it was terminated before it was in service.")]
    assert look is not None
    prefix = "Warmed:" if member.warm else ""
    if state == f"{prefix}Pending" and look.state == "running":
        hooked = any(hook.transition == LAUNCHING for hook in group.hooks.values())
        if hooked:
            return [Move(member.id, "Warmed:Pending:Wait" if member.warm else "Pending:Wait")]
        return [Move(member.id, _arrived(group, member))]
    if state == f"{prefix}Pending:Wait":
        result = _result(member, now)
        if result == "ABANDON":
            return [Terminate(member.id, "its lifecycle action was abandoned, or timed out.")]
        if result == "CONTINUE":
            return [Move(member.id, "Warmed:Pending:Proceed" if member.warm else "Pending:Proceed")]
    if state == f"{prefix}Pending:Proceed":
        return [Move(member.id, _arrived(group, member))]
    if state == "EnteringStandby" and look.target in (None, "unused"):
        return [Move(member.id, "Standby")]
    if state == "Detaching" and look.target in (None, "unused"):
        return [Forget(member.id)]
    return []


def _arrived(group: Group, member: Member) -> LifecycleState:
    if not member.warm:
        return "InService"
    return "Warmed:Running" if group.pool is not None and group.pool.state == "Running" else "Warmed:Stopped"


def _leaving(group: Group, member: Member, look: Seen | None, dead: bool, now: float) -> list[Action]:
    if look is None or look.state == "terminated":
        return [Forget(member.id)]
    if member.state == "Terminating" and not dead:
        if look.target not in (None, "unused"):
            return []
        if any(hook.transition == TERMINATING for hook in group.hooks.values()):
            return [Move(member.id, "Terminating:Wait")]
        return [Move(member.id, "Terminating:Proceed")]
    if member.state == "Terminating:Wait" and (dead or _result(member, now) is not None):
        return [Move(member.id, "Terminating:Proceed")]
    if member.state == "Terminating":
        return [Move(member.id, "Terminating:Proceed")]
    return []


def _result(member: Member, now: float) -> str | None:
    """What the hooks say together: ABANDON as soon as one does, CONTINUE once all do, None before."""
    results = [
        one.result or (one.default if now >= min(one.deadline, one.latest) else None) for one in member.waiting.values()
    ]
    if "ABANDON" in results:
        return "ABANDON"
    return None if None in results else "CONTINUE"
