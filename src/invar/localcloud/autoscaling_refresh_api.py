"""Auto Scaling's operations on instance refreshes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invar.localcloud.autoscaling_checks import check_launch, check_preferences, invalid, why_irreversible
from invar.localcloud.autoscaling_engine import Engine
from invar.localcloud.autoscaling_launch import specification
from invar.localcloud.autoscaling_records import Group, Refresh, new_refresh_id
from invar.localcloud.autoscaling_refresh import complete_preferences
from invar.localcloud.autoscaling_view import shown_refresh
from invar.localcloud.clock import Clock
from invar.localcloud.ebs import Caller
from invar.localcloud.errors import CloudError
from invar.localcloud.filters import page
from invar.localcloud.launch_templates import LaunchTemplates

Parameters = Mapping[str, Any]


class RefreshApi:
    """The operations. Parameters and results have botocore's names and types."""

    def __init__(self, engine: Engine, templates: LaunchTemplates, clock: Clock) -> None:
        self._engine = engine
        self._templates = templates
        self._clock = clock

    def start(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """StartInstanceRefresh."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        if parameters.get("Strategy", "Rolling") != "Rolling":
            raise invalid("The local cloud knows the strategy Rolling only.")
        if group.active_refresh is not None:
            raise CloudError(
                "InstanceRefreshInProgress",
                "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
            )
        given = dict(parameters.get("Preferences") or {})
        check_preferences(given)
        desired = check_launch(parameters["DesiredConfiguration"]) if parameters.get("DesiredConfiguration") else None
        if desired is not None:
            self._engine.launcher.check(group, desired)
        if given.get("AutoRollback"):
            why = why_irreversible(group, None, desired, self._image(group, group.launch))
            if why:
                raise invalid(f"AutoRollback cannot be enabled: {why}.")
        group.epoch += 1
        now = self._clock.now()
        refresh = Refresh(
            id=new_refresh_id(),
            status="Pending",
            preferences=complete_preferences(group, given),
            desired=desired,
            before=group.launch,
            epoch=group.epoch,
            start=now,
            explicit_maximum="MaxHealthyPercentage" in given or group.policy is not None,
            progressed=now,
        )
        group.refreshes.append(refresh)
        self._engine.wake(group)
        return {"InstanceRefreshId": refresh.id}

    def describe(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """DescribeInstanceRefreshes: newest first."""
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        wanted = parameters.get("InstanceRefreshIds") or []
        found = [one for one in reversed(group.refreshes) if not wanted or one.id in wanted]
        shown, token = page(found, {"MaxResults": parameters.get("MaxRecords") or 50, **_token(parameters)}, 1, 100)
        result: dict[str, Any] = {"InstanceRefreshes": [shown_refresh(group, one) for one in shown]}
        return result | ({"NextToken": token} if token else {})

    def cancel(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """CancelInstanceRefresh: what it did stays."""
        group, refresh = self._active(caller, parameters)
        refresh.status, refresh.surge = "Cancelling", 0
        refresh.reason = "Cancelling due to user request."
        if parameters.get("WaitForTransitioningInstances") is False:
            refresh.status, refresh.end = "Cancelled", self._clock.now()
            refresh.reason = "Cancelled due to user request."
        self._engine.wake(group)
        return {"InstanceRefreshId": refresh.id}

    def roll_back(self, caller: Caller, parameters: Parameters) -> dict[str, Any]:
        """RollbackInstanceRefresh: only of one that is under way, and whose way back is certain."""
        group, refresh = self._active(caller, parameters)
        if refresh.status in ("RollbackInProgress", "Cancelling"):
            raise CloudError(
                "IrreversibleInstanceRefresh", f"The instance refresh cannot be rolled back: it is {refresh.status}."
            )
        why = why_irreversible(group, refresh, refresh.desired, self._image(group, refresh.before))
        if why:
            raise CloudError("IrreversibleInstanceRefresh", f"The instance refresh cannot be rolled back: {why}.")
        self._engine.refresher.begin_rollback(group, refresh, "Rollback was requested by the user.")
        return {"InstanceRefreshId": refresh.id}

    def _active(self, caller: Caller, parameters: Parameters) -> tuple[Group, Refresh]:
        group = self._engine.require(caller.region, parameters["AutoScalingGroupName"])
        refresh = group.active_refresh
        if refresh is None:
            raise CloudError(
                "ActiveInstanceRefreshNotFound",
                "No in progress or pending Instance Refresh found.",
            )
        return group, refresh

    def _image(self, group: Group, launch: dict[str, Any]) -> str:
        data = self._templates.data_of(Caller(group.account, group.region), specification(launch))
        return str(data.get("ImageId", ""))


def _token(parameters: Parameters) -> dict[str, Any]:
    return {"NextToken": parameters["NextToken"]} if parameters.get("NextToken") else {}
