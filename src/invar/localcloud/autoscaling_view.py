"""How groups, members, activities and refreshes look from outside: botocore's structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invar.localcloud.autoscaling_records import Activity, Group, Hook, Member, Refresh
from invar.localcloud.filters import page
from invar.localcloud.instance_view import time_of


def shown_group(group: Group, *, members: bool = True) -> dict[str, Any]:
    """The AutoScalingGroup structure."""
    shown: dict[str, Any] = {
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        **group.launch,
        "MinSize": group.least,
        "MaxSize": group.most,
        "DesiredCapacity": group.desired,
        "DefaultCooldown": group.cooldown,
        "AvailabilityZones": list(group.zones),
        "LoadBalancerNames": [],
        "TargetGroupARNs": list(group.target_groups),
        "HealthCheckType": group.health,
        "HealthCheckGracePeriod": group.grace,
        "Instances": [shown_member(one) for one in group.members.values() if not one.warm] if members else [],
        "CreatedTime": time_of(group.created),
        "SuspendedProcesses": [
            {"ProcessName": name, "SuspensionReason": reason} for name, reason in group.suspended.items()
        ],
        "VPCZoneIdentifier": group.subnets,
        "EnabledMetrics": [],
        "Tags": shown_tags(group),
        "TerminationPolicies": list(group.termination),
        "NewInstancesProtectedFromScaleIn": group.protect_new,
        "ServiceLinkedRoleARN": group.service_role,
        "CapacityRebalance": group.rebalance,
        "TrafficSources": [{"Identifier": arn, "Type": "elbv2"} for arn in group.target_groups],
    }
    if group.warmup is not None:
        shown["DefaultInstanceWarmup"] = group.warmup
    if group.policy is not None:
        least, most = group.policy
        shown["InstanceMaintenancePolicy"] = {"MinHealthyPercentage": least, "MaxHealthyPercentage": most}
    if group.deleting:
        shown["Status"] = "Delete in progress"
    if group.pool is not None:
        shown["WarmPoolConfiguration"] = shown_pool(group)
        shown["WarmPoolSize"] = sum(one.warm for one in group.members.values())
    return shown


def shown_pool(group: Group) -> dict[str, Any]:
    """The WarmPoolConfiguration structure."""
    pool = group.pool
    assert pool is not None
    shown: dict[str, Any] = {
        "MinSize": pool.least,
        "PoolState": pool.state,
        "MaxGroupPreparedCapacity": -1 if pool.most is None else pool.most,
    }
    return shown | ({"Status": "PendingDelete"} if pool.deleting else {})


def shown_tags(group: Group) -> list[dict[str, Any]]:
    """TagDescription structures."""
    return [
        {
            "ResourceId": group.name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": propagated,
        }
        for key, (value, propagated) in group.tags.items()
    ]


def shown_member(member: Member) -> dict[str, Any]:
    """The Instance structure of a group."""
    return {
        "InstanceId": member.id,
        "InstanceType": member.type,
        "AvailabilityZone": member.zone,
        "LifecycleState": member.state,
        "HealthStatus": member.health,
        "LaunchTemplate": {
            "LaunchTemplateId": member.template.id,
            "LaunchTemplateName": member.template.name,
            "Version": member.template.version,
        },
        "ImageId": member.image,
        "ProtectedFromScaleIn": member.protected,
    }


def shown_activity(group: Group, activity: Activity) -> dict[str, Any]:
    """The Activity structure."""
    at = time_of(activity.start).strftime("%Y-%m-%dT%H:%M:%SZ")
    shown: dict[str, Any] = {
        "ActivityId": activity.id,
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "Description": activity.description,
        "Cause": f"At {at} {activity.cause}",
        "StartTime": time_of(activity.start),
        "StatusCode": activity.status,
        "Progress": activity.progress,
        "Details": activity.details,
    }
    if activity.end is not None:
        shown["EndTime"] = time_of(activity.end)
    if activity.message:
        shown["StatusMessage"] = activity.message
    return shown


def shown_hook(group: Group, hook: Hook) -> dict[str, Any]:
    """The LifecycleHook structure."""
    shown: dict[str, Any] = {
        "LifecycleHookName": hook.name,
        "AutoScalingGroupName": group.name,
        "LifecycleTransition": hook.transition,
        "HeartbeatTimeout": hook.timeout,
        "GlobalTimeout": min(172_800, 100 * hook.timeout),
        "DefaultResult": hook.result,
    }
    optional = {"NotificationMetadata": hook.metadata, "NotificationTargetARN": hook.target, "RoleARN": hook.role}
    return shown | {name: value for name, value in optional.items() if value is not None}


def shown_refresh(group: Group, refresh: Refresh) -> dict[str, Any]:
    """The InstanceRefresh structure."""
    shown: dict[str, Any] = {
        "InstanceRefreshId": refresh.id,
        "AutoScalingGroupName": group.name,
        "Status": refresh.status,
        "StartTime": time_of(refresh.start),
        "PercentageComplete": refresh.percentage,
        "InstancesToUpdate": refresh.remaining,
        "Preferences": {
            name: value
            for name, value in refresh.preferences.items()
            if name != "MaxHealthyPercentage" or refresh.explicit_maximum
        },
        "Strategy": "Rolling",
    }
    if refresh.reason:
        shown["StatusReason"] = refresh.reason[:1023]
    if refresh.end is not None:
        shown["EndTime"] = time_of(refresh.end)
    if refresh.desired is not None:
        shown["DesiredConfiguration"] = refresh.desired
    if refresh.rollback is not None:
        shown["RollbackDetails"] = {
            "RollbackReason": refresh.rollback["reason"][:1023],
            "RollbackStartTime": time_of(refresh.rollback["start"]),
            "PercentageCompleteOnRollback": refresh.rollback["percentage"],
            "InstancesToUpdateOnRollback": refresh.rollback["remaining"],
        }
    return shown


def page_of(
    found: list[Any], parameters: Mapping[str, Any], default: int, most: int
) -> tuple[list[Any], dict[str, Any]]:
    """The page that MaxRecords and NextToken ask for, and the answer's NextToken if there is more."""
    asked = {"MaxResults": parameters.get("MaxRecords") or default, "NextToken": parameters.get("NextToken")}
    shown, token = page(found, asked, 1, most)
    return shown, {"NextToken": token} if token else {}
