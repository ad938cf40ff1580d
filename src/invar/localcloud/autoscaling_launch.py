"""Launches members of Auto Scaling groups: which template version, type and subnet, and what a refusal means."""

from __future__ import annotations

import json
from typing import Any

from invar.localcloud.autoscaling_history import begin_activity, end_activity
from invar.localcloud.autoscaling_mix import choose
from invar.localcloud.autoscaling_reconcile import Launch, emptiest_zone
from invar.localcloud.autoscaling_records import Group, Member, TemplateVersion
from invar.localcloud.autoscaling_targets import Targets
from invar.localcloud.clock import Timers
from invar.localcloud.ebs import Caller
from invar.localcloud.errors import CloudError
from invar.localcloud.launch_plan import lay_over
from invar.localcloud.launch_templates import LaunchTemplates
from invar.localcloud.launcher import Launcher, Order

RETRY_SECONDS = 30.0
LONGEST_RETRY = 900.0


class GroupLauncher:
    """Launches into groups of all regions."""

    def __init__(self, launcher: Launcher, templates: LaunchTemplates, targets: Targets, timers: Timers) -> None:
        self._launcher = launcher
        self._templates = templates
        self._targets = targets
        self._timers = timers

    def check(self, group: Group, launch: dict[str, Any]) -> None:
        """Whether a configuration could be launched. Raises CloudError in Auto Scaling's words."""
        caller = Caller(group.account, group.region)
        try:
            self.resolve(group, launch)
            data = self.template_data(group, launch)
            types = [{"InstanceType": one["InstanceType"]} for one in overrides(launch) if "InstanceType" in one]
            for request in types or [{}]:
                self._launcher.check(caller, lay_over(data, request))
        except CloudError as error:
            raise CloudError(
                "ValidationError", f"You must use a valid fully-formed launch template. {error.message}"
            ) from error

    def resolve(self, group: Group, launch: dict[str, Any]) -> TemplateVersion:
        """The template version that would be launched now. Raises CloudError."""
        named = specification(launch)
        template = self._templates.require(group.region, named)
        version = self._templates.version(template, named.get("Version"))
        return TemplateVersion(template.id, template.name, str(version.number))

    def template_data(self, group: Group, launch: dict[str, Any]) -> dict[str, Any]:
        """The launch template's data. Raises CloudError."""
        return self._templates.data_of(Caller(group.account, group.region), specification(launch))

    def launch(self, group: Group, action: Launch, now: float) -> bool:
        """Launch one by one; the first refusal ends it, and holds launches back for a while."""
        for _ in range(action.count):
            zone = action.zone or emptiest_zone(group)
            try:
                self._launch_one(group, zone, action, now)
            except CloudError as error:
                activity = begin_activity(group, "Launching a new EC2 instance.", action.cause, now)
                end_activity(group, activity.id, now, "Failed", f"{error.message} Launching EC2 instance failed.")
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
        data = self.template_data(group, launch)
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
        activity = begin_activity(group, f"Launching a new EC2 instance: {instance.id}", action.cause, now)
        activity.details = json.dumps({"Subnet ID": instance.subnet, "Availability Zone": zone})
        group.members[instance.id] = Member(
            id=instance.id,
            zone=zone,
            type=instance.type,
            image=instance.image,
            template=version,
            state="Warmed:Pending" if action.warm else "Pending",
            since=now,
            activity=activity.id,
            epoch=group.epoch,
            spot=instance.spot,
            protected=group.protect_new,
            cause=action.cause,
            warm=action.warm,
        )


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
