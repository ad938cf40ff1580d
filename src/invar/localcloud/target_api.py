"""ELB's operations on targets: register, deregister, describe their health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invar.localcloud.ebs import Caller
from invar.localcloud.errors import CloudError
from invar.localcloud.instances import InstanceStore
from invar.localcloud.target_registry import Target, TargetRegistry

REASONS = {
    "initial": ("Elb.RegistrationInProgress", "Target registration is in progress"),
    "draining": ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
    "unhealthy": ("Target.FailedHealthChecks", "Health checks failed"),
}
Parameters = Mapping[str, Any]


class TargetApi:
    """The operations. Parameters and results have botocore's names and types."""

    def __init__(self, registry: TargetRegistry, instances: InstanceStore) -> None:
        self._registry = registry
        self._instances = instances

    def register(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """RegisterTargets: instances that are running."""
        arn = self._require(caller, parameters)
        for one in parameters["Targets"]:
            instance = self._instances.find(caller.region, one["Id"])
            if instance is None:
                raise CloudError("InvalidTarget", f"The following targets are not in the target group VPC: {one['Id']}")
            if instance.state != "running":
                raise CloudError("InvalidTarget", f"The following targets are not in a running state: {one['Id']}")
        for one in parameters["Targets"]:
            self._registry.register(caller.region, arn, one["Id"], one.get("Port"))
        return {}

    def deregister(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DeregisterTargets."""
        arn = self._require(caller, parameters)
        for one in parameters["Targets"]:
            self._registry.deregister(caller.region, arn, one["Id"], one.get("Port"))
        return {}

    def describe(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeTargetHealth."""
        arn = self._require(caller, parameters)
        group = self._registry.groups.get(arn)
        targets = list(group.targets.values()) if group else []
        used = self._registry.in_use(caller.region, arn)
        wanted = parameters.get("Targets") or []
        if wanted:
            by_key = {(one.instance, one.port): one for one in targets}
            port = int(self._registry.find(caller.region, arn).port)
            keys = [(one["Id"], int(one.get("Port") or port)) for one in wanted]
            return {
                "TargetHealthDescriptions": [
                    _shown(by_key[key], used) if key in by_key else _not_registered(*key) for key in keys
                ]
            }
        return {"TargetHealthDescriptions": [_shown(one, used) for one in targets]}

    def _require(self, caller: Caller, parameters: Parameters) -> str:
        arn: str = parameters["TargetGroupArn"]
        if self._registry.find(caller.region, arn) is None:
            raise CloudError("TargetGroupNotFound", "One or more target groups not found")
        return arn


def _shown(target: Target, used: bool) -> dict[str, Any]:
    state = target.state
    health: dict[str, Any] = {"State": state}
    if not used and state != "draining":
        health = {
            "State": "unused",
            "Reason": "Target.NotInUse",
            "Description": "Target group is not configured to receive traffic from the load balancer",
        }
    elif state in REASONS:
        reason, description = REASONS[state]
        health |= {"Reason": reason, "Description": f"{description}: {target.why}" if target.why else description}
    return {
        "Target": {"Id": target.instance, "Port": target.port},
        "HealthCheckPort": str(target.port),
        "TargetHealth": health,
    }


def _not_registered(instance: str, port: int) -> dict[str, Any]:
    return {
        "Target": {"Id": instance, "Port": port},
        "HealthCheckPort": str(port),
        "TargetHealth": {
            "State": "unused",
            "Reason": "Target.NotRegistered",
            "Description": "Target is not registered to the target group",
        },
    }
