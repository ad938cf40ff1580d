"""What an instance refresh does next. Pure: a step reads the group and says what changes.

Follows "How an instance refresh works" of the Amazon EC2 Auto Scaling User Guide, and the API reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any

from invar.localcloud.autoscaling_records import Group, Member, Refresh, RefreshStatus

WAIT_SECONDS = 3600.0
"""How long a refresh waits for protected and standby instances."""
CHECKPOINT_DELAY = 3600


@dataclass(slots=True)
class Step:
    """The outcome of one look: the refresh's new figures, members to replace now, and when to look again."""

    status: RefreshStatus
    reason: str | None
    percentage: int
    remaining: int
    surge: int = 0
    replace: list[str] = field(default_factory=list)
    checkpoint: int = 0
    paused_until: float | None = None
    bake_until: float | None = None
    waiting_since: float | None = None
    again: float | None = None
    roll_back: str | None = None


def outdated(group: Group, refresh: Refresh, matching: Collection[str]) -> list[Member]:
    """Members that are still to be replaced. `matching` are those that skip-matching leaves alone."""
    standby = refresh.preferences["StandbyInstances"]
    protected = refresh.preferences["ScaleInProtectedInstances"]
    found = []
    for member in group.members.values():
        if member.leaving or member.warm:
            continue
        if (member.epoch != refresh.epoch) if refresh.rolling_back else (member.epoch >= refresh.epoch):
            continue
        if not refresh.rolling_back and member.id in matching:
            continue
        if member.state in ("Standby", "EnteringStandby"):
            if standby != "Ignore":
                found.append(member)
        elif not (member.protected and protected == "Ignore"):
            found.append(member)
    return found


def refresh_step(
    group: Group, refresh: Refresh, matching: Collection[str], alarms: Collection[str], stall: float, now: float
) -> Step:
    """One look at an active refresh. `alarms` are those of its alarm specification that are in state ALARM."""
    old = outdated(group, refresh, matching)
    warmup = warmup_of(group, refresh)
    new = [one for one in group.members.values() if one.counted and one not in old and one.epoch >= refresh.epoch]
    warmed = [one for one in new if _settled(one) and now >= one.ready + warmup]
    unsettled = [one for one in new if one not in warmed]
    leaving = [one for one in group.members.values() if one.leaving and not one.warm]
    missing = max(0, group.desired - sum(one.counted for one in group.members.values()))
    percentage, remaining = _figures(refresh, len(old), len(warmed))
    step = Step(
        status=refresh.status,
        reason=refresh.reason,
        percentage=percentage,
        remaining=remaining,
        checkpoint=refresh.checkpoint,
        paused_until=refresh.paused_until,
        bake_until=refresh.bake_until,
        waiting_since=refresh.waiting_since,
    )
    if unsettled:
        ends = [one.ready + warmup for one in unsettled if one.state == "InService"]
        step.again = min((end for end in ends if end > now), default=None)
    if refresh.status == "Cancelling":
        if not unsettled and not leaving:
            step.status, step.reason = "Cancelled", "Cancelled due to user request."
        return step
    if refresh.status == "Pending":
        step.status = "InProgress"
    if alarms and refresh.status != "RollbackInProgress":
        return _fail(refresh, step, f"Alarm(s) in ALARM state: {', '.join(sorted(alarms))}.")
    if now >= refresh.progressed + stall + warmup:
        return _fail(refresh, step, "No instance could be replaced in time: instances did not become healthy.")
    if refresh.status == "Baking":
        return _bake(step, now)
    if _held_back(refresh, step, old, now):
        return step
    if not old or _last_checkpoint_passed(refresh, step):
        return _finish(refresh, step, bool(unsettled or missing or leaving), now)
    _replace(group, refresh, step, old, unsettled, missing)
    return step


def warmup_of(group: Group, refresh: Refresh) -> float:
    """Seconds that a new instance is in service before it counts as replaced."""
    own = refresh.preferences.get("InstanceWarmup")
    if own is not None:
        return float(own)
    return float(group.grace if group.warmup is None else group.warmup)


def complete_preferences(group: Group, given: dict[str, Any]) -> dict[str, Any]:
    """Preferences with their defaults."""
    least, most = group.policy or (90, 100)
    complete: dict[str, Any] = {
        "MinHealthyPercentage": least,
        "MaxHealthyPercentage": most,
        "SkipMatching": False,
        "AutoRollback": False,
        "ScaleInProtectedInstances": "Wait",
        "StandbyInstances": "Wait",
        "BakeTime": 0,
    } | given
    if "CheckpointPercentages" in complete:
        complete.setdefault("CheckpointDelay", CHECKPOINT_DELAY)
    return complete


def floor_of(desired: int, percentage: int) -> int:
    """How many instances a minimum healthy percentage means: rounded up."""
    return ceil(desired * percentage / 100)


def _settled(member: Member) -> bool:
    return member.state == "InService" and member.health == "Healthy"


def _figures(refresh: Refresh, old: int, warmed: int) -> tuple[int, int]:
    """PercentageComplete and InstancesToUpdate. A rollback's percentage goes down to zero."""
    if refresh.rollback is not None:
        share = old / refresh.rollback["total"] if refresh.rollback["total"] else 0.0
        return floor(refresh.rollback["percentage"] * share), int(refresh.rollback["remaining"])
    done = max(0, min(warmed, refresh.total - old))
    percentage = 100 if refresh.total == 0 else floor(100 * done / refresh.total)
    return percentage, refresh.total - done


