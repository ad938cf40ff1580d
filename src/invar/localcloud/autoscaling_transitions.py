"""Members of Auto Scaling groups on their way in, out and through: targets, hooks, instances and history follow."""

from __future__ import annotations

from invar.localcloud.autoscaling_history import begin_activity, end_activity
from invar.localcloud.autoscaling_reconcile import Move
from invar.localcloud.autoscaling_records import LAUNCHING, TERMINATING, Group, Member, Waiting, new_activity_id
from invar.localcloud.autoscaling_targets import Targets
from invar.localcloud.clock import Clock, Timers
from invar.localcloud.instances import InstanceStore
from invar.localcloud.lifecycle import Lifecycle

HOOK_LIMIT = 48 * 3600.0


class Transitions:
    """Moves members of groups of all regions."""

    def __init__(
        self, instances: InstanceStore, lifecycle: Lifecycle, targets: Targets, clock: Clock, timers: Timers
    ) -> None:
        self._instances = instances
        self._lifecycle = lifecycle
        self._targets = targets
        self._clock = clock
        self._timers = timers

    def take_out(self, group: Group, member: Member, cause: str) -> None:
        """Begin to end a member: its targets drain, its hooks wait, then its instance is terminated."""
        if member.leaving:
            return
        now = self._clock.now()
        end_activity(group, member.activity, now, "Cancelled" if member.state.startswith("Pending") else None)
        member.state, member.since = "Terminating", now
        member.waiting.clear()
        member.activity = begin_activity(group, f"Terminating EC2 instance: {member.id}", cause, now).id
        if group.runs("AddToLoadBalancer"):
            for arn in group.target_groups:
                self._targets.deregister(group.region, arn, member.id)

    def detach(self, group: Group, member: Member, cause: str) -> None:
        """Let a member go, its instance alive."""
        now = self._clock.now()
        member.state, member.since = "Detaching", now
        end_activity(group, member.activity, now)
        member.activity = begin_activity(group, f"Detaching EC2 instance: {member.id}", cause, now).id
        for arn in group.target_groups:
            self._targets.deregister(group.region, arn, member.id)
        self._timers.soon(self._clock.now(), group.region)

    def attach(self, group: Group, member: Member, cause: str) -> None:
        """Take a running instance in, or one that came back from standby."""
        now = self._clock.now()
        end_activity(group, member.activity, now)
        member.activity = begin_activity(group, f"Attaching an existing EC2 instance: {member.id}", cause, now).id
        group.members[member.id] = member
        member.state, member.since = "Pending", now
        self._timers.soon(self._clock.now(), group.region)

    def enter_standby(self, group: Group, member: Member, cause: str) -> str:
        """Take a member out of service for a while. Returns the activity's id."""
        now = self._clock.now()
        member.state, member.since = "EnteringStandby", now
        member.activity = begin_activity(group, f"Moving EC2 instance to Standby: {member.id}", cause, now).id
        for arn in group.target_groups:
            self._targets.deregister(group.region, arn, member.id)
        self._timers.soon(self._clock.now(), group.region)
        return member.activity

    def move(self, group: Group, member: Member, action: Move, now: float) -> None:
        """A member comes into another state."""
        member.state, member.since = action.state, now
        if action.state.endswith(":Wait"):
            transition = TERMINATING if action.state.startswith("Terminating") else LAUNCHING
            for hook in group.hooks.values():
                if hook.transition == transition:
                    latest = now + min(HOOK_LIMIT, 100.0 * hook.timeout)
                    waiting = Waiting(new_activity_id(), now + hook.timeout, latest, hook.result)
                    member.waiting[hook.name] = waiting
                    self._timers.at(waiting.deadline, group.region)
            return
        if action.state.endswith(":Proceed"):
            member.waiting.clear()
        instance = self._instances.find(group.region, member.id)
        if action.state == "Terminating:Proceed":
            if instance is not None:
                self._lifecycle.terminate(instance)
        elif action.state == "InService":
            member.ready, member.health = now, "Healthy"
            if group.runs("AddToLoadBalancer"):
                for arn in group.target_groups:
                    self._targets.register(group.region, arn, member.id)
            end_activity(group, member.activity, now)
        elif action.state in ("Warmed:Running", "Warmed:Stopped", "Standby"):
            end_activity(group, member.activity, now)
            if action.state == "Warmed:Stopped" and instance is not None and instance.state == "running":
                self._lifecycle.stop(instance)

    def from_pool(self, group: Group, member: Member, cause: str, now: float) -> None:
        """A member of the warm pool goes into service."""
        instance = self._instances.find(group.region, member.id)
        member.warm, member.state, member.since, member.cause = False, "Pending", now, cause
        member.activity = begin_activity(
            group, f"Launching a new EC2 instance from warm pool: {member.id}", cause, now
        ).id
        if instance is not None and instance.state == "stopped":
            self._lifecycle.start(instance)

    def forget(self, group: Group, member: Member, failed: str | None, now: float) -> None:
        """A member is no longer one; `failed` says why it never came into service."""
        del group.members[member.id]
        for arn in group.target_groups:
            self._targets.deregister(group.region, arn, member.id)
        instance = self._instances.find(group.region, member.id)
        why = instance.reason[1] if failed and instance is not None and instance.reason else ""
        end_activity(group, member.activity, now, "Failed" if failed else None, f"{failed} {why}" if failed else None)
        if member.state == "Detaching" and instance is not None:
            instance.group = None
            instance.tags.pop("aws:autoscaling:groupName", None)

    def register_all(self, group: Group, arn: str) -> None:
        """Members in service become targets."""
        for member in group.members.values():
            if member.state == "InService":
                self._targets.register(group.region, arn, member.id)

    def deregister_all(self, group: Group, arn: str) -> None:
        """Members are targets there no longer."""
        for member in group.members.values():
            self._targets.deregister(group.region, arn, member.id)
