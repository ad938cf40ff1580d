"""Does what the deciders of Auto Scaling say: launches, terminates, registers targets, writes the history."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from invar.localcloud import autoscaling_refresh as refreshing
from invar.localcloud.autoscaling_mix import choose
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
    emptiest_zone,
    progress,
    unhealthy,
    warm_pool,
)
from invar.localcloud.autoscaling_records import (
    ACTIVE,
    LAUNCHING,
    TERMINATING,
    Activity,
    Group,
    Member,
    Refresh,
    TemplateVersion,
    Waiting,
    new_activity_id,
)
from invar.localcloud.clock import Clock, Timers
from invar.localcloud.ebs import Caller
from invar.localcloud.errors import CloudError
from invar.localcloud.instances import NEVER, InstanceStore
from invar.localcloud.launch_plan import lay_over
from invar.localcloud.launch_templates import LaunchTemplates
from invar.localcloud.launcher import Launcher, Order
from invar.localcloud.lifecycle import Lifecycle
from invar.localcloud.settings import Settings

MOST_ACTIVITIES = 1000
MOST_ROUNDS = 50
RETRY_SECONDS = 30.0
LONGEST_RETRY = 900.0
HOOK_LIMIT = 48 * 3600.0


class Targets(Protocol):
    """What the engine asks of load balancing (target_registry.TargetRegistry)."""

    def register(self, region: str, arn: str, instance: str) -> None: ...
    def deregister(self, region: str, arn: str, instance: str) -> bool: ...
    def worst(self, region: str, arns: Iterable[str], instance: str) -> str | None: ...
    def ports(self, region: str, arns: Iterable[str]) -> tuple[int, ...]: ...


class Engine:
    """The groups of all regions."""

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
        self._launcher = launcher
        self._lifecycle = lifecycle
        self._templates = templates
        self._targets = targets
        self._alarming = alarming
        self._clock = clock
        self._timers = timers
        self.groups: dict[str, dict[str, Group]] = {}
        self.settings = Settings()

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

    def check(self, group: Group, launch: dict[str, Any]) -> None:
        """Whether a configuration could be launched. Raises CloudError in Auto Scaling's words."""
        caller = Caller(group.account, group.region)
        try:
            self.resolve(group, launch)
            data = self._template_data(group, launch)
            types = [{"InstanceType": one["InstanceType"]} for one in overrides(launch) if "InstanceType" in one]
            for request in types or [{}]:
                self._launcher.check(caller, lay_over(data, request))
        except CloudError as error:
            raise CloudError(
                "ValidationError", f"You must use a valid fully-formed launch template. {error.message}"
            ) from error

    def at(self, group: Group, when: float) -> None:
        """Look at the group then."""
        self._timers.at(when, group.region)

    def register_all(self, group: Group, arn: str) -> None:
        """Members in service become targets."""
        for member in group.members.values():
            if member.state == "InService":
                self._targets.register(group.region, arn, member.id)

    def deregister_all(self, group: Group, arn: str) -> None:
        """Members are targets there no longer."""
        for member in group.members.values():
            self._targets.deregister(group.region, arn, member.id)

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
                done |= self._refresh(group, refresh, now)
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
                done |= self._launch(group, action, now)
                continue
            member = group.members.get(action.member)
            if member is None:
                continue
            done = True
            if isinstance(action, Terminate):
                self.take_out(group, member, action.cause)
            elif isinstance(action, Move):
                self._move(group, member, action, now)
            elif isinstance(action, Judge):
                member.health, member.cause = "Unhealthy", action.cause
            elif isinstance(action, Forget):
                self._forget(group, member, action.failed, now)
            elif isinstance(action, FromPool):
                self._from_pool(group, member, action.cause, now)
        return done

    def take_out(self, group: Group, member: Member, cause: str) -> None:
        """Begin to end a member: its targets drain, its hooks wait, then its instance is terminated."""
        if member.leaving:
            return
        now = self._clock.now()
        self._close(group, member.activity, now, "Cancelled" if member.state.startswith("Pending") else None)
        member.state, member.since = "Terminating", now
        member.waiting.clear()
        member.activity = self._open(group, f"Terminating EC2 instance: {member.id}", cause, now)
        if group.runs("AddToLoadBalancer"):
            for arn in group.target_groups:
                self._targets.deregister(group.region, arn, member.id)

    def detach(self, group: Group, member: Member, cause: str) -> None:
        """Let a member go, its instance alive."""
        now = self._clock.now()
        member.state, member.since = "Detaching", now
        self._close(group, member.activity, now)
        member.activity = self._open(group, f"Detaching EC2 instance: {member.id}", cause, now)
        for arn in group.target_groups:
            self._targets.deregister(group.region, arn, member.id)
        self.wake(group)

    def attach(self, group: Group, member: Member, cause: str) -> None:
        """Take a running instance in, or one that came back from standby."""
        now = self._clock.now()
        self._close(group, member.activity, now)
        member.activity = self._open(group, f"Attaching an existing EC2 instance: {member.id}", cause, now)
        group.members[member.id] = member
        member.state, member.since = "Pending", now
        self.wake(group)

    def enter_standby(self, group: Group, member: Member, cause: str) -> str:
        """Take a member out of service for a while. Returns the activity's id."""
        now = self._clock.now()
        member.state, member.since = "EnteringStandby", now
        member.activity = self._open(group, f"Moving EC2 instance to Standby: {member.id}", cause, now)
        for arn in group.target_groups:
            self._targets.deregister(group.region, arn, member.id)
        self.wake(group)
        return member.activity

    def resolve(self, group: Group, launch: dict[str, Any]) -> TemplateVersion:
        """The template version that would be launched now. Raises CloudError."""
        named = specification(launch)
        template = self._templates.require(group.region, named)
        version = self._templates.version(template, named.get("Version"))
        return TemplateVersion(template.id, template.name, str(version.number))

    def matching(self, group: Group, refresh: Refresh) -> set[str]:
        """Members that run what the refresh wants already: same template version, and a type that it allows."""
        if not refresh.preferences["SkipMatching"]:
            return set()
        launch = refresh.desired or group.launch
        try:
            wanted = self.resolve(group, launch)
        except CloudError:
            return set()
        data = self._template_data(group, launch)
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
        self.wake(group)

    def _refresh(self, group: Group, refresh: Refresh, now: float) -> bool:
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
            self.take_out(group, group.members[identity], cause)
        if refresh.status not in ACTIVE:
            refresh.end, refresh.surge = now, 0
            if refresh.status == "Successful" and refresh.desired is not None:
                group.launch = refresh.desired
        return bool(step.replace) or before != (refresh.status, refresh.remaining, refresh.surge)

    def _launch(self, group: Group, action: Launch, now: float) -> bool:
        """Launch one by one; the first refusal ends it, and holds launches back for a while."""
        for _ in range(action.count):
            zone = action.zone or emptiest_zone(group)
            try:
                self._launch_one(group, zone, action, now)
            except CloudError as error:
                activity = self._open(group, "Launching a new EC2 instance.", action.cause, now)
                self._close(group, activity, now, "Failed", f"{error.message} Launching EC2 instance failed.")
                pause = min(LONGEST_RETRY, RETRY_SECONDS * 2**group.failures)
                group.failures += 1
                group.next_try = now + pause
                self._timers.at(group.next_try, group.region)
                return True
            group.failures = 0
        return action.count > 0

    def _launch_one(self, group: Group, zone: str, action: Launch, now: float) -> None:
        launch = group.launching
        version = self.resolve(group, launch)
        data = self._template_data(group, launch)
        present = [one for one in group.members.values() if one.counted]
        chosen = choose(launch.get("MixedInstancesPolicy"), str(data.get("InstanceType", "")), present)
        request: dict[str, Any] = {}
        if chosen.type:
            request["InstanceType"] = chosen.type
        if chosen.template is not None:
            template = self._templates.require(group.region, chosen.template)
            own = self._templates.version(template, chosen.template.get("Version"))
            version, data = TemplateVersion(template.id, template.name, str(own.number)), own.data
        subnet = group.zones.get(zone)
        if subnet:
            request["SubnetId"] = subnet
            data = {k: v for k, v in data.items() if k != "SubnetId"}
            if data.get("NetworkInterfaces"):
                interface = {**data["NetworkInterfaces"][0], "SubnetId": subnet}
                request = {k: v for k, v in request.items() if k != "SubnetId"} | {"NetworkInterfaces": [interface]}
        else:
            request["Placement"] = {"AvailabilityZone": zone}
        if chosen.spot:
            request["InstanceMarketOptions"] = {"MarketType": "spot"}
        caller = Caller(group.account, group.region)
        plan = self._launcher.check(caller, lay_over(data, request))
        order = Order(
            1,
            1,
            (version.id, version.name, version.version),
            group.name,
            extra_ports=self._targets.ports(group.region, group.target_groups),
            extra_tags={key: value for key, (value, propagated) in group.tags.items() if propagated},
        )
        [instance] = self._launcher.launch(caller, plan, order)
        activity = self._open(group, f"Launching a new EC2 instance: {instance.id}", action.cause, now)
        details = {"Subnet ID": instance.subnet, "Availability Zone": zone}
        group.activities[-1].details = json.dumps(details)
        group.members[instance.id] = Member(
            id=instance.id,
            zone=zone,
            type=instance.type,
            image=instance.image,
            template=version,
            state="Warmed:Pending" if action.warm else "Pending",
            since=now,
            activity=activity,
            epoch=group.epoch,
            spot=instance.spot,
            protected=group.protect_new,
            cause=action.cause,
            warm=action.warm,
        )

    def _move(self, group: Group, member: Member, action: Move, now: float) -> None:
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
            self._close(group, member.activity, now)
        elif action.state in ("Warmed:Running", "Warmed:Stopped", "Standby"):
            self._close(group, member.activity, now)
            if action.state == "Warmed:Stopped" and instance is not None and instance.state == "running":
                self._lifecycle.stop(instance)

    def _from_pool(self, group: Group, member: Member, cause: str, now: float) -> None:
        instance = self._instances.find(group.region, member.id)
        member.warm, member.state, member.since, member.cause = False, "Pending", now, cause
        member.activity = self._open(group, f"Launching a new EC2 instance from warm pool: {member.id}", cause, now)
        if instance is not None and instance.state == "stopped":
            self._lifecycle.start(instance)

    def _forget(self, group: Group, member: Member, failed: str | None, now: float) -> None:
        del group.members[member.id]
        for arn in group.target_groups:
            self._targets.deregister(group.region, arn, member.id)
        instance = self._instances.find(group.region, member.id)
        why = instance.reason[1] if failed and instance is not None and instance.reason else ""
        self._close(group, member.activity, now, "Failed" if failed else None, f"{failed} {why}" if failed else None)
        if member.state == "Detaching" and instance is not None:
            instance.group = None
            instance.tags.pop("aws:autoscaling:groupName", None)

    def _open(self, group: Group, description: str, cause: str, now: float) -> str:
        activity = Activity(new_activity_id(), description, cause, now)
        group.activities.append(activity)
        del group.activities[:-MOST_ACTIVITIES]
        return activity.id

    def _close(
        self, group: Group, identity: str, now: float, status: str | None = None, message: str | None = None
    ) -> None:
        for activity in reversed(group.activities):
            if activity.id == identity:
                if activity.end is None:
                    activity.end, activity.message = now, message
                    activity.status, activity.progress = status or "Successful", 100
                return

    def _set_timers(self, group: Group, now: float) -> None:
        for member in group.members.values():
            if member.state == "InService" and member.ready != NEVER and now < member.ready + group.grace:
                self._timers.at(member.ready + group.grace, group.region)

    def _template_data(self, group: Group, launch: dict[str, Any]) -> dict[str, Any]:
        return self._templates.data_of(Caller(group.account, group.region), specification(launch))


def specification(launch: dict[str, Any]) -> dict[str, Any]:
    """The launch template specification of a group's or a refresh's configuration."""
    if "MixedInstancesPolicy" in launch:
        named: dict[str, Any] = launch["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
        return named
    plain: dict[str, Any] = launch["LaunchTemplate"]
    return plain


def overrides(launch: dict[str, Any]) -> list[dict[str, Any]]:
    """The overrides of a mixed instances policy."""
    found: list[dict[str, Any]] = (launch.get("MixedInstancesPolicy") or {}).get("LaunchTemplate", {}).get(
        "Overrides"
    ) or []
    return found
