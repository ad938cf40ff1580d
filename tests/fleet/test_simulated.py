"""Fleets under random faults, with a clock of their own: whatever happens, what a rollout promises holds.

A schedule is a sequence of rollouts and rollbacks of a fleet in three regions, with instances that never boot, boot
slowly, die, prove something else; calls that AWS throttles; controllers that are killed at any call and resumed by
another; other operators who cancel, pause, resume, abort, begin another one or look, between any two calls.
INVAR_TEST_LONG=1 runs 1,000 schedules of five such changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from fleet.simulation import NAME, REGIONS, Killed, World, fleet, world_in
from invar.aws.instances import find_instances
from invar.aws.refreshes import newest_refresh
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.fleet.apply import create_missing
from invar.fleet.audit import GONE, audit_fleet
from invar.fleet.begin import begin_creation, begin_rollback, begin_rollout, choose_goal, find_fleet_groups
from invar.fleet.ledger import Entry, Ledger, Mark, Standing
from invar.fleet.rollout import Time, drive, go_on, pause
from invar.fleet.spec import TAG_FLEET, FleetSpec
from invar.localcloud.behaviour import Behaviour, Rule
from invar.localcloud.simulated import answers

LONG = os.environ.get("INVAR_TEST_LONG") == "1"
SCHEDULES = int(os.environ.get("INVAR_TEST_SCHEDULES", "1000" if LONG else "5"))
MOST_CONTROLLERS = 40
RECENT = 400.0
"""Seconds within which the group has replaced an instance that died."""

BAD: dict[str, dict[str, Any]] = {
    "never boots": {"never_boots": True},
    "boots slowly": {"boot_seconds": 150},
    "boots too slowly": {"boot_seconds": 400},
    "dies": {"dies_after": 45},
    "becomes impaired": {"impaired_after": 70},
    "runs something else": {"digest": "f" * 64},
    "has a corrupted layer": {"corrupted": True},
    "is silent": {"silent": True},
    "has a failed unit": {"failed_units": ("nginx.service",)},
}
THROTTLED = (
    "DescribeAutoScalingGroups",
    "DescribeInstanceRefreshes",
    "StartInstanceRefresh",
    "RollbackInstanceRefresh",
    "GetParameters",
    "PutParameter",
    "DescribeInstances",
    "GetConsoleOutput",
    "SuspendProcesses",
    "CreateOrUpdateTags",
)
QUIET = Report()


class Operator:
    """Operates a fleet as the verbs do, from ever another machine, and watches that what is promised holds."""

    def __init__(self, world: World, size: int) -> None:
        self.world = world
        self.spec: FleetSpec = fleet(size=size, regions=REGIONS, max_healthy=134, pause=30)
        self.begun = 0
        self.controllers = 0
        self.undisturbed = True
        self.goal = 3
        """The image generation that the next change goes to."""
        world.reset()
        world.publish(1)
        world.publish(2)
        world.publish(3)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.world.aws, self.spec.home, self.spec.name)

    @property
    def runs(self) -> int:
        """The image generation that runs at rest."""
        current = self.ledger.history().current
        assert current is not None
        return current.entry.image_generation

    @property
    def back(self) -> int | None:
        """The image generation that a rollback would go to."""
        try:
            return choose_goal(self.ledger.history(), None).entry.image_generation
        except InvarError:
            return None

    def create(self) -> None:
        self.until_rest(lambda: begin_creation(self.world.aws, self.spec, self.ledger, self.who(), self.now(), {}))
        self.world.watchers.append(self.watch)

    def roll(self, image: int) -> None:
        self.until_rest(lambda: self.begin(image))

    def roll_back(self) -> None:
        self.until_rest(lambda: begin_rollback(self.world.aws, self.spec, self.ledger, self.who(), self.now(), None))

    def begin(self, image: int) -> Entry | None:
        return begin_rollout(self.world.aws, self.spec, self.ledger, self.who(), self.now(), image=image)

    def until_rest(self, begin: Callable[[], Entry | None]) -> None:
        """Begin something, and have one controller after another drive it until all is at rest."""
        for _ in range(MOST_CONTROLLERS):
            self.controllers += 1
            try:
                newest = self.ledger.history().newest
                if newest is not None and newest.open:
                    self.take_over(newest)
                elif newest is not None and newest.entry.number > self.begun:
                    break
                else:
                    entry = begin()
                    if entry is None:
                        break
                    if entry.kind == "create":
                        create_missing(self.world.aws, self.spec, {}, entry.deployments)
                    self.drive(entry.number)
            except (Killed, InvarError) as error:
                self.world.aws.dies_in = None
                if isinstance(error, InvarError) and "no earlier generation" in error.what:
                    break
                if isinstance(error, InvarError) and "makes no progress" in error.what:
                    self.mend()
                self.world.wait(60)
        self.heal()
        newest = self.ledger.history().newest
        assert newest is not None
        self.begun = newest.entry.number
        self.check_rest()

    def take_over(self, newest: Standing) -> None:
        """What `invar resume` does."""
        if newest.entry.kind == "create":
            groups = find_fleet_groups(self.world.aws, self.spec)
            create_missing(self.world.aws, self.spec, groups, newest.entry.deployments)
        if newest.paused:
            self.while_paused(newest)
            go_on(self.world.aws, self.spec.group, self.ledger, newest, self.who(), self.now())
        self.drive(newest.entry.number)

    def drive(self, number: int, times: Time | None = None) -> None:
        times = times or self.world.times()
        drive(self.world.aws, self.spec.group, self.ledger, number, self.who(), QUIET, times=times)

    def while_paused(self, standing: Standing) -> None:
        """Time passes in which EC2 ends nothing: neither what ran before, nor what the rollout launched."""

        def suspended() -> dict[str, Any]:
            groups = {region: self.world.group(region) for region in standing.entry.deployments}
            return {
                region: group.active_refresh.id
                for region, group in groups.items()
                if group.active_refresh is not None
                and group.active_refresh.status in ("Pending", "InProgress")
                and "InstanceRefresh" in group.suspended
            }

        def serving(region: str) -> set[str]:
            instances = {one.id: one for one in self.world.compute.instances.everything()}
            faults = ("dies_after", "impaired_after")
            return {
                one.id
                for one in self.world.members(region)
                if one.state == "InService"
                and all(getattr(instances[one.id].behaviour, name) is None for name in faults)
            }

        before = {region: (identity, serving(region)) for region, identity in suspended().items()}
        self.world.wait(200)
        for region, identity in suspended().items():
            if region in before and before[region][0] == identity:
                assert before[region][1] <= serving(region), region

    def mend(self) -> None:
        """What an operator does about a way back that is stuck: ends the instances that were found bad."""
        self.world.compute.behaviours.rules.clear()
        self.undisturbed = False
        instances = {one.id: one for one in self.world.compute.instances.everything()}
        for region in self.spec.order:
            for member in self.world.members(region):
                if instances[member.id].behaviour != Behaviour():
                    self.world.aws.autoscaling(region).terminate_instance_in_auto_scaling_group(
                        InstanceId=member.id, ShouldDecrementDesiredCapacity=False
                    )

    def heal(self) -> None:
        """Nothing goes wrong any more, and nobody else does anything."""
        self.world.compute.behaviours.rules.clear()
        self.world.control("DELETE", "faults")
        self.world.aws.dies_in = None
        self.world.aws.meanwhile.clear()
        del self.world.watchers[1:]
        self.undisturbed = True

    def somebody(self, act: str) -> None:
        """Somebody else does something to the fleet just now; what refuses it, and kills him, is no matter here."""
        with suppress(InvarError, ClientError, Killed):
            newest = self.ledger.history().newest
            assert newest is not None
            number = newest.entry.number
            if act == "cancels":
                self.cancel_all()
            elif act == "begins":
                begun = self.begin(1 + number % 3)
                assert begun is None or not newest.open
            elif not newest.open:
                return
            elif act == "pauses" and not newest.going_back:
                pause(self.world.aws, self.spec.group, self.ledger, newest, "somebody", self.now())
            elif act == "aborts":
                self.ledger.fail(number, Mark("failed", "somebody", self.now(), "an operator aborted it"))
            elif act in ("resumes", "aborts") and newest.paused:
                go_on(self.world.aws, self.spec.group, self.ledger, newest, "somebody", self.now())
            if act in ("looks", "resumes", "aborts"):
                self.drive(number, Time(self.now, _end))

    def cancel_all(self) -> None:
        """Somebody else cancels what is under way: EC2 may end an instance that answers, and keep one that boots."""
        self.undisturbed = False
        for region in self.spec.order:
            refresh = self.world.group(region).active_refresh
            if refresh is not None and refresh.status in ("Pending", "InProgress"):
                self.world.aws.autoscaling(region).cancel_instance_refresh(AutoScalingGroupName=self.spec.group)

    def watch(self) -> None:
        """The healthy floor, at every step of the clock."""
        now = self.now()
        instances = {one.id: one for one in self.world.compute.instances.everything()}
        for region in self.spec.order:
            group = self.world.group(region)
            least = ceil(group.desired * self.spec.rollout.min_healthy / 100)
            fallen = sum(
                one.region == region and one.running is not None and 0 <= now - one.running - after < RECENT
                for one in instances.values()
                for after in (one.behaviour.dies_after, one.behaviour.impaired_after)
                if after is not None
            )
            serving = [one for one in self.world.members(region) if one.state == "InService"]
            healthy = sum(one.health == "Healthy" for one in serving)
            assert healthy >= least - fallen, (region, healthy, least, fallen)
            if self.undisturbed:
                answering = sum(answers(instances[one.id], now) for one in serving)
                assert answering >= least - fallen, (region, answering, least, fallen)

    def check_rest(self) -> None:
        """One generation everywhere, and it is the one that the ledger names."""
        history = self.ledger.history()
        assert [one.entry.number for one in history.standings] == list(range(1, self.begun + 1))
        assert all(one.outcome is not None for one in history.standings)
        assert history.newest is not None and history.current is not None and history.newest.outcome is not None
        newest = history.newest
        if newest.outcome is not None and newest.outcome.state == "restored":
            assert newest.failed is not None and newest.entry.previous == history.current.entry.number
        else:
            assert newest is history.current
        entry = history.current.entry
        for region in self.spec.order:
            deployment = entry.deployments[region]
            group = self.world.group(region)
            assert self.world.images_in(region) == {self.world.images[entry.image_generation][region]}
            assert group.active_refresh is None and not group.suspended
            refresh = newest_refresh(self.world.aws, region, self.spec.group)
            assert refresh is None or not (refresh.active or refresh.ending)
            found = find_instances(self.world.aws, region, tags={TAG_FLEET: NAME})
            alive = {one.id for one in found if one.state not in GONE}
            assert alive == {one.id for one in group.members.values() if not one.leaving}
            assert len(alive) == group.desired
            assert {one.template.version for one in group.members.values() if one.id in alive} == {deployment.version}
        audit = audit_fleet(self.world.aws, self.spec, self.ledger, QUIET, self.now)
        assert not audit.drift, audit.to_data()
        assert {one.proven for one in audit.instances} == {entry.system_digest}

    def who(self) -> str:
        return f"operator {self.controllers}"

    def now(self) -> float:
        return self.world.clock.now()


@dataclass(frozen=True)
class Bad:
    """Instances of an image go bad that are launched from now on: not the first `after`, then `times` in each region.

    `goal`: of the image that the change goes to; else of the one that runs, and that a failed rollout goes back to.
    """

    goal: bool
    kind: str
    after: int
    times: int

    def befall(self, operator: Operator) -> None:
        image = operator.goal if self.goal else operator.runs
        for region in REGIONS:
            rule = bad(operator.world.images[image][region], self.kind, self.after, self.times)
            operator.world.compute.behaviours.rules.append(rule)


@dataclass(frozen=True)
class Throttled:
    """AWS refuses an operation for a while."""

    operation: str
    after: int
    times: int

    def befall(self, operator: Operator) -> None:
        operator.undisturbed = False
        given = {"operation": self.operation, "after": self.after, "times": self.times}
        operator.world.control("POST", "faults", given | {"action": "error", "code": "Throttling", "status": 400})


@dataclass(frozen=True)
class Dies:
    """The controller is killed at a call, before it or before its answer."""

    calls: int
    late: bool

    def befall(self, operator: Operator) -> None:
        operator.undisturbed = False
        operator.world.aws.dies_in, operator.world.aws.dies_late = self.calls, self.late


@dataclass(frozen=True)
class Somebody:
    """Somebody else does something, between two calls of the controller's."""

    act: str
    calls: int

    def befall(self, operator: Operator) -> None:
        if self.act == "begins":
            operator.undisturbed = False  # the first operator's may end at once then, and nobody drives the other's
        operator.world.aws.meanwhile.append((self.calls, lambda: operator.somebody(self.act)))


