"""What a fleet's instances are launched from: the data of a launch template version, a group's settings. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from invar.core.canonical import digest
from invar.fleet.ledger import Deployment
from invar.fleet.spec import TAG_FLEET, FleetSpec, Size, Spot
from invar.fleet.tags import CONFIGURATION, SYSTEM
from invar.system.user_data import parameters_document

DESCRIPTION = "invar data "
"""Before the digest of a launch template version's data, in its description."""
_MIX = " mix "
_SHORT = 16


def user_data(spec: FleetSpec) -> bytes | None:
    """The user data of a fleet's instances, None where it has no parameters."""
    return parameters_document(spec.parameters) if spec.parameters else None


def launch_data(spec: FleetSpec, region: str, image: str, system_digest: str) -> dict[str, Any]:
    """LaunchTemplateData for an image, by EC2's own names. The same image and declaration give the same data."""
    tags = {**spec.tags, TAG_FLEET: spec.name, CONFIGURATION: spec.configuration, SYSTEM: system_digest}
    listed = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    data: dict[str, Any] = {
        "ImageId": image,
        "InstanceType": spec.instance_types[0],
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "TagSpecifications": [{"ResourceType": kind, "Tags": listed} for kind in ("instance", "volume")],
    }
    groups = spec.regions[region].security_groups
    if groups:
        data["SecurityGroupIds"] = sorted(groups)
    if spec.instance_profile:
        kind = "Arn" if spec.instance_profile.startswith("arn:") else "Name"
        data["IamInstanceProfile"] = {kind: spec.instance_profile}
    sent = user_data(spec)
    if sent is not None:
        data["UserData"] = base64.b64encode(sent).decode()
    return data


def description(data: Mapping[str, Any], types: Sequence[str], spot: Spot) -> str:
    """The description of a launch template version with this data, by which it is found again.

    EC2 keeps the instance types and shares of a mixed group elsewhere than in the version. A generation is of one
    version and one mix, so that another mix makes another version of the same data.
    """
    policy = mixed_instances(types, spot)
    return DESCRIPTION + digest(data) + (_MIX + digest(policy)[:_SHORT] if policy else "")


def holds(told: str, data: Mapping[str, Any]) -> bool:
    """Whether a version's description is that of its data, whatever the mix."""
    return told.partition(_MIX)[0] == DESCRIPTION + digest(data)


def launch_part(deployment: Deployment, types: Sequence[str], spot: Spot) -> dict[str, Any]:
    """The launch part of a group, or of a refresh's desired configuration. Versions are numbers, never names."""
    specification = {"LaunchTemplateId": deployment.template, "Version": deployment.version}
    policy = mixed_instances(types, spot)
    if not policy:
        return {"LaunchTemplate": specification}
    launch = {"LaunchTemplateSpecification": specification, **policy["LaunchTemplate"]}
    return {"MixedInstancesPolicy": {**policy, "LaunchTemplate": launch}}


def mixed_instances(types: Sequence[str], spot: Spot) -> dict[str, Any]:
    """A MixedInstancesPolicy, but for the launch template that it goes with; {} for one type without Spot."""
    if len(types) == 1 and not spot.share:
        return {}
    return {
        "LaunchTemplate": {"Overrides": [{"InstanceType": one} for one in types]},
        "InstancesDistribution": {
            "OnDemandAllocationStrategy": "prioritized",
            "OnDemandBaseCapacity": spot.on_demand_base,
            "OnDemandPercentageAboveBaseCapacity": 100 - spot.share,
            "SpotAllocationStrategy": spot.strategy,
        },
    }


def group_settings(spec: FleetSpec, region: str) -> dict[str, Any]:
    """What `invar fleet apply` keeps true of a group that exists: all but its launch part and desired capacity."""
    own, size = spec.regions[region], spec.size(region)
    settings: dict[str, Any] = {
        "AutoScalingGroupName": spec.group,
        "MinSize": size.min,
        "MaxSize": size.max,
        "HealthCheckType": spec.health.type,
        "HealthCheckGracePeriod": spec.health.grace,
    }
    if size.desired is not None:
        settings["DesiredCapacity"] = size.desired
    if own.subnets:
        settings["VPCZoneIdentifier"] = ",".join(own.subnets)
    else:
        settings["AvailabilityZones"] = list(own.zones)
    return settings


def new_group(spec: FleetSpec, region: str, deployment: Deployment) -> dict[str, Any]:
    """CreateAutoScalingGroup's parameters, without tags."""
    size: Size = spec.size(region)
    settings = group_settings(spec, region) | launch_part(deployment, spec.instance_types, spec.spot)
    settings["DesiredCapacity"] = size.min if size.desired is None else size.desired
    settings["NewInstancesProtectedFromScaleIn"] = False
    if spec.regions[region].target_groups:
        settings["TargetGroupARNs"] = list(spec.regions[region].target_groups)
    return settings


def group_tags(spec: FleetSpec) -> dict[str, str]:
    """A group's tags, by which audits find it."""
    return {**spec.tags, TAG_FLEET: spec.name, CONFIGURATION: spec.configuration}
