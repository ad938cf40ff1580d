"""AMIs: register, find, copy, share, deprecate, deregister. Every call may be repeated."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypedDict

from invar.aws.client import Cloud
from invar.aws.errors import AWS_ERRORS, code_of, told, trouble
from invar.core.errors import InvarError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        CopyImageRequestTypeDef,
        EbsBlockDeviceTypeDef,
        ImageTypeDef,
        LaunchPermissionTypeDef,
        TagSpecificationTypeDef,
    )

FIRST_LOOK = 0.2
LONGEST_LOOK = 10.0

Architecture = Literal["x86_64", "arm64"]
BootMode = Literal["uefi", "uefi-preferred", "legacy-bios"]


class _Tpm(TypedDict, total=False):
    TpmSupport: Literal["v2.0"]


@dataclass(frozen=True, slots=True)
class RootVolume:
    """The disk that instances get. Sizes in GiB, throughput in MiB/s; None: gp3's own 3,000 IOPS and 125 MiB/s."""

    snapshot: str
    gib: int
    iops: int | None = None
    throughput: int | None = None
    device: str = "/dev/xvda"


@dataclass(frozen=True, slots=True)
class Registration:
    """An AMI to be made: IMDSv2 only, ENA, and TPM 2.0, which EC2 has for "uefi" alone. `tags` go on the image."""

    name: str
    description: str
    architecture: Architecture
    root: RootVolume
    tags: Mapping[str, str] = field(default_factory=dict)
    boot_mode: BootMode = "uefi"


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An AMI as EC2 tells of it. `created` is in seconds since 1970; `reason` says why it failed."""

    id: str
    region: str
    name: str
    state: str
    reason: str
    owner: str
    architecture: str
    boot_mode: str
    snapshots: tuple[str, ...]
    created: float
    deprecation: str | None
    source_image: str | None
    tags: dict[str, str]


def register_image(cloud: Cloud, region: str, request: Registration) -> str:
    """RegisterImage; the id. An image of this account with the same name and tags is taken instead.

    Raises InvarError, also when the name belongs to an image with other tags.
    """
    ebs: EbsBlockDeviceTypeDef = {
        "SnapshotId": request.root.snapshot,
        "VolumeSize": request.root.gib,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
    }
    if request.root.iops is not None:
        ebs["Iops"] = request.root.iops
    if request.root.throughput is not None:
        ebs["Throughput"] = request.root.throughput
    tpm: _Tpm = {"TpmSupport": "v2.0"} if request.boot_mode == "uefi" else {}
    where = f"ec2:RegisterImage {region} {request.name}"
    try:
        answer = cloud.ec2(region).register_image(
            Name=request.name,
            Description=request.description[:255],
            Architecture=request.architecture,
            VirtualizationType="hvm",
            BootMode=request.boot_mode,
            ImdsSupport="v2.0",
            EnaSupport=True,
            RootDeviceName=request.root.device,
            BlockDeviceMappings=[{"DeviceName": request.root.device, "Ebs": ebs}],
            TagSpecifications=_specifications({"image": request.tags}),
            **tpm,
        )
    except AWS_ERRORS as error:
        if code_of(error) != "InvalidAMIName.Duplicate":
            raise told(error, where) from error
        return _same_name(cloud, region, request.name, request.tags, where).id
    return answer["ImageId"]


def copy_image(
    cloud: Cloud,
    source: ImageRecord,
    region: str,
    *,
    snapshot_tags: Mapping[str, str],
    kms_key: str | None = None,
    encrypted: bool = False,
) -> str:
    """Begin a copy into another region under the same name and tags; the id, at once. Raises InvarError.

    A copy that exists already, or is under way, is taken instead: names are unique. The client token only guards the
    repetitions of this one call, for AWS remembers tokens longer than images.
    """
    where = f"ec2:CopyImage {source.region} {source.id} to {region}"
    call: CopyImageRequestTypeDef = {
        "Name": source.name,
        "Description": source.name,
        "SourceImageId": source.id,
        "SourceRegion": source.region,
        "CopyImageTags": True,
        "ClientToken": str(uuid.uuid4()),
        "TagSpecifications": _specifications({"snapshot": snapshot_tags}),
    }
    if encrypted or kms_key is not None:
        call["Encrypted"] = True
    if kms_key is not None:
        call["KmsKeyId"] = kms_key
    try:
        answer = cloud.ec2(region).copy_image(**call)
    except AWS_ERRORS as error:
        if code_of(error) != "InvalidAMIName.Duplicate":
            raise told(error, where) from error
        return _same_name(cloud, region, source.name, source.tags, where).id
    return answer["ImageId"]


def find_images(
    cloud: Cloud, region: str, *, tags: Mapping[str, str] | None = None, name: str | None = None
) -> list[ImageRecord]:
    """This account's images with all these tags and this name, oldest first. Raises InvarError."""
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in (tags or {}).items()]
    if name is not None:
        filters.append({"Name": "name", "Values": [name]})
    try:
        pages = (
            cloud.ec2(region)
            .get_paginator("describe_images")
            .paginate(
                Owners=["self"],
                IncludeDeprecated=True,
                Filters=filters,  # type: ignore[arg-type]
            )
        )
        found = [_record(one, region) for page in pages for one in page["Images"]]
    except AWS_ERRORS as error:
        raise told(error, f"ec2:DescribeImages {region}") from error
    return sorted(found, key=lambda one: (one.created, one.id))


def describe_image(cloud: Cloud, region: str, identity: str) -> ImageRecord | None:
    """One image, or None where there is none. Raises InvarError."""
    try:
        found = cloud.ec2(region).describe_images(ImageIds=[identity], IncludeDeprecated=True)["Images"]
    except AWS_ERRORS as error:
        if trouble(error) == "missing":
            return None
        raise told(error, f"ec2:DescribeImages {region} {identity}") from error
    return _record(found[0], region) if found else None


