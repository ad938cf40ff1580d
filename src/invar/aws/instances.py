"""Instances as EC2 tells of them: image, address, launch, what is attached; and their consoles."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invar.aws.client import Cloud
from invar.aws.errors import AWS_ERRORS, code_of, told

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

PAGE = 200


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One instance. `launched` in seconds since 1970; `volumes` are attached volumes by device name."""

    id: str
    region: str
    image: str
    state: str
    type: str
    address: str | None
    launched: float
    security_groups: tuple[str, ...]
    security_group_names: tuple[str, ...]
    profile: str | None
    volumes: dict[str, str]
    root_device: str
    tags: dict[str, str]


def find_instances(
    cloud: Cloud, region: str, *, ids: Iterable[str] = (), tags: Mapping[str, str] | None = None
) -> list[InstanceRecord]:
    """The instances of these ids (those that are gone are left out), or with all these tags. Raises InvarError."""
    wanted = sorted(ids)
    filters: list[dict[str, Any]] = [{"Name": f"tag:{key}", "Values": [value]} for key, value in (tags or {}).items()]
    batches = [wanted[start : start + PAGE] for start in range(0, len(wanted), PAGE)] if wanted else [[]]
    found: list[InstanceRecord] = []
    try:
        for batch in batches:
            asked = [*filters, {"Name": "instance-id", "Values": batch}] if batch else filters
            pages = (
                cloud.ec2(region)
                .get_paginator("describe_instances")
                .paginate(Filters=asked, PaginationConfig={"PageSize": 1000})  # type: ignore[arg-type]
            )
            found += [
                _record(one, region)
                for page in pages
                for reservation in page["Reservations"]
                for one in reservation.get("Instances", [])
            ]
    except AWS_ERRORS as error:
        raise told(error, f"ec2:DescribeInstances {region}") from error
    return found


def console_of(cloud: Cloud, region: str, instance: str) -> str:
    """The end of an instance's serial console (64 KiB at most), "" where there is none. Raises InvarError.

    `Latest` gives what was written a moment ago; only instances on Nitro have it, others answer with their boot's.
    """
    client = cloud.ec2(region)
    try:
        try:
            answer = client.get_console_output(InstanceId=instance, Latest=True)
        except AWS_ERRORS as error:
            if code_of(error) != "UnsupportedOperation":
                raise
            answer = client.get_console_output(InstanceId=instance)
    except AWS_ERRORS as error:
        if code_of(error).startswith("InvalidInstanceID"):
            return ""
        raise told(error, f"ec2:GetConsoleOutput {region} {instance}") from error
    return answer.get("Output", "")


def user_data_of(cloud: Cloud, region: str, instance: str) -> bytes | None:
    """The user data that an instance has now; None when it has none, or is gone. Raises InvarError."""
    try:
        answer = cloud.ec2(region).describe_instance_attribute(InstanceId=instance, Attribute="userData")
    except AWS_ERRORS as error:
        if code_of(error).startswith("InvalidInstanceID"):
            return None
        raise told(error, f"ec2:DescribeInstanceAttribute {region} {instance}") from error
    text = answer.get("UserData", {}).get("Value")
    try:
        return None if not text else base64.b64decode(text)
    except binascii.Error:
        return text.encode() if text else None


def _record(one: InstanceTypeDef, region: str) -> InstanceRecord:
    return InstanceRecord(
        id=one["InstanceId"],
        region=region,
        image=one.get("ImageId", ""),
        state=one["State"]["Name"],
        type=one.get("InstanceType", ""),
        address=one.get("PrivateIpAddress"),
        launched=one["LaunchTime"].timestamp(),
        security_groups=tuple(sorted(group.get("GroupId", "") for group in one.get("SecurityGroups", []))),
        security_group_names=tuple(sorted(group.get("GroupName", "") for group in one.get("SecurityGroups", []))),
        profile=one.get("IamInstanceProfile", {}).get("Arn"),
        volumes={
            mapping.get("DeviceName", ""): mapping.get("Ebs", {}).get("VolumeId", "")
            for mapping in one.get("BlockDeviceMappings", [])
        },
        root_device=one.get("RootDeviceName", ""),
        tags={tag["Key"]: tag["Value"] for tag in one.get("Tags", [])},
    )
