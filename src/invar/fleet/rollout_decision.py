"""What a rollout does next in each region, out of what is there. Pure: tables of cases test it.

Forward: regions one after another, each by an instance refresh to the generation's launch template version; it fails
when an instance is judged to have failed, or when the refresh ends otherwise than well. Back: all regions at once, to
the generation before; only when every instance there is of it, and proven, is the rollout at rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

from invar.aws.groups import GroupRecord, Member
from invar.aws.refreshes import RefreshRecord
from invar.fleet.ledger import Deployment, Terms
from invar.fleet.spec import TAG_HELD
from invar.fleet.verdict import Verdict

Do = Literal["start", "hold", "release", "roll back", "end", "wait", "done", "fail"]
"""hold: suspend the group's process InstanceRefresh, which pauses the refresh without cancelling it, for EC2 would soon
go on on the strength of an instance that has proven nothing. release: let it go on. end: terminate an instance, for EC2
to launch another in its place."""
REFRESHING = "InstanceRefresh"
"""The process of Auto Scaling that is suspended to hold a refresh."""
LOSSES = 10
"""Percentage of the desired instances (but at least one) that may go before they were proven: Spot takes some back."""
TRIES = 3
"""Going back, at least so many instances of a region that failed are ended, for others to take their place."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One region as it is now. `refresh` is the newest one, None when that is older than the generation.

    `verdicts` are of members, by id, each judged against the generation whose launch template version it has (going
    back, those of the generation that failed are judged too);
    `lost` counts instances of the new one that left the group unproven.
    """

    group: GroupRecord
    refresh: RefreshRecord | None
    verdicts: Mapping[str, Verdict]
    lost: int = 0
    overdue: tuple[str, ...] = ()
    """New instances that are in service, unproven, and whose warm-up is nearly over."""
    failed: tuple[str, ...] = ()
    """Instances launched since the generation began that were judged to have failed."""
    unsound: tuple[str, ...] = ()
    """Going back, instances in service of the generation that failed, which have not proven what they run."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done in one region, and why. `instance` is the one that failed; `ends` are all that are to end."""

    do: Do
    why: str = ""
    instance: str | None = None
    ends: tuple[str, ...] = ()


def runs(member: Member, target: Deployment) -> bool:
    """Whether a member was launched from a deployment."""
    return (member.template, member.version) == (target.template, target.version)


def is_of(refresh: RefreshRecord | None, target: Deployment) -> bool:
    """Whether a refresh goes to a deployment."""
    return refresh is not None and (refresh.template, refresh.version) == (target.template, target.version)


def is_held(group: GroupRecord) -> bool:
    """Whether a rollout, and not an operator, holds the group's refreshes."""
    return REFRESHING in group.suspended and bool(group.tags.get(TAG_HELD))


def forward(facts: Facts, target: Deployment) -> Step:
    """The next step towards a new generation."""
    group, refresh = facts.group, facts.refresh
    for member in group.members:
        verdict = facts.verdicts.get(member.id)
        if verdict is not None and verdict.standing == "failed" and runs(member, target):
            return Step("fail", verdict.why, member.id)
    if facts.lost > max(1, ceil(group.desired * LOSSES / 100)):
        return Step("fail", f"{facts.lost} new instances were replaced before they were proven")
    if is_held(group):
        waiting = next((member.id for member in group.members if _unproven(member, facts, target)), None)
        if waiting is None or refresh is None or not refresh.active:
            return Step("release")
        return Step("wait", f"held: {waiting} is in service and has not proven what it runs")
    if REFRESHING in group.suspended or "Launch" in group.suspended:
        return Step("wait", f"processes of the group are suspended: {', '.join(group.suspended)}")
    if refresh is None:
        return _onward(facts, target)
    if not is_of(refresh, target):
        if refresh.active or refresh.ending:
            return Step("fail", f"someone else began instance refresh {refresh.id}")
        return _onward(facts, target)
    if refresh.active:
        if facts.overdue:
            return Step("hold", f"held: {facts.overdue[0]} is in service and has not proven what it runs")
        return Step("wait", refresh.reason or f"{refresh.status}, {refresh.percentage} %")
    if refresh.status == "Successful":
        return _onward(facts, target)
    reason = f": {refresh.reason}" if refresh.reason else ""
    return Step("fail", f"instance refresh {refresh.id} is {refresh.status}{reason}")


def back(facts: Facts, target: Deployment) -> Step:
    """The next step back to a generation that ran before: it does not give up, and ends what goes elsewhere.

    A new instance that fails is ended, so that EC2 launches another one, instead of taking the next one out of service
    on the strength of it. When several have failed, it is left to be looked at, and holds the refresh.

    EC2 takes what it goes back from out of service in an order of its own, and counts as healthy what serves nothing.
    So, unless too few others serve, what is unsound is ended while the refresh is held, as soon as what is launched in
    its place is what ran before.
    """
    group, refresh = facts.group, facts.refresh
    returning = refresh is not None and (
        refresh.status == "RollbackInProgress" or (refresh.active and is_of(refresh, target))
    )
    if facts.failed and (returning or refresh is None or not refresh.active):
        why = f"{facts.failed[0]}: {facts.verdicts.get(facts.failed[0], NOT_SEEN).why}"
        if facts.lost < max(TRIES, ceil(group.desired * LOSSES / 100)):
            return Step("end", f"{why}; another is launched in its place", facts.failed[0], facts.failed[:1])
        hold = returning and REFRESHING not in group.suspended
        return Step("hold" if hold else "wait", f"held: {why}, as {facts.lost} before it")
    if facts.unsound and _enough_without(facts) and (is_held(group) or REFRESHING not in group.suspended):
        if not is_held(group):
            return Step("hold", f"held: {facts.unsound[0]} is in service and serves nothing")
        if returning:
            return Step("end", f"{', '.join(facts.unsound)}: unproven, ended first", ends=facts.unsound)
        if refresh is None or not (refresh.active or refresh.ending):
            return Step("start")
    elif is_held(group) and (returning or refresh is None or not refresh.active):
        waiting = next((member.id for member in group.members if _unproven(member, facts, target)), None)
        if waiting is None or not returning:
            return Step("release")
        return Step("wait", f"held: {waiting} is in service and has not proven what it runs")
    if returning and facts.overdue and REFRESHING not in group.suspended:
        return Step("hold", f"held: {facts.overdue[0]} is in service and has not proven what it runs")
    if refresh is not None and refresh.ending:
        return Step("wait", f"{refresh.status}, {refresh.percentage} %")
    if refresh is not None and refresh.active:
        if not is_of(refresh, target):
            return Step("roll back")
        return Step("wait", refresh.reason or f"{refresh.status}, {refresh.percentage} %")
    if _is_at(group, target):
        return _settled(facts, target)
    return Step("start")


