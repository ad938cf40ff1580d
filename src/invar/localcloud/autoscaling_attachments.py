"""Auto Scaling's operations on what is attached to groups: target groups, a warm pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invar.localcloud.autoscaling_checks import invalid
from invar.localcloud.autoscaling_engine import Engine
from invar.localcloud.autoscaling_records import WarmPool
from invar.localcloud.autoscaling_view import shown_member, shown_pool
from invar.localcloud.ebs import Caller
from invar.localcloud.errors import CloudError

Parameters = Mapping[str, Any]


class AttachmentApi:
    """The operations. Parameters and results have botocore's names and types."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def attach_targets(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """AttachLoadBalancerTargetGroups: members in service are registered."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        for arn in parameters["TargetGroupARNs"]:
            if arn not in group.target_groups:
                group.target_groups.append(arn)
                self._engine.transitions.register_all(group, arn)
        self._engine.wake(group)
        return {}

    def detach_targets(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DetachLoadBalancerTargetGroups."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        for arn in parameters["TargetGroupARNs"]:
            if arn not in group.target_groups:
                raise invalid(f"Trying to remove Target Groups that are not part of the group: {arn}")
            group.target_groups.remove(arn)
            self._engine.transitions.deregister_all(group, arn)
        return {}

    def describe_targets(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeLoadBalancerTargetGroups."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        return {
            "LoadBalancerTargetGroups": [
                {"LoadBalancerTargetGroupARN": arn, "State": "InService"} for arn in group.target_groups
            ]
        }

    def put_pool(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """PutWarmPool."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        if "MixedInstancesPolicy" in group.launch:
            raise invalid("You can't add a warm pool to an Auto Scaling group that has a mixed instances policy.")
        most = parameters.get("MaxGroupPreparedCapacity")
        group.pool = WarmPool(
            least=parameters.get("MinSize") or 0,
            most=None if most in (None, -1) else most,
            state=parameters.get("PoolState") or "Stopped",
            reuse=bool((parameters.get("InstanceReusePolicy") or {}).get("ReuseOnScaleIn")),
        )
        self._engine.wake(group)
        return {}

    def delete_pool(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DeleteWarmPool."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        if group.pool is None:
            raise invalid("The group has no warm pool.")
        if not parameters.get("ForceDelete") and any(one.warm for one in group.members.values()):
            raise CloudError("ResourceInUse", "The warm pool has instances.")
        group.pool = None
        self._engine.wake(group)
        return {}

    def describe_pool(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeWarmPool."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        if group.pool is None:
            return {"Instances": []}
        warm = [shown_member(one) for one in group.members.values() if one.warm]
        return {"WarmPoolConfiguration": shown_pool(group), "Instances": warm}
