"""Instance refreshes: EC2 Auto Scaling's own engine that replaces a group's instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invar.aws.client import Cloud
from invar.aws.errors import AWS_ERRORS, code_of, told

ACTIVE = ("Pending", "InProgress", "Baking")
"""States in which it goes forward."""
ENDING = ("Cancelling", "RollbackInProgress")
"""States in which it ends, but has not."""
CHANGED = frozenset({
    "InstanceRefreshInProgress", "ActiveInstanceRefreshNotFound", "IrreversibleInstanceRefresh", "ResourceContention",
    "ScalingActivityInProgress",
})  # fmt: skip
"""What AWS says when the group is no longer as it was looked at."""


@dataclass(frozen=True, slots=True)
class RefreshRecord:
    """One refresh. `template` and `version` are those of its desired configuration, "" without one."""

    id: str
    status: str
    reason: str
    percentage: int
    template: str
    version: str
    start: float | None

    @property
    def active(self) -> bool:
        """Whether it goes forward."""
        return self.status in ACTIVE

    @property
    def ending(self) -> bool:
        """Whether it is being cancelled or rolled back."""
        return self.status in ENDING


def newest_refresh(cloud: Cloud, region: str, group: str) -> RefreshRecord | None:
    """The newest refresh of a group, None when there was none in the last six weeks. Raises InvarError."""
    try:
        found = cloud.autoscaling(region).describe_instance_refreshes(AutoScalingGroupName=group, MaxRecords=1)
    except AWS_ERRORS as error:
        raise told(error, f"autoscaling:DescribeInstanceRefreshes {region} {group}") from error
    if not found["InstanceRefreshes"]:
        return None
    one = found["InstanceRefreshes"][0]
    desired: Any = one.get("DesiredConfiguration", {})
    mixed = desired.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("LaunchTemplateSpecification", {})
    specification = desired.get("LaunchTemplate") or mixed
    return RefreshRecord(
        id=one["InstanceRefreshId"],
        status=one["Status"],
        reason=one.get("StatusReason", ""),
        percentage=one.get("PercentageComplete", 0),
        template=specification.get("LaunchTemplateId", ""),
        version=str(specification.get("Version", "")),
        start=one["StartTime"].timestamp() if "StartTime" in one else None,
    )


def start_refresh(
    cloud: Cloud, region: str, group: str, desired: Mapping[str, Any], preferences: Mapping[str, Any]
) -> str | None:
    """StartInstanceRefresh; its id. None where the group is no longer as it was looked at. Raises InvarError."""
    try:
        made = cloud.autoscaling(region).start_instance_refresh(
            AutoScalingGroupName=group,
            Strategy="Rolling",
            DesiredConfiguration=desired,  # type: ignore[arg-type]
            Preferences=preferences,  # type: ignore[arg-type]
        )
    except AWS_ERRORS as error:
        if code_of(error) in CHANGED:
            return None
        raise told(error, f"autoscaling:StartInstanceRefresh {region} {group}") from error
    return made["InstanceRefreshId"]


def cancel_refresh(cloud: Cloud, region: str, group: str) -> bool:
    """CancelInstanceRefresh: what was replaced stays. False where none is under way. Raises InvarError."""
    try:
        cloud.autoscaling(region).cancel_instance_refresh(AutoScalingGroupName=group)
    except AWS_ERRORS as error:
        if code_of(error) in CHANGED:
            return False
        raise told(error, f"autoscaling:CancelInstanceRefresh {region} {group}") from error
    return True


def roll_back_refresh(cloud: Cloud, region: str, group: str) -> bool:
    """RollbackInstanceRefresh. False where AWS does not go back: none is under way, or it is irreversible.

    Raises InvarError.
    """
    try:
        cloud.autoscaling(region).rollback_instance_refresh(AutoScalingGroupName=group)
    except AWS_ERRORS as error:
        if code_of(error) in CHANGED:
            return False
        raise told(error, f"autoscaling:RollbackInstanceRefresh {region} {group}") from error
    return True
