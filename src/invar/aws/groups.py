"""Auto Scaling groups and their members: find, make, change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invar.aws.client import Cloud
from invar.aws.errors import AWS_ERRORS, code_of, told

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef, InstanceTypeDef

LEAVING = ("Terminating", "Terminated", "Detaching", "Detached", "EnteringStandby", "Standby", "Warmed")


@dataclass(frozen=True, slots=True)
class Member:
    """An instance of a group. `template` and `version` (text as AWS has it) are what it was launched from."""

    id: str
    type: str
    zone: str
    lifecycle: str
    healthy: bool
    template: str
    version: str
    protected: bool

    @property
    def counts(self) -> bool:
        """Whether it is one of the group's working instances, or about to be."""
        return not self.lifecycle.startswith(LEAVING)

    @property
    def serving(self) -> bool:
        """Whether it is in service and healthy."""
        return self.lifecycle == "InService" and self.healthy


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """A group. `template` and `version` are what its next instances come from; `types` those of its overrides."""

    name: str
    region: str
    arn: str
    template: str
    version: str
    types: tuple[str, ...]
    distribution: dict[str, Any]
    min: int
    desired: int
    max: int
    subnets: tuple[str, ...]
    zones: tuple[str, ...]
    target_groups: tuple[str, ...]
    health: str
    grace: int
    suspended: tuple[str, ...]
    tags: dict[str, str]
    members: tuple[Member, ...]


def find_groups(
    cloud: Cloud, region: str, *, names: Sequence[str] = (), tags: Mapping[str, str] | None = None
) -> list[GroupRecord]:
    """The groups of these names, or those that carry all these tags. Raises InvarError."""
    asked: dict[str, Any] = {"AutoScalingGroupNames": list(names)} if names else {}
    if tags:
        asked["Filters"] = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    try:
        pages = (
            cloud.autoscaling(region)
            .get_paginator("describe_auto_scaling_groups")
            .paginate(**asked, PaginationConfig={"PageSize": 100})
        )
        return [_record(one, region) for page in pages for one in page["AutoScalingGroups"]]
    except AWS_ERRORS as error:
        raise told(error, f"autoscaling:DescribeAutoScalingGroups {region}") from error


def find_group(cloud: Cloud, region: str, name: str) -> GroupRecord | None:
    """The group of this name, or None. Raises InvarError."""
    found = find_groups(cloud, region, names=[name])
    return found[0] if found else None


