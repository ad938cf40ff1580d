"""Makes groups that a fleet declares and that are not there, and keeps sizes, network and health of the others true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invar.aws.client import Cloud
from invar.aws.groups import GroupRecord, create_group, set_target_groups, tag_group, update_group
from invar.core.errors import InvarError
from invar.fleet.launch import group_settings, group_tags, new_group
from invar.fleet.ledger import Deployment
from invar.fleet.spec import TAG_FLEET, FleetSpec


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What is to be done in one region. `settings`: API name → (now, declared); "create" has none."""

    region: str
    action: str
    settings: dict[str, tuple[Any, Any]]


def group_changes(spec: FleetSpec, groups: Mapping[str, GroupRecord], *, adopt: bool) -> list[GroupChange]:
    """What `invar fleet apply` would do: "create", "adopt", "update" or nothing in each region. Pure.

    Raises InvarError for a group that belongs to somebody else, unless it is to be adopted.
    """
    changes = []
    for region in spec.order:
        group = groups.get(region)
        if group is None:
            changes.append(GroupChange(region, "create", {}))
            continue
        owner = group.tags.get(TAG_FLEET)
        if owner != spec.name and not adopt:
            raise InvarError(
                f"the group {group.name} in {region} is not this fleet's",
                why=f"its tag {TAG_FLEET} is {owner}" if owner else f"it has no tag {TAG_FLEET}",
                hint="--adopt takes it over; its instances are then replaced by a rollout",
            )
        settings = _differences(spec, region, group)
        if owner != spec.name or settings:
            changes.append(GroupChange(region, "update" if owner == spec.name else "adopt", settings))
    return changes


def create_missing(
    cloud: Cloud, spec: FleetSpec, groups: Mapping[str, GroupRecord], deployments: Mapping[str, Deployment]
) -> None:
    """Make the groups that are not there, from their deployments. Raises InvarError."""
    for region, deployment in deployments.items():
        if region not in groups and region in spec.regions:
            create_group(cloud, region, new_group(spec, region, deployment), group_tags(spec))


def update_groups(cloud: Cloud, spec: FleetSpec, groups: Mapping[str, GroupRecord], changes: list[GroupChange]) -> None:
    """Carry out updates and adoptions. Raises InvarError."""
    for change in changes:
        if change.action == "create":
            continue
        group = groups[change.region]
        given = {name: declared for name, (_, declared) in change.settings.items()}
        targets = given.pop("TargetGroupARNs", None)
        given.pop("Tags", None)
        if given:
            update_group(cloud, change.region, {"AutoScalingGroupName": group.name, **given})
        if targets is not None:
            set_target_groups(cloud, change.region, group.name, group.target_groups, targets)
        tag_group(cloud, change.region, group.name, group_tags(spec))


def _differences(spec: FleetSpec, region: str, group: GroupRecord) -> dict[str, tuple[Any, Any]]:
    """API name → (now, declared) of what differs."""
    now: dict[str, Any] = {
        "MinSize": group.min,
        "MaxSize": group.max,
        "DesiredCapacity": group.desired,
        "HealthCheckType": group.health,
        "HealthCheckGracePeriod": group.grace,
        "VPCZoneIdentifier": ",".join(sorted(group.subnets)),
        "AvailabilityZones": sorted(group.zones),
        "TargetGroupARNs": sorted(group.target_groups),
    }
    declared = group_settings(spec, region)
    declared["TargetGroupARNs"] = sorted(spec.regions[region].target_groups)
    if "VPCZoneIdentifier" in declared:
        declared["VPCZoneIdentifier"] = ",".join(sorted(spec.regions[region].subnets))
    if "AvailabilityZones" in declared:
        declared["AvailabilityZones"] = sorted(declared["AvailabilityZones"])
    differing = {name: (now[name], value) for name, value in declared.items() if name in now and now[name] != value}
    tags = {name: value for name, value in group_tags(spec).items() if group.tags.get(name) != value}
    return differing | ({"Tags": ({}, tags)} if tags else {})