def preferences(terms: Terms, *, first: bool, going_back: bool) -> dict[str, Any]:
    """The preferences of an instance refresh. The canary is in the first region; going back has neither it nor waves.

    Both healthy percentages are always named: where the maximum is not, AWS terminates before it launches, and so
    empties a group of one.
    """
    policy = terms.rollout
    chosen: dict[str, Any] = {
        "MinHealthyPercentage": policy.min_healthy,
        "MaxHealthyPercentage": policy.max_healthy,
        "InstanceWarmup": policy.warm_up,
        "SkipMatching": True,
        "ScaleInProtectedInstances": "Refresh",
        "StandbyInstances": "Ignore",
    }
    if going_back:
        return chosen
    checkpoints = [*([policy.canary] if first else []), *policy.waves]
    if checkpoints:
        chosen["CheckpointPercentages"] = sorted({*checkpoints, 100})
        chosen["CheckpointDelay"] = policy.pause
    if policy.bake:
        chosen["BakeTime"] = policy.bake
    if policy.alarms:
        chosen["AlarmSpecification"] = {"Alarms": list(policy.alarms)}
    chosen["AutoRollback"] = policy.automatic_rollback
    return chosen


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of all regions at one moment. `failed` is the region whose step is "fail"; `finished`: all are done."""

    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def failed(self) -> str | None:
        """The first region that failed."""
        return next((region for region, step in self.steps.items() if step.do == "fail"), None)

    @property
    def finished(self) -> bool:
        """Whether all regions are done."""
        return all(step.do == "done" for step in self.steps.values())


def decide(
    facts: Mapping[str, Facts],
    targets: Mapping[str, Deployment],
    order: tuple[str, ...],
    *,
    going_back: bool,
) -> Plan:
    """The next step of every region. A region that could not be looked at waits.

    Forward, a region begins when those before it are done; but one that fails is always seen.
    """
    steps: dict[str, Step] = {}
    clear = True
    for region in order:
        if region not in targets:
            continue
        if region not in facts:
            steps[region], clear = Step("wait", "the region does not answer"), False
            continue
        step = back(facts[region], targets[region]) if going_back else forward(facts[region], targets[region])
        if step.do == "start" and not clear and not going_back:
            step = Step("wait", "the regions before it are not finished")
        steps[region] = step
        clear = clear and step.do == "done"
    return Plan(steps)


def _onward(facts: Facts, target: Deployment) -> Step:
    """Without a refresh: begin one, once everything new that is there already is proven."""
    if _is_at(facts.group, target):
        return _settled(facts, target)
    for member in facts.group.members:
        if member.counts and runs(member, target):
            verdict = facts.verdicts.get(member.id, NOT_SEEN)
            if verdict.standing not in ("proven", "kept"):
                return Step("wait", f"{member.id}: {verdict.why}", member.id)
    return Step("start")


def _unproven(member: Member, facts: Facts, target: Deployment) -> bool:
    if member.lifecycle != "InService" or not runs(member, target):
        return False
    return facts.verdicts.get(member.id, NOT_SEEN).standing == "pending"


def _enough_without(facts: Facts) -> bool:
    """Whether as many as wanted are in service, healthy and sound."""
    sound = [identity for identity, verdict in facts.verdicts.items() if verdict.standing in ("proven", "kept")]
    return sum(member.serving and member.id in sound for member in facts.group.members) >= facts.group.desired


def _is_at(group: GroupRecord, target: Deployment) -> bool:
    """Whether the group launches the deployment, and no working instance is of another."""
    here = (group.template, group.version) == (target.template, target.version)
    return here and all(runs(member, target) for member in group.members if member.counts)


def _settled(facts: Facts, target: Deployment) -> Step:
    """Done when there are as many proven and healthy instances as wanted."""
    counted = [member for member in facts.group.members if member.counts]
    if len(counted) < facts.group.desired:
        return Step("wait", f"{len(counted)} of {facts.group.desired} instances")
    for member in counted:
        verdict = facts.verdicts.get(member.id, NOT_SEEN)
        if not member.serving:
            return Step("wait", f"{member.id} is {member.lifecycle}{'' if member.healthy else ', unhealthy'}")
        if verdict.standing not in ("proven", "kept"):
            return Step("wait", f"{member.id}: {verdict.why}", member.id)
    return Step("done")


NOT_SEEN = Verdict("pending", "not looked at yet")
