"""Fleets under random faults, with a clock of their own: whatever happens, what a rollout promises holds.

A schedule is a sequence of rollouts and rollbacks of a fleet in three regions, with instances that never boot, boot
slowly, die, prove something else; calls that AWS throttles; controllers that are killed at any call and resumed by
another; other operators who cancel, pause, resume, abort, begin another one or look, between any two calls.
INVAR_TEST_LONG=1 runs 1,000 schedules of five such changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from fleet.operation import Operator
from fleet.simulation import REGIONS, World, fleet, world_in
from fleet.troubles import BAD, TROUBLES, Bad, Somebody, bad

LONG = os.environ.get("INVAR_TEST_LONG") == "1"
SCHEDULES = int(os.environ.get("INVAR_TEST_SCHEDULES", "1000" if LONG else "5"))
NOT_SOUND = sorted(set(BAD) - {"boots slowly", "dies", "becomes impaired"})
"""What makes an instance fail at once, whenever it is looked at."""


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
        operator.ran = operator.runs
        operator.goal = operator.back if back and operator.back else 1 + (operator.ran + change % 2) % 3
        for one in troubles:
            one.befall(operator)
        if back:
            operator.roll_back()
        else:
            operator.roll(operator.goal)


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


@pytest.mark.parametrize("kind", NOT_SOUND)
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


@pytest.mark.parametrize("kind", NOT_SOUND)
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


def test_what_is_bad_is_ended_before_what_serves(quick_world: World) -> None:
    """EC2 counts instances that never booted as healthy, and would end the one that did."""
    operator = Operator(quick_world, 3)
    operator.create()
    operator.goal = 1
    Bad(True, "never boots", 1, 4).befall(operator)
    operator.roll(1)
    newest = operator.ledger.history().newest
    assert newest is not None and newest.word == "restored"


def test_an_abort_between_any_two_calls_leaves_what_ran_before(quick_world: World) -> None:
    """Also where the controller begins a refresh just after another one, who saw none, found all restored."""
    words = set()
    for call in range(48):
        operator = Operator(quick_world, 1)
        operator.spec = fleet(size=1, regions=REGIONS[:1], canary=100)
        operator.create()
        Somebody("aborts", call).befall(operator)
        operator.roll(1)
        newest = operator.ledger.history().newest
        assert newest is not None
        words.add(newest.word)
    assert "restored" in words


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
