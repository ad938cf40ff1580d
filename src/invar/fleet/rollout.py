"""Drives a generation to rest: looks at every region, does what is decided, waits; whoever calls it takes over.

Nothing that it knows is only its own: a controller that was killed leaves EC2 at work on a refresh that the ledger
names the goal of, and another goes on from what AWS and the ledger say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from invar.aws.client import Cloud
from invar.aws.groups import (
    find_group,
    resume_processes,
    suspend_processes,
    tag_group,
    terminate_member,
    untag_group,
)
from invar.aws.instances import console_of
from invar.aws.refreshes import cancel_refresh, newest_refresh, roll_back_refresh, start_refresh
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.fleet.launch import launch_part
from invar.fleet.ledger import PASSED, Deployment, Entry, Ledger, Mark, Request, Standing
from invar.fleet.observation import Observer, tail
from invar.fleet.regions import everywhere
from invar.fleet.rollout_decision import REFRESHING, Plan, Step, decide, is_held, preferences
from invar.fleet.spec import TAG_FLEET_GENERATION, TAG_HELD


@dataclass(frozen=True, slots=True)
class Time:
    """The clock and how to wait; tests give a cloud's own."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between two looks; how long AWS may not answer; how long going back may take without a change."""

    poll: float = 10.0
    silence: float = 900.0
    stall: float = 7200.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The instance that failed: what its console said last."""

    region: str
    instance: str
    console: str


@dataclass(frozen=True, slots=True)
class Result:
    """How a generation stands when the driver leaves it: at rest, or paused. `evidence` of what failed, if anything."""

    standing: Standing
    evidence: Evidence | None

    @property
    def good(self) -> bool:
        """Whether it is what was asked for."""
        outcome = self.standing.outcome
        return outcome is not None and outcome.state == "done"


def drive(
    cloud: Cloud,
    group: str,
    ledger: Ledger,
    number: int,
    who: str,
    report: Report,
    *,
    times: Time | None = None,
    pace: Pace | None = None,
    tag: bool = True,
) -> Result:
    """Drive generation `number`, whose groups are called `group`, until it is at rest or somebody pauses it.

    Without `tag` the groups get no tag with the number: what others declare keeps the tags that they declare. Raises
    InvarError when AWS does not answer for `pace.silence`, or when going back makes no progress for `pace.stall`; the
    generation stays open then, and another call goes on.
    """
    return _Driver(cloud, group, ledger, number, who, report, times or Time(), pace or Pace(), tag).run()


def abort(ledger: Ledger, standing: Standing, who: str, now: float) -> None:
    """Mark a generation as one that goes back. Raises InvarError; also where it was found good just before."""
    if ledger.fail(standing.entry.number, Mark("failed", who, now, "an operator aborted it")).state == PASSED:
        raise InvarError(
            f"generation {standing.entry.number} runs everywhere, and is not aborted any more",
            hint="invar resume sees it through, invar rollback goes back then",
        )


def pause(cloud: Cloud, group: str, ledger: Ledger, standing: Standing, who: str, now: float) -> None:
    """Stop a rollout where it is: what was replaced stays, what was launched above the desired size too.

    Its refreshes are suspended, not cancelled: EC2's cancelling ends what it launched. A driver that sees the pause
    suspends what it began meanwhile. Raises InvarError.
    """
    regions = tuple(region for region in standing.entry.deployments if _goes_forward(cloud, group, region, standing))
    ledger.request(standing.entry.number, Request("pause", who, now, suspended=regions))
    for region in regions:
        _hold(cloud, group, region, standing.entry.number)
    if not ledger.standing(standing.entry.number).open:
        for region in regions:
            _release(cloud, group, region)


def go_on(cloud: Cloud, group: str, ledger: Ledger, standing: Standing, who: str, now: float) -> None:
    """Take back a pause: refreshes that ended meanwhile count as none, and those that it suspended as held.

    So whoever drives on judges what is new first, and lets EC2 go on then. Raises InvarError.
    """
    past = {}
    for region in standing.entry.deployments:
        refresh = newest_refresh(cloud, region, group)
        if refresh is not None and not refresh.active and not refresh.ending:
            past[region] = refresh.id
        elif refresh is not None and refresh.ending:
            raise InvarError(
                f"the refresh in {region} has not ended yet", why=f"{refresh.id} is {refresh.status}", hint="try again"
            )
    for region in standing.request.suspended if standing.request else ():
        tag_group(cloud, region, group, {TAG_HELD: str(standing.entry.number)})
    ledger.request(standing.entry.number, Request("run", who, now, past))


def _leaving(standing: Standing, region: str) -> tuple[Deployment, str] | None:
    """What a generation that failed goes back from."""
    if standing.failed is None or standing.entry.kind == "rollback":
        return None
    return standing.entry.deployments[region], standing.entry.system_digest


def _goes_forward(cloud: Cloud, name: str, region: str, standing: Standing) -> bool:
    """Whether a refresh of the generation's is under way that no operator suspended."""
    refresh, group = newest_refresh(cloud, region, name), find_group(cloud, region, name)
    if refresh is None or not refresh.active or refresh.id == standing.past.get(region):
        return False
    return group is not None and (REFRESHING not in group.suspended or is_held(group))