@dataclass(frozen=True)
class Later:
    """Somebody else does something, while the controller waits."""

    act: str
    seconds: int

    def befall(self, operator: Operator) -> None:
        at, done = operator.now() + self.seconds, list[bool]()

        def look() -> None:
            if not done and operator.now() >= at:
                done.append(True)
                operator.somebody(self.act)

        operator.world.watchers.append(look)


ACTS = ("cancels", "pauses", "resumes", "aborts", "begins", "looks")
TROUBLES: Any = st.lists(
    st.one_of(
        st.builds(Bad, st.booleans(), st.sampled_from(sorted(BAD)), st.integers(0, 6), st.integers(1, 4)),
        st.builds(Throttled, st.sampled_from(THROTTLED), st.integers(0, 30), st.integers(1, 12)),
        st.builds(Dies, st.integers(0, 120), st.booleans()),
        st.builds(Somebody, st.sampled_from(ACTS), st.integers(0, 200)),
        st.builds(Later, st.sampled_from(ACTS), st.integers(20, 400)),
    ),
    max_size=4,
)


class Schedules(RuleBasedStateMachine):
    """Random schedules."""

    world: World

    @initialize(size=st.integers(1, 5))
    def create(self, size: int) -> None:
        self.operator = Operator(self.world, size)
        self.operator.create()

    def teardown(self) -> None:
        self.world.watchers.clear()

    @rule(change=st.integers(0, 2), troubles=TROUBLES)
    def change(self, change: int, troubles: list[Any]) -> None:
        """A rollout to one of the other two generations, or a rollback. There is no other rule: hypothesis leaves
        whole rules out of many schedules, and one without rollouts shows nothing."""
        operator = self.operator
        back = change == 2 and operator.back is not None
        operator.goal = operator.back if back and operator.back else 1 + (operator.runs + change % 2) % 3
        for one in troubles:
            one.befall(operator)
        if back:
            operator.roll_back()
        else:
            operator.roll(operator.goal)


