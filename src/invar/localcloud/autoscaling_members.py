"""Auto Scaling's operations on members of a group, and on the lifecycle hooks that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invar.localcloud.autoscaling_checks import MOST_HOOKS, checked_hook, invalid
from invar.localcloud.autoscaling_engine import Engine
from invar.localcloud.autoscaling_records import Group, Member, TemplateVersion, Waiting
from invar.localcloud.autoscaling_view import shown_activity, shown_hook
from invar.localcloud.clock import Clock
from invar.localcloud.ebs import Caller
from invar.localcloud.errors import CloudError
from invar.localcloud.instances import InstanceStore

Parameters = Mapping[str, Any]


class MemberApi:
    """The operations. Parameters and results have botocore's names and types."""

    def __init__(self, engine: Engine, instances: InstanceStore, clock: Clock) -> None:
        self._engine = engine
        self._instances = instances
        self._clock = clock

    def terminate(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """TerminateInstanceInAutoScalingGroup."""
        for group in self._engine.groups.get(caller.region, {}).values():
            member = group.members.get(parameters["InstanceId"])
            if member is None:
                continue
            if parameters["ShouldDecrementDesiredCapacity"]:
                _decrement(group, 1)
            self._engine.transitions.take_out(
                group, member, "an instance was taken out of service in response to a user request."
            )
            self._engine.wake(group)
            return {"Activity": shown_activity(group, group.activities[-1])}
        raise invalid(f"Instance Id not found - No managed instance found for instance ID: {parameters['InstanceId']}")

    def set_health(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """SetInstanceHealth."""
        status = parameters["HealthStatus"]
        if status not in ("Healthy", "Unhealthy"):
            raise invalid("HealthStatus is Healthy or Unhealthy.")
        for group in self._engine.groups.get(caller.region, {}).values():
            member = group.members.get(parameters["InstanceId"])
            if member is None:
                continue
            respect = parameters.get("ShouldRespectGracePeriod") is not False
            if status == "Unhealthy" and respect and self._clock.now() < member.ready + group.grace:
                return {}
            member.health = status
            member.cause = "an instance was taken out of service in response to a user health-check."
            self._engine.wake(group)
            return {}
        raise invalid(f"Instance Id not found - No managed instance found for instance ID: {parameters['InstanceId']}")

    def protect(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """SetInstanceProtection."""
        group, members = self._named(caller, parameters)
        for member in members:
            member.protected = parameters["ProtectedFromScaleIn"]
        self._engine.wake(group)
        return {}

    def enter_standby(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """EnterStandby."""
        group, members = self._named(caller, parameters)
        for member in members:
            if member.state != "InService":
                raise invalid(f"The instance {member.id} is not in InService.")
        if parameters["ShouldDecrementDesiredCapacity"]:
            _decrement(group, len(members))
        cause = "instance(s) were moved to Standby in response to a user request."
        made = [self._engine.transitions.enter_standby(group, member, cause) for member in members]
        return {"Activities": [shown_activity(group, one) for one in group.activities if one.id in made]}

    def exit_standby(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """ExitStandby: the desired capacity grows."""
        group, members = self._named(caller, parameters)
        for member in members:
            if member.state != "Standby":
                raise invalid(f"The instance {member.id} is not in Standby.")
        if group.desired + len(members) > group.most:
            raise invalid("The group would be larger than its maximum size.")
        group.desired += len(members)
        for member in members:
            self._engine.transitions.attach(
                group, member, "instance(s) were moved out of Standby in response to a user request."
            )
        return {"Activities": [shown_activity(group, one) for one in group.activities[-len(members) :]]}

    def attach(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """AttachInstances: running ones that are in no group; the desired capacity grows."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        ids = parameters.get("InstanceIds") or []
        if group.desired + len(ids) > group.most:
            raise invalid("The group would be larger than its maximum size.")
        found = []
        for identity in ids:
            instance = self._instances.find(caller.region, identity)
            if instance is None or instance.state != "running":
                raise invalid(f"Invalid Instance ID(s): [{identity}]. It must be running.")
            if instance.group is not None:
                raise invalid(f"The instance {identity} is already part of Auto Scaling group {instance.group}.")
            if instance.zone not in group.zones:
                raise invalid(f"The instance {identity} is in none of the group's zones.")
            found.append(instance)
        now = self._clock.now()
        for instance in found:
            instance.group = group.name
            instance.tags["aws:autoscaling:groupName"] = group.name
            named = instance.template or ("", "", "0")
            member = Member(
                id=instance.id,
                zone=instance.zone,
                type=instance.type,
                image=instance.image,
                template=TemplateVersion(*named),
                state="Pending",
                since=now,
                activity="",
                epoch=group.epoch,
            )
            group.desired += 1
            self._engine.transitions.attach(group, member, "an instance was attached in response to a user request.")
        return {}

    def detach(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DetachInstances: they live on outside of the group."""
        group, members = self._named(caller, parameters)
        if parameters["ShouldDecrementDesiredCapacity"]:
            _decrement(group, len(members))
        for member in members:
            self._engine.transitions.detach(group, member, "an instance was detached in response to a user request.")
        return {"Activities": [shown_activity(group, one) for one in group.activities[-len(members) :]]}

    def put_hook(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """PutLifecycleHook."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        name = parameters["LifecycleHookName"]
        if name not in group.hooks and len(group.hooks) >= MOST_HOOKS:
            raise CloudError("LimitExceeded", f"A group has at most {MOST_HOOKS} lifecycle hooks.")
        group.hooks[name] = checked_hook(parameters, group.hooks.get(name))
        return {}

    def delete_hook(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DeleteLifecycleHook: what waits for it goes on."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        name = parameters["LifecycleHookName"]
        if group.hooks.pop(name, None) is None:
            raise invalid(f"No Lifecycle Hook found with name {name}.")
        for member in group.members.values():
            if name in member.waiting:
                member.waiting[name].result = member.waiting[name].default
        self._engine.wake(group)
        return {}

    def describe_hooks(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeLifecycleHooks."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        names = parameters.get("LifecycleHookNames") or []
        found = [one for one in group.hooks.values() if not names or one.name in names]
        return {"LifecycleHooks": [shown_hook(group, one) for one in found]}

    def complete(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """CompleteLifecycleAction."""
        result = parameters["LifecycleActionResult"]
        if result not in ("CONTINUE", "ABANDON"):
            raise invalid("LifecycleActionResult is CONTINUE or ABANDON.")
        group, waiting = self._waiting(caller, parameters)
        waiting.result = result
        self._engine.wake(group)
        return {}

    def heartbeat(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """RecordLifecycleActionHeartbeat."""
        group, waiting = self._waiting(caller, parameters)
        hook = group.hooks.get(parameters["LifecycleHookName"])
        if hook is not None:
            waiting.deadline = self._clock.now() + hook.timeout
            self._engine.at(group, min(waiting.deadline, waiting.latest))
        return {}

    def _waiting(self, caller: Caller, parameters: Parameters) -> tuple[Group, Waiting]:
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        name, identity = parameters["LifecycleHookName"], parameters.get("InstanceId")
        token = parameters.get("LifecycleActionToken")
        for member in group.members.values():
            waiting = member.waiting.get(name)
            if waiting is not None and waiting.result is None and (member.id == identity or waiting.token == token):
                return group, waiting
        raise invalid(f"No active Lifecycle Action found with instance ID {identity or token}")

    def _named(self, caller: Caller, parameters: Parameters) -> tuple[Group, list[Member]]:
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        members = []
        for identity in parameters.get("InstanceIds") or []:
            if identity not in group.members:
                raise invalid(f"The instance {identity} is not part of Auto Scaling group {group.name}.")
            members.append(group.members[identity])
        return group, members


def _decrement(group: Group, count: int) -> None:
    if group.desired - count < group.least:
        raise invalid(
            f"Currently, desiredSize equals minSize ({group.least}). Terminating instance without replacement will "
            "violate group's min size constraint."
        )
    group.desired -= count
