"""Which Auto Scaling requests are wrong, and how AWS says it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invar.localcloud.autoscaling_launch import overrides, specification
from invar.localcloud.autoscaling_records import LAUNCHING, TERMINATING, Group, Hook, Refresh
from invar.localcloud.errors import CloudError

PROCESSES = (
    "Launch", "Terminate", "AddToLoadBalancer", "AlarmNotification", "AZRebalance", "HealthCheck", "InstanceRefresh",
    "ReplaceUnhealthy", "ScheduledActions",
)  # fmt: skip
POLICIES = (
    "Default", "AllocationStrategy", "OldestLaunchTemplate", "OldestLaunchConfiguration", "ClosestToNextInstanceHour",
    "NewestInstance", "OldestInstance",
)  # fmt: skip
HEALTH = ("EC2", "ELB", "EBS", "VPC_LATTICE")
SPOT = (
    "lowest-price",
    "capacity-optimized",
    "capacity-optimized-prioritized",
    "price-capacity-optimized",
    "diversified",
)
ON_DEMAND = ("lowest-price", "prioritized")
MOST_HOOKS = 50
FIXED = (
    "An active instance refresh with a desired configuration exists. All configuration options derived from the "
    "desired configuration are not available for update while the instance refresh is active."
)
Parameters = Mapping[str, Any]


def invalid(message: str) -> CloudError:
    """Auto Scaling's error for a request that cannot be."""
    return CloudError("ValidationError", message)


def check_sizes(least: int, most: int, desired: int) -> None:
    """Minimum, desired and maximum. Raises CloudError."""
    if least < 0 or most < 0 or desired < 0:
        raise invalid("Sizes must not be negative.")
    if least > most:
        raise invalid(f"Max bound, {most}, must be greater than or equal to min bound, {least}")
    if desired < least:
        raise invalid(f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}")
    if desired > most:
        raise invalid(f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}")


def check_launch(parameters: Parameters) -> dict[str, Any] | None:
    """The launch part of a create or update: one of the two, None where there is neither. Raises CloudError."""
    if parameters.get("LaunchConfigurationName") or parameters.get("InstanceId"):
        raise invalid("The local cloud has no launch configurations: use a launch template.")
    template, mixed = parameters.get("LaunchTemplate"), parameters.get("MixedInstancesPolicy")
    if template and mixed:
        raise invalid(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or "
            "MixedInstancesPolicy parameter."
        )
    if template:
        _check_specification(template)
        return {"LaunchTemplate": dict(template)}
    if mixed:
        if not (mixed.get("LaunchTemplate") or {}).get("LaunchTemplateSpecification"):
            raise invalid("A mixed instances policy needs a launch template specification.")
        _check_specification(mixed["LaunchTemplate"]["LaunchTemplateSpecification"])
        options = mixed.get("InstancesDistribution") or {}
        if options.get("SpotAllocationStrategy", SPOT[0]) not in SPOT:
            raise invalid(f"SpotAllocationStrategy is one of {', '.join(SPOT)}.")
        if options.get("OnDemandAllocationStrategy", ON_DEMAND[0]) not in ON_DEMAND:
            raise invalid(f"OnDemandAllocationStrategy is one of {', '.join(ON_DEMAND)}.")
        if not 0 <= options.get("OnDemandPercentageAboveBaseCapacity", 100) <= 100:
            raise invalid("OnDemandPercentageAboveBaseCapacity is between 0 and 100.")
        if any("InstanceRequirements" in one for one in overrides({"MixedInstancesPolicy": mixed})):
            raise invalid("The local cloud has no attribute-based instance type selection: name instance types.")
        return {"MixedInstancesPolicy": dict(mixed)}
    return None