def create_group(cloud: Cloud, region: str, settings: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    """CreateAutoScalingGroup; one of that name that is there already is left as it is. Raises InvarError."""
    name = settings["AutoScalingGroupName"]
    try:
        cloud.autoscaling(region).create_auto_scaling_group(**settings, Tags=_tags(name, tags))  # type: ignore[arg-type]
    except AWS_ERRORS as error:
        if code_of(error) != "AlreadyExists":
            raise told(error, f"autoscaling:CreateAutoScalingGroup {region} {name}") from error


def update_group(cloud: Cloud, region: str, settings: Mapping[str, Any]) -> None:
    """UpdateAutoScalingGroup. Raises InvarError."""
    try:
        cloud.autoscaling(region).update_auto_scaling_group(**settings)
    except AWS_ERRORS as error:
        name = settings["AutoScalingGroupName"]
        raise told(error, f"autoscaling:UpdateAutoScalingGroup {region} {name}") from error


def set_target_groups(cloud: Cloud, region: str, name: str, before: Sequence[str], after: Sequence[str]) -> None:
    """Attach and detach target groups. Raises InvarError."""
    client = cloud.autoscaling(region)
    added = [one for one in after if one not in before]
    gone = [one for one in before if one not in after]
    try:
        if added:
            client.attach_load_balancer_target_groups(AutoScalingGroupName=name, TargetGroupARNs=added)
        if gone:
            client.detach_load_balancer_target_groups(AutoScalingGroupName=name, TargetGroupARNs=gone)
    except AWS_ERRORS as error:
        raise told(error, f"autoscaling:AttachLoadBalancerTargetGroups {region} {name}") from error


def tag_group(cloud: Cloud, region: str, name: str, tags: Mapping[str, str]) -> None:
    """Set tags of a group (new instances do not get them). Raises InvarError."""
    try:
        cloud.autoscaling(region).create_or_update_tags(Tags=_tags(name, tags))  # type: ignore[arg-type]
    except AWS_ERRORS as error:
        raise told(error, f"autoscaling:CreateOrUpdateTags {region} {name}") from error


def untag_group(cloud: Cloud, region: str, name: str, keys: Sequence[str]) -> None:
    """Take tags of a group away; those that it does not have are no fault. Raises InvarError."""
    tags = [{"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": key} for key in keys]
    try:
        cloud.autoscaling(region).delete_tags(Tags=tags)  # type: ignore[arg-type]
    except AWS_ERRORS as error:
        raise told(error, f"autoscaling:DeleteTags {region} {name}") from error


def suspend_processes(cloud: Cloud, region: str, name: str, processes: Sequence[str]) -> None:
    """SuspendProcesses. Raises InvarError."""
    try:
        cloud.autoscaling(region).suspend_processes(AutoScalingGroupName=name, ScalingProcesses=processes)
    except AWS_ERRORS as error:
        raise told(error, f"autoscaling:SuspendProcesses {region} {name}") from error


def resume_processes(cloud: Cloud, region: str, name: str, processes: Sequence[str]) -> None:
    """ResumeProcesses. Raises InvarError."""
    try:
        cloud.autoscaling(region).resume_processes(AutoScalingGroupName=name, ScalingProcesses=processes)
    except AWS_ERRORS as error:
        raise told(error, f"autoscaling:ResumeProcesses {region} {name}") from error


def terminate_member(cloud: Cloud, region: str, instance: str) -> None:
    """TerminateInstanceInAutoScalingGroup, which launches another in its place; one that is gone is no fault.

    Raises InvarError.
    """
    try:
        cloud.autoscaling(region).terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=False
        )
    except AWS_ERRORS as error:
        if code_of(error) != "ValidationError":
            raise told(error, f"autoscaling:TerminateInstanceInAutoScalingGroup {region} {instance}") from error


def _tags(name: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "ResourceId": name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": False,
        }
        for key, value in sorted(tags.items())
    ]


def _record(one: AutoScalingGroupTypeDef, region: str) -> GroupRecord:
    mixed = one.get("MixedInstancesPolicy", {})
    inner: Any = mixed.get("LaunchTemplate", {})
    specification: Any = one.get("LaunchTemplate") or inner.get("LaunchTemplateSpecification", {})
    return GroupRecord(
        name=one["AutoScalingGroupName"],
        region=region,
        arn=one.get("AutoScalingGroupARN", ""),
        template=specification.get("LaunchTemplateId", ""),
        version=str(specification.get("Version", "")),
        types=tuple(override.get("InstanceType", "") for override in inner.get("Overrides", [])),
        distribution=dict(mixed.get("InstancesDistribution", {})),
        min=one["MinSize"],
        desired=one["DesiredCapacity"],
        max=one["MaxSize"],
        subnets=tuple(filter(None, one.get("VPCZoneIdentifier", "").split(","))),
        zones=tuple(one["AvailabilityZones"]),
        target_groups=tuple(one.get("TargetGroupARNs", [])),
        health=one["HealthCheckType"],
        grace=one.get("HealthCheckGracePeriod", 0),
        suspended=tuple(process["ProcessName"] for process in one.get("SuspendedProcesses", [])),
        tags={tag["Key"]: tag.get("Value", "") for tag in one.get("Tags", []) if "Key" in tag},
        members=tuple(_member(each) for each in one.get("Instances", [])),
    )


def _member(one: InstanceTypeDef) -> Member:
    specification: Any = one.get("LaunchTemplate", {})
    return Member(
        id=one["InstanceId"],
        type=one.get("InstanceType", ""),
        zone=one["AvailabilityZone"],
        lifecycle=one["LifecycleState"],
        healthy=one["HealthStatus"].lower() == "healthy",
        template=specification.get("LaunchTemplateId", ""),
        version=str(specification.get("Version", "")),
        protected=one["ProtectedFromScaleIn"],
    )