def _hold(cloud: Cloud, group: str, region: str, number: int) -> None:
    """The tag comes first: what is suspended without it is taken for an operator's own."""
    tag_group(cloud, region, group, {TAG_HELD: str(number)})
    suspend_processes(cloud, region, group, [REFRESHING])


def _release(cloud: Cloud, group: str, region: str) -> None:
    resume_processes(cloud, region, group, [REFRESHING])
    untag_group(cloud, region, group, [TAG_HELD])


@dataclass(slots=True)
class _Driver:
    """One run. `_observers` by region and direction."""

    cloud: Cloud
    group: str
    ledger: Ledger
    number: int
    who: str
    report: Report
    times: Time
    pace: Pace
    tag: bool
    observers: dict[tuple[str, bool], Observer] = field(default_factory=dict)
    evidence: Evidence | None = None
    told: dict[str, str] = field(default_factory=dict)
    answered: float = 0.0
    moved: float = 0.0
    seen: Any = None
    first: bool = True
    acted: bool | None = None
    """The direction (whether it went back) of a start or a hold that no later word of the ledger's has confirmed."""

    def run(self) -> Result:
        """Until it is at rest; where another controller closed it meanwhile, until what this one began is undone."""
        self.answered = self.moved = self.times.now()
        while True:
            standing = self._standing()
            if standing is None:
                self.times.sleep(self.pace.poll)
                continue
            if standing.open and self.acted is standing.going_back:
                self.acted = None
            if not standing.open and self.acted is None:
                return Result(standing, self.evidence)
            if standing.paused:
                if self._stop(standing):
                    return Result(standing, self.evidence)
                self.times.sleep(self.pace.poll)
            elif not self._step(standing):
                self.times.sleep(self.pace.poll)

    def _standing(self) -> Standing | None:
        """The ledger's word; None while AWS does not answer."""
        try:
            found = self.ledger.standing(self.number)
        except InvarError as error:
            self._silent(error)
            return None
        return found

    def _stop(self, standing: Standing) -> bool:
        """Suspend what was begun, or released, while an operator paused it. Returns whether AWS answered."""
        try:
            for region in standing.entry.deployments:
                if _goes_forward(self.cloud, self.group, region, standing):
                    _hold(self.cloud, self.group, region, self.number)
        except InvarError as error:
            self._silent(error)
            return False
        return True

    def _step(self, standing: Standing) -> bool:
        """Look, decide and do. Returns whether to look again at once."""
        entry = standing.entry
        going_back = standing.going_back
        targets, digest = self._goal(standing)
        if targets is None:
            return self._give_up(standing)
        outcomes = everywhere(
            tuple(targets),
            lambda region: self._observer(entry, region, going_back).look(
                targets[region], digest, standing.past.get(region), _leaving(standing, region)
            ),
        )
        if outcomes.failed:
            self._silent(next(iter(outcomes.failed.values())))
        else:
            self.answered = self.times.now()
        self.first = False
        plan = decide(outcomes.done, targets, entry.terms.order, going_back=going_back)
        self._tell(plan)
        if plan.failed is not None and not outcomes.failed.get(plan.failed):
            return self._fail(standing, plan.failed, plan.steps[plan.failed])
        if plan.finished:
            return self._finish(standing)
        for region, step in plan.steps.items():
            self._do(standing, region, step, targets[region], going_back)
        self._check_progress(going_back, (plan.steps, [facts.group for facts in outcomes.done.values()]))
        return False

    def _goal(self, standing: Standing) -> tuple[Mapping[str, Deployment] | None, str]:
        """Where it goes: its own deployments, or once it failed those of the generation before, if there is one."""
        entry = standing.entry
        if standing.failed is None or entry.kind == "rollback":
            return entry.deployments, entry.system_digest
        if entry.previous is None:
            return None, ""
        before = self.ledger.standing(entry.previous).entry
        regions = {region: before.deployments[region] for region in entry.deployments if region in before.deployments}
        return regions, before.system_digest

    def _observer(self, entry: Entry, region: str, going_back: bool) -> Observer:
        key = (region, going_back)
        if key not in self.observers:
            made = Observer(self.cloud, region, self.group, entry.terms, entry.began, self.times.now)
            if going_back and (region, False) in self.observers:
                made.left.update(self.observers[region, False].known)
            self.observers[key] = made
        return self.observers[key]

    def _do(self, standing: Standing, region: str, step: Step, target: Deployment, going_back: bool) -> bool:
        """Carry out one region's step. A refusal because things moved on is no fault: the next look tells."""
        terms = standing.entry.terms
        if step.do in ("start", "hold"):
            self.acted = going_back
        try:
            if step.do == "start":
                wishes = preferences(terms, first=region == terms.order[0], going_back=going_back)
                launch = launch_part(target, terms.instance_types, terms.spot)
                started = start_refresh(self.cloud, region, self.group, launch, wishes)
                if started is not None:
                    self.report.note(f"{region}: instance refresh {started} begins")
                return started is not None
            if step.do == "hold":
                _hold(self.cloud, self.group, region, self.number)
                return False
            if step.do == "end":
                for instance in step.ends:
                    terminate_member(self.cloud, region, instance)
                return True
            if step.do == "release":
                _release(self.cloud, self.group, region)
                return True
            if step.do == "roll back":
                if not roll_back_refresh(self.cloud, region, self.group):
                    cancel_refresh(self.cloud, region, self.group)
                return True
        except InvarError as error:
            self._silent(error)
        return False

    def _fail(self, standing: Standing, region: str, step: Step) -> bool:
        """Make it known, in the ledger first, that the generation goes back."""
        if step.instance is not None and self.evidence is None:
            self.evidence = self._evidence(region, step.instance)
        if not standing.entry.terms.rollout.automatic_rollback and step.instance is not None:
            self._await_operator(standing, region, step)
            return True
        mark = Mark("failed", self.who, self.times.now(), step.why, region, step.instance)
        if self.ledger.fail(self.number, mark).state == PASSED:
            return self._finish(standing)
        self.report.warn(f"{region}: {step.instance + ': ' if step.instance else ''}{step.why}; it goes back")
        self.moved = self.times.now()
        return True

    def _await_operator(self, standing: Standing, region: str, step: Step) -> None:
        """Without automatic rollback a failure pauses: an operator decides."""
        pause(self.cloud, self.group, self.ledger, standing, self.who, self.times.now())
        self.report.warn(f"{region}: {step.instance}: {step.why}; paused: invar resume goes on, invar abort goes back")

    def _give_up(self, standing: Standing) -> bool:
        """Nothing ran before that it could go back to."""
        for region in standing.entry.deployments:
            if not roll_back_refresh(self.cloud, region, self.group):
                cancel_refresh(self.cloud, region, self.group)
            group = find_group(self.cloud, region, self.group)
            if group is not None and is_held(group):
                _release(self.cloud, self.group, region)
        why = standing.failed.why if standing.failed else None
        self.ledger.close(self.number, Mark("failed", self.who, self.times.now(), why))
        return True

    def _finish(self, standing: Standing) -> bool:
        failed = standing.failed is not None and standing.entry.kind != "rollback"
        number = standing.entry.previous if failed else self.number
        if not standing.going_back and not self.ledger.passes(self.number, self.who, self.times.now()):
            return True
        for region in standing.entry.deployments if self.tag else ():
            try:
                tag_group(self.cloud, region, self.group, {TAG_FLEET_GENERATION: str(number)})
                untag_group(self.cloud, region, self.group, [TAG_HELD])
            except InvarError as error:
                self._silent(error)
                return False
        why = standing.failed.why if standing.failed else None
        self.ledger.close(self.number, Mark("restored" if failed else "done", self.who, self.times.now(), why))
        self.acted = None
        return True

    def _evidence(self, region: str, instance: str) -> Evidence | None:
        try:
            return Evidence(region, instance, tail(console_of(self.cloud, region, instance)))
        except InvarError as error:
            self.report.warn(f"the console of {instance} cannot be shown: {error.why or error.what}")
            return None

    def _silent(self, error: InvarError) -> None:
        """AWS did not answer: a while that is so, it is asked again. Raises `error` when it was too long."""
        if self.first or self.times.now() - self.answered > self.pace.silence:
            error.hint = error.hint or "the generation stays open: invar resume goes on"
            raise error
        self.report.note(f"{error.where}: {error.why or error.what}; asked again")

    def _check_progress(self, going_back: bool, seen: Any) -> None:
        now = self.times.now()
        if seen != self.seen:
            self.seen, self.moved = seen, now
        if going_back and now - self.moved > self.pace.stall:
            steps: dict[str, Step] = seen[0]
            raise InvarError(
                "going back makes no progress",
                why="\n".join(f"{region}: {step.why or step.do}" for region, step in steps.items()),
                hint="mend what keeps instances from starting, then: invar resume",
            )

    def _tell(self, plan: Plan) -> None:
        for region, step in plan.steps.items():
            text = step.why or step.do
            if self.told.get(region) != text:
                self.told[region] = text
                self.report.note(f"{region}: {text}")
