"""An operator of a simulated fleet, who uses the verbs from ever another machine and watches what they promise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import ceil
from typing import Any

from botocore.exceptions import ClientError

from fleet.simulation import NAME, REGIONS, Killed, World, fleet
from invar.aws.instances import find_instances
from invar.aws.refreshes import newest_refresh
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.fleet.apply import create_missing
from invar.fleet.audit import GONE, audit_fleet
from invar.fleet.begin import begin_creation, begin_rollback, begin_rollout, choose_goal, find_fleet_groups
from invar.fleet.ledger import Entry, Ledger, Standing
from invar.fleet.rollout import Time, abort, drive, go_on, pause
from invar.fleet.spec import TAG_FLEET, FleetSpec
from invar.localcloud.behaviour import Behaviour
from invar.localcloud.simulated import answers

MOST_CONTROLLERS = 40
RECENT = 400.0
"""Seconds within which the group has replaced an instance that died."""
QUIET = Report()


class Operator:
    """Operates a fleet as the verbs do, from ever another machine, and watches that what is promised holds."""

    def __init__(self, world: World, size: int) -> None:
        self.world = world
        self.spec: FleetSpec = fleet(size=size, regions=REGIONS, max_healthy=134, pause=30)
        self.begun = 0
        self.controllers = 0
        self.undisturbed = True
        self.goal = self.ran = 3
        """The image generations that the next change goes to, and that runs before it."""
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
        if self.ledger.standing(standing.entry.number) != standing:
            return  # somebody resumed or aborted it meanwhile
        for region, identity in suspended().items():
            if region in before and before[region][0] == identity:
                assert before[region][1] <= serving(region), region

    def mend(self) -> None:
        """What an operator does about a way back that is stuck: ends the instances that were found bad."""
        self.world.compute.behaviours.rules.clear()
        self.world.control("DELETE", "faults")
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
                abort(self.ledger, newest, "somebody", self.now())
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
        assert not any(
            one.failed and one.outcome and one.outcome.state == "done" and one.entry.kind != "rollback"
            for one in history.standings
        )
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


def _end(seconds: float) -> None:
    """Instead of a wait: one look is all that this controller is for."""
    raise Killed