def check_settings(parameters: Parameters) -> None:
    """Health check type, termination policies and maintenance policy. Raises CloudError."""
    for name in str(parameters.get("HealthCheckType") or "EC2").split(","):
        if name not in HEALTH:
            raise invalid(f"Invalid HealthCheckType: {name}")
    for name in parameters.get("TerminationPolicies") or ():
        if name not in POLICIES:
            raise invalid(f"Invalid termination policy: {name}")
    check_percentages(parameters.get("InstanceMaintenancePolicy") or {}, cleared=True)


def check_percentages(given: Parameters, *, cleared: bool) -> None:
    """A pair of minimum and maximum healthy percentage. Raises CloudError."""
    least, most = given.get("MinHealthyPercentage"), given.get("MaxHealthyPercentage")
    if cleared and least == -1 and most == -1:
        return
    if cleared and (least is None) != (most is None):
        raise invalid("Both MinHealthyPercentage and MaxHealthyPercentage must be specified.")
    if most is not None and least is None:
        raise invalid("If you specify MaxHealthyPercentage, you must also specify MinHealthyPercentage.")
    if most is not None and not 100 <= most <= 200:
        raise invalid("MaxHealthyPercentage must be between 100 and 200.")
    if most is not None and least is not None and most - least > 100:
        raise invalid("The difference between MinHealthyPercentage and MaxHealthyPercentage cannot exceed 100.")


def checked_hook(given: Parameters, known: Hook | None = None) -> Hook:
    """A lifecycle hook, given the one that it changes. Raises CloudError."""
    transition = given.get("LifecycleTransition") or (known.transition if known else None)
    if transition not in (LAUNCHING, TERMINATING):
        raise invalid("LifecycleTransition is autoscaling:EC2_INSTANCE_LAUNCHING or EC2_INSTANCE_TERMINATING.")
    timeout = int(given.get("HeartbeatTimeout") or (known.timeout if known else 3600))
    result = given.get("DefaultResult") or (known.result if known else "ABANDON")
    if not 30 <= timeout <= 7200:
        raise invalid("HeartbeatTimeout must be between 30 and 7200 seconds.")
    if result not in ("CONTINUE", "ABANDON"):
        raise invalid("DefaultResult is CONTINUE or ABANDON.")
    return Hook(
        name=given["LifecycleHookName"],
        transition=transition,
        timeout=timeout,
        result=result,
        metadata=given.get("NotificationMetadata"),
        target=given.get("NotificationTargetARN"),
        role=given.get("RoleARN"),
    )


def check_preferences(given: Parameters) -> None:
    """Preferences of an instance refresh. Raises CloudError."""
    check_percentages(given, cleared=False)
    percentages = given.get("CheckpointPercentages") or []
    if percentages != sorted(set(percentages)) or any(not 1 <= one <= 100 for one in percentages):
        raise invalid("CheckpointPercentages must be unique numbers from 1 to 100 in ascending order.")
    if "CheckpointDelay" in given and not percentages:
        raise invalid("If you specify CheckpointDelay, you must also specify CheckpointPercentages.")


def why_irreversible(group: Group, refresh: Refresh | None, desired: dict[str, Any] | None, before_image: str) -> str:
    """Why a refresh cannot be rolled back, or nothing. `before_image` is the ImageId of the group's own template."""
    if desired is None:
        return "a desired configuration was not specified for the instance refresh"
    before = refresh.before if refresh is not None else group.launch
    for launch, whose in ((before, "the Auto Scaling group's"), (desired, "the desired configuration's")):
        if str(specification(launch).get("Version") or "$Default") in ("$Latest", "$Default"):
            return f"{whose} launch template version is $Latest or $Default"
    if before_image.startswith("resolve:ssm:"):
        return "the launch template uses an SSM parameter instead of an AMI ID"
    return ""


def _check_specification(given: Parameters) -> None:
    if bool(given.get("LaunchTemplateId")) == bool(given.get("LaunchTemplateName")):
        raise invalid("Valid requests must contain either launchTemplateId or LaunchTemplateName")