def _end(seconds: float) -> None:
    """Instead of a wait: one look is all that this controller is for."""
    raise Killed


def bad(image: str, kind: str, after: int, times: int) -> Any:
    """A rule for launches from an image."""
    return Rule(Behaviour(**BAD[kind]), image=image, after=after, times=times)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path) as made:
        yield made


@pytest.fixture
def quick_world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path, wire=False) as made:
        yield made


def test_random_schedules(quick_world: World) -> None:
    """What must hold, holds in every schedule."""
    machine = type("InThisWorld", (Schedules,), {"world": quick_world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=SCHEDULES,
            stateful_step_count=6 if LONG else 4,
            deadline=None,
            derandomize=not LONG,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("kind", sorted(set(BAD) - {"boots slowly", "dies", "becomes impaired"}))
def test_a_bad_canary_is_found_and_gone_back_from(world: World, kind: str) -> None:
    operator = Operator(world, 4)
    operator.spec = fleet(size=4, regions=REGIONS[:1])
    operator.create()
    operator.roll(1)
    world.compute.behaviours.rules.append(bad(world.images[2][REGIONS[0]], kind, 0, 1))
    operator.roll(2)
    newest = operator.ledger.history().newest
    assert newest is not None and newest.failed is not None and newest.word == "restored"
    assert newest.failed.instance is not None


@pytest.mark.parametrize("kind", sorted(set(BAD) - {"boots slowly", "dies", "becomes impaired"}))
def test_a_bad_instance_on_the_way_back_is_ended_for_another(quick_world: World, kind: str) -> None:
    operator = Operator(quick_world, 3)
    operator.create()
    operator.roll(1)
    Bad(True, kind, 0, 1).befall(operator)
    begun = operator.now()
    operator.roll_back()
    newest = operator.ledger.history().newest
    assert newest is not None and (newest.entry.kind, newest.word) == ("rollback", "done")
    assert operator.now() - begun < 600


def test_when_several_are_bad_the_way_back_waits_for_an_operator(quick_world: World) -> None:
    operator = Operator(quick_world, 3)
    operator.spec = fleet(size=3, regions=REGIONS[:1])
    operator.create()
    operator.roll(1)
    Bad(True, "never boots", 0, 4).befall(operator)
    seen: list[tuple[bool, set[str]]] = []

    def look() -> None:
        bad_ones = {one.id for one in quick_world.compute.instances.everything() if one.behaviour.never_boots}
        seen.append(("InstanceRefresh" in quick_world.group(REGIONS[0]).suspended, bad_ones))

    quick_world.watchers.append(look)
    controllers = operator.controllers
    operator.roll_back()
    assert operator.controllers == controllers + 3  # the first gives up, the second goes on, the third finds it done
    assert seen[len(seen) // 2][0] and len(set[str]().union(*(ids for _, ids in seen))) == 4


def test_five_hundred_instances(quick_world: World) -> None:
    world = quick_world
    operator = Operator(world, 167)
    operator.create()
    world.aws.dies_in = 200
    operator.undisturbed = False
    operator.roll(1)
    for region in REGIONS:
        world.compute.behaviours.rules.append(bad(world.images[2][region], "never boots", 40, 1))
    operator.roll(2)
    newest = operator.ledger.history().newest
    assert newest is not None and newest.word == "restored"
    operator.roll_back()