def wait_available(cloud: Cloud, region: str, identity: str, *, seconds: float) -> ImageRecord:
    """Wait until an image is available. Raises InvarError when it fails or `seconds` have passed."""
    where = f"ec2:DescribeImages {region} {identity}"
    deadline = time.monotonic() + seconds
    pause = FIRST_LOOK
    chance = random.Random()
    while True:
        found = describe_image(cloud, region, identity)
        state = "missing" if found is None else found.state
        if found is not None and state == "available":
            return found
        if found is not None and state not in ("pending", "transient"):
            raise InvarError(f"the image is {state}", where=where, why=found.reason or None, hint="a rerun replaces it")
        if time.monotonic() + pause > deadline:
            raise InvarError(
                f"the image is still {state} after {seconds:.0f} s", where=where, hint="a rerun goes on waiting"
            )
        time.sleep(pause * chance.uniform(0.5, 1.0))
        pause = min(LONGEST_LOOK, pause * 1.5)


def share_image(
    cloud: Cloud, region: str, identity: str, *, accounts: Sequence[str] = (), organizations: Sequence[str] = ()
) -> None:
    """Let accounts (12 digits) and organizations or organizational units (ARNs) launch an image. Raises InvarError."""
    added: list[LaunchPermissionTypeDef] = [{"UserId": account} for account in accounts]
    for arn in organizations:
        added.append({"OrganizationalUnitArn": arn} if ":ou/" in arn else {"OrganizationArn": arn})
    if not added:
        return
    try:
        cloud.ec2(region).modify_image_attribute(ImageId=identity, LaunchPermission={"Add": added})
    except AWS_ERRORS as error:
        raise told(error, f"ec2:ModifyImageAttribute {region} {identity}") from error


def tag_image(cloud: Cloud, region: str, identity: str, tags: Mapping[str, str]) -> None:
    """Set tags of an image. Raises InvarError."""
    given = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    try:
        cloud.ec2(region).create_tags(Resources=[identity], Tags=given)  # type: ignore[arg-type]
    except AWS_ERRORS as error:
        raise told(error, f"ec2:CreateTags {region} {identity}") from error


def launch_permissions(cloud: Cloud, region: str, identity: str) -> list[str]:
    """Who else may launch an image: accounts, organizations, or "all". Raises InvarError."""
    try:
        answer = cloud.ec2(region).describe_image_attribute(ImageId=identity, Attribute="launchPermission")
    except AWS_ERRORS as error:
        if trouble(error) == "missing":
            return []
        raise told(error, f"ec2:DescribeImageAttribute {region} {identity}") from error
    names = ("UserId", "Group", "OrganizationArn", "OrganizationalUnitArn")
    return [str(one[name]) for one in answer["LaunchPermissions"] for name in names if name in one]  # type: ignore[literal-required]


def deprecate_image(cloud: Cloud, region: str, identity: str, at: datetime) -> None:
    """Set the date (with a time zone) from which others no longer see the image. Raises InvarError."""
    try:
        cloud.ec2(region).enable_image_deprecation(ImageId=identity, DeprecateAt=at.astimezone(UTC))
    except AWS_ERRORS as error:
        raise told(error, f"ec2:EnableImageDeprecation {region} {identity}") from error


def deregister_image(cloud: Cloud, region: str, identity: str) -> list[str]:
    """Deregister an image and delete its snapshots. Returns the snapshots that AWS kept (other images use them).

    An image that is gone already counts as done. Raises InvarError.
    """
    try:
        answer = cloud.ec2(region).deregister_image(ImageId=identity, DeleteAssociatedSnapshots=True)
    except AWS_ERRORS as error:
        if trouble(error) == "missing" or code_of(error) == "InvalidAMIID.Unavailable":
            return []
        raise told(error, f"ec2:DeregisterImage {region} {identity}") from error
    results = answer.get("DeleteSnapshotResults", [])
    return [one["SnapshotId"] for one in results if one.get("ReturnCode") != "success"]


def _same_name(cloud: Cloud, region: str, name: str, tags: Mapping[str, str], where: str) -> ImageRecord:
    found = find_images(cloud, region, name=name)
    if found and all(found[0].tags.get(key) == value for key, value in tags.items()):
        return found[0]
    taken = f"by {found[0].id}, whose tags differ" if found else "by an image that is not to be seen yet"
    raise InvarError("the image's name is taken", where=where, why=taken, hint="deregister that image, or try again")


def _specifications(tags: Mapping[Literal["image", "snapshot"], Mapping[str, str]]) -> list[TagSpecificationTypeDef]:
    return [
        {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in sorted(given.items())]}
        for kind, given in tags.items()
        if given
    ]


def _record(one: ImageTypeDef, region: str) -> ImageRecord:
    mappings = [mapping["Ebs"] for mapping in one.get("BlockDeviceMappings", []) if "Ebs" in mapping]
    return ImageRecord(
        id=one["ImageId"],
        region=region,
        name=one.get("Name", ""),
        state=one["State"],
        reason=one.get("StateReason", {}).get("Message", ""),
        owner=one["OwnerId"],
        architecture=one["Architecture"],
        boot_mode=one.get("BootMode", ""),
        snapshots=tuple(ebs["SnapshotId"] for ebs in mappings if "SnapshotId" in ebs),
        created=datetime.fromisoformat(one["CreationDate"].replace("Z", "+00:00")).timestamp(),
        deprecation=one.get("DeprecationTime"),
        source_image=one.get("SourceImageId"),
        tags={tag["Key"]: tag["Value"] for tag in one.get("Tags", [])},
    )
