"""Fleets under random faults, with a clock of their own: whatever happens, what a rollout promises holds.

A schedule is a sequence of rollouts and rollbacks of a fleet in three regions, with instances that never boot, boot
slowly, die, prove something else; calls that AWS throttles; refreshes that someone else cancels; controllers that are
killed at any call and resumed by another. INVAR_TEST_LONG=1 runs 1,000 schedules, and one of 501 instances.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from fleet.simulation import NAME, REGIONS, Killed, World, fleet, world_in
from invar.aws.instances import find_instances
from invar.aws.refreshes import newest_refresh
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.fleet.apply import create_missing
from invar.fleet.audit import GONE, audit_fleet
from invar.fleet.begin import begin_creation, begin_rollback, begin_rollout, find_fleet_groups
from invar.fleet.ledger import Entry, Ledger
from invar.fleet.rollout import drive, go_on
from invar.fleet.spec import TAG_FLEET, FleetSpec
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
        world.reset()
        world.publish(1)
        world.publish(2)
        world.publish(3)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.world.aws, self.spec.home, self.spec.name)

    def create(self) -> None:
        self.until_rest(lambda: begin_creation(self.world.aws, self.spec, self.ledger, self.who(), self.now(), {}))
        self.world.watchers.append(self.watch)

    def roll(self, image: int) -> None:
        def begin() -> Entry | None:
            return begin_rollout(self.world.aws, self.spec, self.ledger, self.who(), self.now(), image=image)

        self.until_rest(begin)

    def roll_back(self) -> None:
        self.until_rest(lambda: begin_rollback(self.world.aws, self.spec, self.ledger, self.who(), self.now(), None))

    def until_rest(self, begin: Callable[[], Entry | None]) -> None:
        """Begin something, and have one controller after another drive it until it is at rest."""
        expected: int | None = None
        for _ in range(MOST_CONTROLLERS):
            self.controllers += 1
            try:
                newest = self.ledger.history().newest
                if newest is not None and newest.open:
                    number = newest.entry.number
                    if newest.entry.kind == "create":
                        groups = find_fleet_groups(self.world.aws, self.spec)
                        create_missing(self.world.aws, self.spec, groups, newest.entry.deployments)
                    if newest.paused:
                        go_on(self.world.aws, self.spec.group, self.ledger, newest, self.who(), self.now())
                elif expected is not None and newest is not None and newest.entry.number > self.begun:
                    break
                else:
                    expected = self.begun + 1
                    entry = begin()
                    if entry is None:
                        return
                    number = entry.number
                    if entry.kind == "create":
                        create_missing(self.world.aws, self.spec, {}, entry.deployments)
                result = drive(
                    self.world.aws, self.spec.group, self.ledger, number, self.who(), QUIET, times=self.world.times()
                )
                if result.standing.outcome is not None:
                    break
            except (Killed, InvarError) as error:
                if isinstance(error, InvarError) and "no earlier generation" in error.what:
                    return
                self.world.aws.dies_in = None
                self.world.wait(60)
        self.heal()
        self.begun += 1
        self.check_rest()

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.world.compute.behaviours.rules.clear()
        self.world.control("DELETE", "faults")
        self.world.aws.dies_in = None
        self.undisturbed = True

    def cancel_all(self) -> None:
        """Somebody else cancels what is under way."""
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


class Schedules(RuleBasedStateMachine):
    """Random schedules."""

    world: World

    @initialize(size=st.integers(1, 5))
    def create(self, size: int) -> None:
        self.operator = Operator(self.world, size)
        self.operator.create()

    def teardown(self) -> None:
        self.world.watchers.clear()

    @precondition(lambda self: hasattr(self, "operator"))
    @rule(image=st.integers(1, 3), kind=st.sampled_from(sorted(BAD)), after=st.integers(0, 6), times=st.integers(1, 4))
    def instances_of_an_image_go_bad(self, image: int, kind: str, after: int, times: int) -> None:
        current = self.operator.ledger.history().current
        if current is not None and current.entry.image_generation == image:
            return  # what runs already is what a failed rollout goes back to
        for region in REGIONS:
            self.world.compute.behaviours.rules.append(bad(self.world.images[image][region], kind, after, times))

    @rule(operation=st.sampled_from(THROTTLED), after=st.integers(0, 30), times=st.integers(1, 12))
    def calls_are_throttled(self, operation: str, after: int, times: int) -> None:
        self.operator.undisturbed = False
        given = {"operation": operation, "after": after, "times": times}
        self.world.control("POST", "faults", given | {"action": "error", "code": "Throttling", "status": 400})

    @rule(calls=st.integers(0, 120), late=st.booleans())
    def the_controller_is_going_to_be_killed(self, calls: int, late: bool) -> None:
        self.operator.undisturbed = False
        self.world.aws.dies_in, self.world.aws.dies_late = calls, late

    @rule(seconds=st.integers(20, 200))
    def somebody_is_going_to_cancel(self, seconds: int) -> None:
        at, done = self.operator.now() + seconds, list[bool]()

        def cancel() -> None:
            if not done and self.operator.now() >= at:
                done.append(True)
                dies, self.world.aws.dies_in = self.world.aws.dies_in, None
                self.operator.cancel_all()
                self.world.aws.dies_in = dies

        self.world.watchers.append(cancel)

    @rule(image=st.integers(1, 3))
    def roll_out(self, image: int) -> None:
        self.operator.roll(image)
        del self.world.watchers[1:]

    @rule()
    def roll_back(self) -> None:
        self.operator.roll_back()
        del self.world.watchers[1:]


def bad(image: str, kind: str, after: int, times: int) -> Any:
    """A rule for launches from an image."""
    from invar.localcloud.behaviour import Behaviour, Rule

    return Rule(Behaviour(**BAD[kind]), image=image, after=after, times=times)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path) as made:
        yield made


def test_random_schedules(world: World) -> None:
    """What must hold, holds in every schedule."""
    machine = type("InThisWorld", (Schedules,), {"world": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=SCHEDULES,
            stateful_step_count=12 if LONG else 8,
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


@pytest.mark.skipif(not LONG, reason="INVAR_TEST_LONG=1: 501 instances, minutes")
def test_five_hundred_instances(world: World) -> None:
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