def _replace(
    group: Group, refresh: Refresh, step: Step, old: list[Member], unsettled: list[Member], missing: int
) -> None:
    """Which old ones go now, and how many instances there are to be above the desired capacity afterwards.

    They go from the zones where most are: else the group would be rebalanced, by launches of its own, once it ends.
    """
    floor_percentage = refresh.preferences["MinHealthyPercentage"]
    least = floor_of(group.desired, floor_percentage)
    surge = ceil(group.desired * refresh.preferences["MaxHealthyPercentage"] / 100) - group.desired
    healthy = sum(one.counted and _settled(one) and one not in unsettled for one in group.members.values())
    room = _room(refresh, step, old)
    going = healthy - least
    if surge == 0 and least >= group.desired:
        if refresh.explicit_maximum:
            surge = 1
        elif not unsettled and not missing:
            going = 1
    movable = [one for one in old if one.state in ("InService", "Standby") and not _blocked(refresh, one)]
    zones = Counter(one.zone for one in group.members.values() if one.counted)
    while movable and len(step.replace) < room:
        member = min(movable, key=lambda one: (_settled(one), -zones[one.zone], one.since, one.id))
        if _settled(member) and going <= 0:
            break
        movable.remove(member)
        step.replace.append(member.id)
        zones[member.zone] -= 1
        going -= _settled(member)
    staying = sum(one.counted and one.id not in step.replace for one in old)
    step.surge = max(0, min(surge, staying, room - len(step.replace)))


def _last_checkpoint_passed(refresh: Refresh, step: Step) -> bool:
    percentages: list[int] = refresh.preferences.get("CheckpointPercentages") or []
    return bool(percentages) and not refresh.rolling_back and step.checkpoint >= len(percentages)


def _room(refresh: Refresh, step: Step, old: list[Member]) -> int:
    """How many more may be replaced before the next checkpoint."""
    percentages: list[int] = refresh.preferences.get("CheckpointPercentages") or []
    if not percentages or refresh.rolling_back:
        return len(old)
    if step.checkpoint >= len(percentages):
        return 0
    goal = ceil(refresh.total * percentages[step.checkpoint] / 100)
    return max(0, goal - (refresh.total - len(old)))


def _held_back(refresh: Refresh, step: Step, old: list[Member], now: float) -> bool:
    """Whether a checkpoint's pause, or the wait for protected or standby instances, holds the refresh now."""
    percentages = refresh.preferences.get("CheckpointPercentages")
    if percentages and not refresh.rolling_back:
        if step.paused_until is not None:
            if now < step.paused_until:
                step.again = step.paused_until
                return True
            step.paused_until, step.reason = None, None
        goal = percentages[step.checkpoint] if step.checkpoint < len(percentages) else None
        if goal is not None and refresh.total and refresh.total - step.remaining >= ceil(refresh.total * goal / 100):
            step.checkpoint += 1
            if goal < 100:
                step.paused_until = now + refresh.preferences["CheckpointDelay"]
                step.again = step.paused_until
                step.reason = f"Waiting at the checkpoint of {goal}%."
                return True
    blocked = [one for one in old if _blocked(refresh, one)]
    if blocked and len(blocked) == len(old):
        started = now if step.waiting_since is None else step.waiting_since
        step.waiting_since = started
        step.again = started + WAIT_SECONDS
        what = "protected from scale-in" if blocked[0].protected else "in standby"
        step.reason = f"Waiting for {len(blocked)} instance(s) {what}: {', '.join(one.id for one in blocked[:5])}."
        if now >= started + WAIT_SECONDS:
            _fail(refresh, step, f"Timed out waiting for instance(s) {what}.")
        return True
    step.waiting_since = None
    return False


def _blocked(refresh: Refresh, member: Member) -> bool:
    if member.state in ("Standby", "EnteringStandby"):
        return bool(refresh.preferences["StandbyInstances"] == "Wait")
    return member.protected and bool(refresh.preferences["ScaleInProtectedInstances"] == "Wait")


def _finish(refresh: Refresh, step: Step, unsettled: bool, now: float) -> Step:
    if unsettled:
        return step
    if refresh.rolling_back:
        step.status, step.reason = "RollbackSuccessful", None
    elif refresh.preferences["BakeTime"]:
        step.status, step.reason = "Baking", None
        step.bake_until = now + refresh.preferences["BakeTime"]
        step.again = step.bake_until
    else:
        step.status, step.reason = "Successful", None
    return step


def _bake(step: Step, now: float) -> Step:
    if step.bake_until is not None and now < step.bake_until:
        step.again = step.bake_until
    else:
        step.status, step.reason = "Successful", None
    return step


def _fail(refresh: Refresh, step: Step, reason: str) -> Step:
    if refresh.rolling_back:
        step.status, step.reason = "RollbackFailed", reason
    elif refresh.preferences["AutoRollback"]:
        step.roll_back = reason
    else:
        step.status, step.reason = "Failed", reason
    return step
