"""A rollout that an operator pauses: nothing is replaced, what was launched stays, and it goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.simulation import REGIONS, World, fleet, world_in
from invar.cli.fleet_state import print_status
from invar.core.events import Report
from invar.fleet.apply import create_missing
from invar.fleet.begin import begin_creation, begin_rollout
from invar.fleet.ledger import Ledger, Mark, Standing
from invar.fleet.rollout import Result, Time, drive, go_on, pause
from invar.fleet.spec import TAG_HELD
from invar.fleet.status import status_of

REGION = REGIONS[0]
SUSPENDED = "InstanceRefresh"


class Fleet:
    """A fleet of four in one region, whose rollout is driven here."""

    def __init__(self, world: World) -> None:
        world.reset()
        world.publish(1)
        self.world = world
        self.spec = fleet(size=4, regions=(REGION,), pause=30)
        self.ledger = Ledger(world.aws, REGION, self.spec.name)
        entry = begin_creation(world.aws, self.spec, self.ledger, "me", self.now(), {})
        create_missing(world.aws, self.spec, {}, entry.deployments)
        assert self.drive().good
        world.publish(2)

    @property
    def standing(self) -> Standing:
        newest = self.ledger.history().newest
        assert newest is not None
        return newest

    @property
    def group(self) -> Any:
        return self.world.group(REGION)

    def now(self) -> float:
        return self.world.clock.now()

    def begin(self) -> None:
        assert begin_rollout(self.world.aws, self.spec, self.ledger, "me", self.now()) is not None

    def drive(self, meanwhile: Callable[[], None] = lambda: None, *, tag: bool = True) -> Result:
        """Drive what is newest; `meanwhile` is done in each of the driver's pauses."""

        def sleep(seconds: float) -> None:
            self.world.wait(seconds)
            meanwhile()

        number, group = self.standing.entry.number, self.spec.group
        times = Time(self.now, sleep)
        return drive(self.world.aws, group, self.ledger, number, "me", Report(), times=times, tag=tag)

    def pause(self) -> None:
        pause(self.world.aws, self.spec.group, self.ledger, self.standing, "somebody", self.now())

    def pause_with_surge(self) -> None:
        if len(self.serving()) > 4 and not self.standing.paused:
            self.pause()

    def resume(self) -> None:
        go_on(self.world.aws, self.spec.group, self.ledger, self.standing, "me", self.now())

    def serving(self) -> set[str]:
        return {one.id for one in self.world.members(REGION) if one.state == "InService"}

    def told(self, capsys: pytest.CaptureFixture[str]) -> str:
        print_status(status_of(self.world.aws, self.spec, self.ledger))
        return capsys.readouterr().out


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Fleet]:
    with world_in(tmp_path, wire=False) as world:
        yield Fleet(world)


def test_what_was_launched_stays_and_resuming_goes_on_with_the_same_refresh(
    web: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    web.begin()
    assert web.drive(web.pause_with_surge).standing.paused
    before, refresh = web.serving(), web.group.active_refresh.id
    assert len(before) > 4
    web.world.wait(3 * 3600)
    assert web.serving() == before
    assert SUSPENDED in web.group.suspended and web.group.tags[TAG_HELD] == ("2", False)
    assert "generation 2 (rollout) is paused" in (told := web.told(capsys)) and "InProgress 0 % (paused)" in told
    web.resume()
    assert web.drive().good
    assert [one.id for one in web.group.refreshes] == [refresh]
    assert not web.group.suspended and TAG_HELD not in web.group.tags
    assert "paused" not in web.told(capsys)


def test_at_whichever_call_of_the_driver_it_comes_nothing_goes_on(web: Fleet) -> None:
    came = 0
    for call in range(0, 120, 3):
        web = Fleet(web.world)
        web.begin()
        web.world.aws.meanwhile.append((call, web.pause))
        result = web.drive()
        web.world.aws.meanwhile.clear()
        if result.good:
            continue  # it came too late
        assert result.standing.paused, call
        before = web.serving()
        web.world.wait(900)
        assert before <= web.serving(), call
        refresh = web.group.active_refresh
        assert refresh is None or SUSPENDED in web.group.suspended, call
        came += refresh is not None
        web.resume()
        assert web.drive().good, call
        assert not web.group.suspended and TAG_HELD not in web.group.tags, call
    assert came > 20


def test_what_goes_back_is_not_paused(web: Fleet) -> None:
    web.begin()
    web.drive(web.pause_with_surge)
    web.ledger.fail(2, Mark("failed", "me", web.now(), "an operator aborted it"))
    assert not web.standing.paused and web.standing.word == "going back"
    assert web.drive().standing.word == "restored"
    assert {one.template.version for one in web.world.members(REGION)} == {"1"}
    assert not web.group.suspended and TAG_HELD not in web.group.tags


def test_a_group_that_lost_its_tag_meanwhile_goes_on_too(web: Fleet) -> None:
    """As Terraform takes tags that it did not declare away."""
    web.begin()
    web.drive(web.pause_with_surge, tag=False)
    del web.group.tags[TAG_HELD]
    web.resume()
    assert web.drive(tag=False).good
    assert not web.group.suspended and TAG_HELD not in web.group.tags


def test_what_an_operator_suspended_by_hand_stays_suspended(web: Fleet) -> None:
    def suspend() -> None:
        if len(web.serving()) > 4 and not web.standing.paused:
            web.world.aws.autoscaling(REGION).suspend_processes(
                AutoScalingGroupName=web.spec.group, ScalingProcesses=[SUSPENDED]
            )
            web.pause()

    web.begin()
    assert web.drive(suspend).standing.paused
    web.resume()
    assert web.standing.request is not None and web.standing.request.state == "run"
    waited = 0

    def resume_by_hand() -> None:
        nonlocal waited
        waited += 1
        if waited == 30:
            assert SUSPENDED in web.group.suspended
            web.world.aws.autoscaling(REGION).resume_processes(
                AutoScalingGroupName=web.spec.group, ScalingProcesses=[SUSPENDED]
            )

    assert web.drive(resume_by_hand).good and waited > 30
