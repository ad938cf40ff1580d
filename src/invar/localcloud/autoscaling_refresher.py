"""Carries out what an instance refresh does next: the figures, the members that go, the way back, the timers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from invar.localcloud import autoscaling_refresh as refreshing
from invar.localcloud.autoscaling_launch import GroupLauncher, overrides
from invar.localcloud.autoscaling_records import ACTIVE, Group, Refresh
from invar.localcloud.autoscaling_transitions import Transitions
from invar.localcloud.clock import Clock, Timers
from invar.localcloud.errors import CloudError
from invar.localcloud.settings import Settings


class Refresher:
    """Refreshes groups of all regions."""

    def __init__(
        self,
        launcher: GroupLauncher,
        transitions: Transitions,
        alarming: Callable[[str, str, Iterable[str]], list[str]],
        clock: Clock,
        timers: Timers,
    ) -> None:
        """`alarming(account, region, names)` are those CloudWatch alarms that are in state ALARM."""
        self._launcher = launcher
        self._transitions = transitions
        self._alarming = alarming
        self._clock = clock
        self._timers = timers
        self.settings = Settings()

    def step(self, group: Group, refresh: Refresh, now: float) -> bool:
        """One look at an active refresh; whether anything was done."""
        specified = refresh.preferences.get("AlarmSpecification", {}).get("Alarms") or ()
        alarms = self._alarming(group.account, group.region, specified)
        matching = self.matching(group, refresh)
        if refresh.status == "Pending":
            refresh.total = len(refreshing.outdated(group, refresh, matching))
            refresh.remaining, refresh.progressed = refresh.total, now
        before = (refresh.status, refresh.remaining, refresh.surge)
        step = refreshing.refresh_step(group, refresh, matching, alarms, self.settings.refresh_stall_seconds, now)
        if step.roll_back is not None:
            self.begin_rollback(group, refresh, step.roll_back)
            return True
        paused = step.paused_until is not None or step.waiting_since is not None
        if paused or step.remaining < refresh.remaining or step.status != refresh.status:
            refresh.progressed = now
        refresh.status, refresh.reason, refresh.surge = step.status, step.reason, step.surge
        refresh.percentage, refresh.remaining = step.percentage, step.remaining
        refresh.checkpoint, refresh.paused_until = step.checkpoint, step.paused_until
        refresh.bake_until, refresh.waiting_since = step.bake_until, step.waiting_since
        if step.again is not None:
            self._timers.at(step.again, group.region)
        self._timers.at(
            refresh.progressed + self.settings.refresh_stall_seconds + refreshing.warmup_of(group, refresh) + 1,
            group.region,
        )
        cause = "an instance was taken out of service in response to an instance refresh."
        for identity in step.replace:
            self._transitions.take_out(group, group.members[identity], cause)
        if refresh.status not in ACTIVE:
            refresh.end, refresh.surge = now, 0
            if refresh.status == "Successful" and refresh.desired is not None:
                group.launch = refresh.desired
        return bool(step.replace) or before != (refresh.status, refresh.remaining, refresh.surge)

    def matching(self, group: Group, refresh: Refresh) -> set[str]:
        """Members that run what the refresh wants already: same template version, and a type that it allows."""
        if not refresh.preferences["SkipMatching"]:
            return set()
        launch = refresh.desired or group.launch
        try:
            wanted = self._launcher.resolve(group, launch)
        except CloudError:
            return set()
        data = self._launcher.template_data(group, launch)
        types = {one["InstanceType"] for one in overrides(launch) if "InstanceType" in one}
        types = types or {data.get("InstanceType", "")}
        return {
            one.id
            for one in group.members.values()
            if (one.template.id, one.template.version) == (wanted.id, wanted.version) and one.type in types
        }

    def begin_rollback(self, group: Group, refresh: Refresh, reason: str) -> None:
        """Go back: replace what the refresh launched."""
        now = self._clock.now()
        group.epoch += 1
        own = [one for one in group.members.values() if one.epoch == refresh.epoch and not one.leaving and not one.warm]
        refresh.rollback = {
            "reason": reason,
            "start": now,
            "percentage": refresh.percentage,
            "remaining": refresh.remaining,
            "total": len(own),
        }
        refresh.status, refresh.reason = "RollbackInProgress", reason
        refresh.progressed, refresh.paused_until, refresh.waiting_since = now, None, None
        self._timers.soon(now, group.region)
