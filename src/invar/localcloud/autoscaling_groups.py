"""Auto Scaling's operations on groups: create, update, delete, describe, sizes, processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invar.localcloud.autoscaling_checks import (
    FIXED,
    PROCESSES,
    check_launch,
    check_settings,
    check_sizes,
    checked_hook,
    invalid,
)
from invar.localcloud.autoscaling_engine import Engine
from invar.localcloud.autoscaling_records import Group, new_group_arn
from invar.localcloud.autoscaling_tags import tag_group
from invar.localcloud.autoscaling_view import page_of, shown_activity, shown_group, shown_member
from invar.localcloud.clock import Clock
from invar.localcloud.ebs import Caller
from invar.localcloud.errors import CloudError
from invar.localcloud.filters import matches, tag_facts
from invar.localcloud.instance_view import time_of
from invar.localcloud.network import Network

Parameters = Mapping[str, Any]


class GroupApi:
    """The operations. Parameters and results have botocore's names and types."""

    def __init__(self, engine: Engine, network: Network, clock: Clock) -> None:
        self._engine = engine
        self._network = network
        self._clock = clock

    def create(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """CreateAutoScalingGroup."""
        name = parameters["AutoScalingGroupName"]
        here = self._engine.groups.setdefault(caller.region, {})
        if name in here:
            raise CloudError(
                "AlreadyExists",
                f"AutoScalingGroup by this name already exists - A group with the name {name} already exists",
            )
        launch = check_launch(parameters)
        if launch is None:
            raise invalid(
                "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or "
                "MixedInstancesPolicy parameter."
            )
        check_settings(parameters)
        least, most = parameters["MinSize"], parameters["MaxSize"]
        desired = parameters.get("DesiredCapacity", least)
        check_sizes(least, most, desired)
        group = Group(
            name=name,
            region=caller.region,
            account=caller.account,
            created=self._clock.now(),
            launch=launch,
            least=least,
            most=most,
            desired=desired,
            zones=self._zones(caller, parameters),
            subnets=parameters.get("VPCZoneIdentifier") or "",
            target_groups=_targets(parameters),
            arn=new_group_arn(caller.account, caller.region, name),
            service_role=f"arn:aws:iam::{caller.account}:role/aws-service-role/autoscaling.amazonaws.com/"
            "AWSServiceRoleForAutoScaling",
        )
        self._settings(group, parameters)
        tag_group(group, parameters.get("Tags") or [])
        for one in parameters.get("LifecycleHookSpecificationList") or []:
            group.hooks[one["LifecycleHookName"]] = checked_hook(one)
        self._engine.launcher.check(group, launch)
        here[name] = group
        self._engine.wake(group)
        return {}

    def update(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """UpdateAutoScalingGroup: what is not named stays."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        _require_living(group)
        launch = check_launch(parameters)
        refresh = group.active_refresh
        if launch is not None and refresh is not None and refresh.desired is not None:
            raise invalid(FIXED)
        check_settings(parameters)
        least, most = parameters.get("MinSize", group.least), parameters.get("MaxSize", group.most)
        desired = parameters.get("DesiredCapacity", min(max(group.desired, least), most))
        check_sizes(least, most, desired)
        if launch is not None:
            self._engine.launcher.check(group, launch)
            group.launch = launch
        if parameters.get("VPCZoneIdentifier") or parameters.get("AvailabilityZones"):
            group.zones = self._zones(caller, parameters)
            group.subnets = parameters.get("VPCZoneIdentifier") or ""
        group.least, group.most, group.desired = least, most, desired
        self._settings(group, parameters)
        self._engine.wake(group)
        return {}

    def delete(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DeleteAutoScalingGroup."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        if not parameters.get("ForceDelete"):
            if any(not one.leaving for one in group.members.values()):
                raise CloudError(
                    "ResourceInUse",
                    "You cannot delete a group while instances are still in it.",
                )
            if group.members:
                raise CloudError("ScalingActivityInProgress", "There are scaling activities in progress.")
        group.deleting, group.least, group.desired = True, 0, 0
        refresh = group.active_refresh
        if refresh is not None:
            refresh.status, refresh.end = "Cancelled", self._clock.now()
        for member in list(group.members.values()):
            self._engine.transitions.take_out(group, member, "the group is being deleted.")
        if not group.members:
            del self._engine.groups[caller.region][group.name]
        self._engine.wake(group)
        return {}

    def describe(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeAutoScalingGroups: unknown names are left out, as AWS does it."""
        names = parameters.get("AutoScalingGroupNames") or []
        found = [
            one
            for one in self._engine.groups.get(caller.region, {}).values()
            if (not names or one.name in names or one.arn in names)
            and matches(
                tag_facts({key: value for key, (value, _) in one.tags.items()})
                | {"tag-value": [value for value, _ in one.tags.values()]},
                parameters.get("Filters") or [],
                ("tag-value",),
            )
        ]
        shown, token = page_of(found, parameters, 50, 100)
        members = parameters.get("IncludeInstances") is not False
        return {"AutoScalingGroups": [shown_group(one, members=members) for one in shown]} | token

    def describe_instances(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeAutoScalingInstances."""
        wanted = parameters.get("InstanceIds") or []
        found = [
            {**shown_member(member), "AutoScalingGroupName": group.name, "HealthStatus": member.health.upper()}
            for group in self._engine.groups.get(caller.region, {}).values()
            for member in group.members.values()
            if not wanted or member.id in wanted
        ]
        shown, token = page_of(found, parameters, 50, 50)
        return {"AutoScalingInstances": shown} | token

    def describe_activities(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeScalingActivities: newest first."""
        here = self._engine.groups.get(caller.region, {})
        name, wanted = parameters.get("AutoScalingGroupName"), parameters.get("ActivityIds") or []
        groups = [self._engine.require(caller.region, name)] if name else list(here.values())
        found = [
            (group, one) for group in groups for one in reversed(group.activities) if not wanted or one.id in wanted
        ]
        shown, token = page_of(found, parameters, 100, 100)
        return {"Activities": [shown_activity(group, one) for group, one in shown]} | token

    def set_desired(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """SetDesiredCapacity."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        _require_living(group)
        desired = parameters["DesiredCapacity"]
        if desired > group.most:
            raise invalid(f"New SetDesiredCapacity value {desired} is above max value {group.most} for the group.")
        if desired < group.least:
            raise invalid(f"New SetDesiredCapacity value {desired} is below min value {group.least} for the group.")
        group.desired = desired
        self._engine.wake(group)
        return {}

    def suspend(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """SuspendProcesses: all, where none is named."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        for name in _processes(parameters):
            at = "User suspended at " + self._at()
            group.suspended.setdefault(name, at)
        return {}

    def resume(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """ResumeProcesses."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        for name in _processes(parameters):
            group.suspended.pop(name, None)
        if group.active_refresh is not None:
            group.active_refresh.progressed = self._clock.now()
        self._engine.wake(group)
        return {}

    def _settings(self, group: Group, parameters: Parameters) -> None:
        """What create and update have in common."""
        group.health = parameters.get("HealthCheckType") or group.health
        group.grace = parameters.get("HealthCheckGracePeriod", group.grace)
        group.cooldown = parameters.get("DefaultCooldown", group.cooldown)
        if "DefaultInstanceWarmup" in parameters:
            seconds = parameters["DefaultInstanceWarmup"]
            group.warmup = None if seconds == -1 else seconds
        group.termination = list(parameters.get("TerminationPolicies") or group.termination)
        group.protect_new = parameters.get("NewInstancesProtectedFromScaleIn", group.protect_new)
        group.rebalance = parameters.get("CapacityRebalance", group.rebalance)
        if policy := parameters.get("InstanceMaintenancePolicy"):
            least, most = policy.get("MinHealthyPercentage"), policy.get("MaxHealthyPercentage")
            group.policy = None if least in (None, -1) else (least, most)

    def _zones(self, caller: Caller, parameters: Parameters) -> dict[str, str | None]:
        subnets = [one.strip() for one in (parameters.get("VPCZoneIdentifier") or "").split(",") if one.strip()]
        zones = list(parameters.get("AvailabilityZones") or [])
        if subnets:
            try:
                return {one.zone: one.id for one in (self._network.subnet(caller.region, name) for name in subnets)}
            except CloudError as error:
                raise invalid(f"The subnet ID is not valid. {error.message}") from error
        if not zones:
            raise invalid("At least one Availability Zone or VPC Subnet is required.")
        known = self._network.zones(caller.region)
        for zone in zones:
            if zone not in known:
                raise invalid(f"Invalid availability zone: {zone}")
        return dict.fromkeys(zones)

    def _at(self) -> str:
        return time_of(self._clock.now()).strftime("%Y-%m-%dT%H:%M:%SZ")


def _processes(parameters: Parameters) -> list[str]:
    names = list(parameters.get("ScalingProcesses") or PROCESSES)
    for name in names:
        if name not in PROCESSES:
            raise invalid(f"Invalid process name: {name}")
    return names


def _targets(parameters: Parameters) -> list[str]:
    sources = [one["Identifier"] for one in parameters.get("TrafficSources") or []]
    return list(dict.fromkeys([*(parameters.get("TargetGroupARNs") or []), *sources]))


def _require_living(group: Group) -> None:
    if group.deleting:
        raise CloudError("ScalingActivityInProgress", f"The group {group.name} is being deleted.")
