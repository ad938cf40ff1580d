"""What a launch asks for: the request laid over its launch template, checked as RunInstances checks it. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invar.localcloud.behaviour import TAG, Behaviour
from invar.localcloud.ec2_snapshots import specified_tags
from invar.localcloud.errors import CloudError
from invar.localcloud.instance_types import InstanceType, find_type
from invar.localcloud.settings import KINDS

MOST_USER_DATA = 16 * 1024
KIND_TAG = "invar:kind"
PORTS_TAG = "invar:ports"
DEFAULT_TYPE = "m1.small"
Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """A checked request. `image` may still be `resolve:ssm:NAME`; `subnet` and `zone` are None where none was named."""

    image: str
    type: InstanceType
    subnet: str | None
    zone: str | None
    address: str | None
    security_groups: tuple[str, ...]
    group_names: tuple[str, ...]
    key: str | None
    user_data: bytes | None
    profile: dict[str, str] | None
    tags: dict[str, str]
    volume_tags: dict[str, str]
    disk_gib: int | None
    metadata_options: dict[str, Any]
    protected: bool
    monitoring: bool
    spot: bool
    shutdown_behaviour: str
    kind: str | None
    ports: tuple[int, ...]
    behaviour: Behaviour


def lay_over(template: Parameters, request: Parameters) -> dict[str, Any]:
    """A request's parameters over a launch template version's data, as RunInstances does it.

    Tags of both are merged by key; everything else that the request names replaces what the template says.
    """
    merged = dict(template) | {k: v for k, v in request.items() if v is not None and k != "TagSpecifications"}
    kinds = {one["ResourceType"] for part in (template, request) for one in part.get("TagSpecifications") or []}
    merged["TagSpecifications"] = [
        {
            "ResourceType": kind,
            "Tags": [
                {"Key": key, "Value": value}
                for key, value in (specified_tags(template, kind) | specified_tags(request, kind)).items()
            ],
        }
        for kind in sorted(kinds)
    ]
    return merged


def plan_launch(parameters: Parameters) -> LaunchPlan:
    """Check a request that has its launch template's data in it. Raises CloudError."""
    image = parameters.get("ImageId")
    if not image:
        raise CloudError("MissingParameter", "The request must contain the parameter ImageId")
    interfaces = parameters.get("NetworkInterfaces") or []
    network = interfaces[0] if interfaces else parameters
    if interfaces and (parameters.get("SecurityGroupIds") or parameters.get("SubnetId")):
        raise CloudError(
            "InvalidParameterCombination",
            "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same "
            "request",
        )
    tags = specified_tags(parameters, "instance")
    kind = tags.get(KIND_TAG)
    if kind is not None and kind not in KINDS:
        raise CloudError("InvalidParameterValue", f"The tag {KIND_TAG} is one of {', '.join(KINDS)}, not {kind}")
    shutdown = parameters.get("InstanceInitiatedShutdownBehavior") or "stop"
    return LaunchPlan(
        image=image,
        type=find_type(parameters.get("InstanceType") or DEFAULT_TYPE),
        subnet=network.get("SubnetId"),
        zone=(parameters.get("Placement") or {}).get("AvailabilityZone"),
        address=network.get("PrivateIpAddress"),
        security_groups=tuple((network.get("Groups") if interfaces else parameters.get("SecurityGroupIds")) or ()),
        group_names=tuple(parameters.get("SecurityGroups") or ()),
        key=parameters.get("KeyName"),
        user_data=decode_user_data(parameters.get("UserData")),
        profile=_profile(parameters.get("IamInstanceProfile")),
        tags=tags,
        volume_tags=specified_tags(parameters, "volume"),
        disk_gib=_disk(parameters.get("BlockDeviceMappings") or []),
        metadata_options=_metadata_options(parameters.get("MetadataOptions") or {}),
        protected=bool(parameters.get("DisableApiTermination")),
        monitoring=bool((parameters.get("Monitoring") or {}).get("Enabled")),
        spot=(parameters.get("InstanceMarketOptions") or {}).get("MarketType") == "spot",
        shutdown_behaviour=shutdown,
        kind=kind,
        ports=_ports(tags.get(PORTS_TAG, "")),
        behaviour=_behaviour(tags.get(TAG, "")),
    )


def decode_user_data(text: str | None) -> bytes | None:
    """User data as the instance sees it. Raises CloudError for bad base64 and more than 16 KiB before it."""
    if not text:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CloudError("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from None
    return checked_user_data(data)


def checked_user_data(data: bytes) -> bytes:
    """User data that is not too long. Raises CloudError."""
    if len(data) > MOST_USER_DATA:
        raise CloudError("InvalidParameterValue", f"User data is limited to {MOST_USER_DATA} bytes")
    return data


def check_counts(parameters: Parameters) -> tuple[int, int]:
    """MinCount and MaxCount. Raises CloudError."""
    least, most = int(parameters.get("MinCount") or 0), int(parameters.get("MaxCount") or 0)
    for name, value in (("minCount", least), ("maxCount", most)):
        if value < 1:
            raise CloudError(
                "InvalidParameterValue", f"Value ({value}) for parameter {name} is invalid. Must be greater than 0."
            )
    if least > most:
        raise CloudError(
            "InvalidParameterValue", f"Value ({least}) for parameter minCount is invalid. It may not exceed maxCount."
        )
    return least, most


def _profile(given: Mapping[str, str] | None) -> dict[str, str] | None:
    return dict(given) if given else None


def _disk(mappings: list[dict[str, Any]]) -> int | None:
    sizes = [int(one["Ebs"]["VolumeSize"]) for one in mappings if "VolumeSize" in one.get("Ebs", {})]
    return sizes[0] if sizes else None


def _metadata_options(given: Mapping[str, Any]) -> dict[str, Any]:
    options = {
        "State": "applied",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 2,
        "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "disabled",
    }
    return options | {name: given[name] for name in options if name in given}


def _ports(text: str) -> tuple[int, ...]:
    try:
        ports = tuple(int(word) for word in text.replace(",", " ").split())
    except ValueError:
        ports = (0,)
    if any(not 0 < port < 65536 for port in ports):
        raise CloudError("InvalidParameterValue", f"The tag {PORTS_TAG} lists TCP ports, not {text}")
    return ports


def _behaviour(text: str) -> Behaviour:
    try:
        return Behaviour.from_tag(text)
    except ValueError as error:
        raise CloudError("InvalidParameterValue", f"The tag {TAG}: {error}") from None
