"""Looks at Auto Scaling groups when they are due, and has done what the deciders say."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from invar.localcloud.autoscaling_launch import GroupLauncher
from invar.localcloud.autoscaling_reconcile import (
    Action,
    Forget,
    FromPool,
    Judge,
    Launch,
    Move,
    Seen,
    Terminate,
    capacity,
    progress,
    unhealthy,
    warm_pool,
)
from invar.localcloud.autoscaling_records import ACTIVE, Group
from invar.localcloud.autoscaling_refresher import Refresher
from invar.localcloud.autoscaling_targets import Targets
from invar.localcloud.autoscaling_transitions import Transitions
from invar.localcloud.clock import Clock, Timers
from invar.localcloud.errors import CloudError
from invar.localcloud.instances import NEVER, InstanceStore
from invar.localcloud.launch_templates import LaunchTemplates
from invar.localcloud.launcher import Launcher
from invar.localcloud.lifecycle import Lifecycle

MOST_ROUNDS = 50


class Engine:
    """The groups of all regions. `launcher`, `transitions` and `refresher` are its hands, for the operations too."""

    def __init__(
        self,
        instances: InstanceStore,
        launcher: Launcher,
        lifecycle: Lifecycle,
        templates: LaunchTemplates,
        targets: Targets,
        alarming: Callable[[str, str, Iterable[str]], list[str]],
        clock: Clock,
        timers: Timers,
    ) -> None:
        """`alarming(account, region, names)` are those CloudWatch alarms that are in state ALARM."""
        self._instances = instances
        self._targets = targets
        self._clock = clock
        self._timers = timers
        self.launcher = GroupLauncher(launcher, templates, targets, timers)
        self.transitions = Transitions(instances, lifecycle, targets, clock, timers)
        self.refresher = Refresher(self.launcher, self.transitions, alarming, clock, timers)
        self.groups: dict[str, dict[str, Group]] = {}

    def step(self, region: str) -> None:
        """Bring every group of the region as far as it gets now."""
        for group in list(self.groups.get(region, {}).values()):
            for _ in range(MOST_ROUNDS):
                if not self._round(group):
                    break
            if group.deleting and not group.members:
                del self.groups[region][group.name]

    def require(self, region: str, name: str) -> Group:
        """The group. Raises CloudError."""
        group = self.groups.get(region, {}).get(name)
        if group is None:
            raise CloudError(
                "ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
            )
        return group

    def at(self, group: Group, when: float) -> None:
        """Look at the group then."""
        self._timers.at(when, group.region)

    def wake(self, group: Group) -> None:
        """Something about the group has changed."""
        self._timers.soon(self._clock.now(), group.region)

    def _round(self, group: Group) -> bool:
        """One look at a group; whether anything was done."""
        now = self._clock.now()
        seen = self._seen(group, now)
        done = self._apply(group, progress(group, seen, now), now)
        done |= self._apply(group, unhealthy(group, seen, now), now)
        surge = 0
        refresh = group.active_refresh
        if refresh is not None and not group.deleting:
            if group.runs("InstanceRefresh") or refresh.status == "Cancelling":
                done |= self.refresher.step(group, refresh, now)
            else:
                refresh.progressed = now
            surge = refresh.surge if refresh.status in ACTIVE else 0
        done |= self._apply(group, capacity(group, surge, now), now)
        done |= self._apply(group, warm_pool(group), now)
        self._set_timers(group, now)
        return done

    def _seen(self, group: Group, now: float) -> dict[str, Seen]:
        seen = {}
        for identity in group.members:
            instance = self._instances.find(group.region, identity)
            if instance is not None:
                target = self._targets.worst(group.region, group.target_groups, identity)
                seen[identity] = Seen(instance.state, instance.fails(now), target)
        return seen

    def _apply(self, group: Group, actions: Iterable[Action], now: float) -> bool:
        done = False
        for action in actions:
            if isinstance(action, Launch):
                done |= self.launcher.launch(group, action, now)
                continue
            member = group.members.get(action.member)
            if member is None:
                continue
            done = True
            if isinstance(action, Terminate):
                self.transitions.take_out(group, member, action.cause)
            elif isinstance(action, Move):
                self.transitions.move(group, member, action, now)
            elif isinstance(action, Judge):
                member.health, member.cause = "Unhealthy", action.cause
            elif isinstance(action, Forget):
                self.transitions.forget(group, member, action.failed, now)
            elif isinstance(action, FromPool):
                self.transitions.from_pool(group, member, action.cause, now)
        return done

    def _set_timers(self, group: Group, now: float) -> None:
        for member in group.members.values():
            if member.state == "InService" and member.ready != NEVER and now < member.ready + group.grace:
                self._timers.at(member.ready + group.grace, group.region)
