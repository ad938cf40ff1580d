"""How an AMI looks from outside: DescribeImages' structure, and what its filters see."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from invar.localcloud.filters import tag_facts
from invar.localcloud.images import Image

KNOWN_FILTERS = (
    "architecture", "block-device-mapping.device-name", "block-device-mapping.snapshot-id",
    "block-device-mapping.volume-size", "block-device-mapping.volume-type", "boot-mode", "creation-date", "description",
    "ena-support", "hypervisor", "image-id", "image-type", "imds-support", "is-public", "name", "owner-alias",
    "owner-id", "root-device-name", "root-device-type", "source-image-id", "source-image-region", "state",
    "tpm-support", "virtualization-type",
)  # fmt: skip


def shown_image(image: Image, now: float) -> dict[str, Any]:
    """The Image structure of DescribeImages."""
    shown: dict[str, Any] = {
        "ImageId": image.id,
        "ImageLocation": f"{image.owner}/{image.name}",
        "State": image.state(now),
        "OwnerId": image.owner,
        "CreationDate": _time(image.created),
        "Public": image.public,
        "Architecture": image.architecture,
        "ImageType": "machine",
        "Name": image.name,
        "Description": image.description,
        "RootDeviceName": image.root_device,
        "RootDeviceType": "ebs",
        "VirtualizationType": image.virtualization,
        "Hypervisor": "xen",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "BlockDeviceMappings": image.mappings,
        "Tags": [{"Key": key, "Value": value} for key, value in image.tags.items()],
        "EnaSupport": bool(image.registered.get("EnaSupport", False)),
    }
    for name in ("BootMode", "TpmSupport", "ImdsSupport", "SriovNetSupport", "KernelId", "RamdiskId"):
        if name in image.registered:
            shown[name] = image.registered[name]
    if image.deprecated is not None:
        shown["DeprecationTime"] = _text_time(image.deprecated)
    if image.source_id is not None:
        shown |= {"SourceImageId": image.source_id, "SourceImageRegion": image.source_region}
    if shown["State"] == "failed":
        shown["StateReason"] = {"Code": "Client.InvalidSnapshot", "Message": image.fault}
    return shown


def image_facts(image: Image, now: float) -> dict[str, list[str]]:
    """What an image can be filtered by."""
    volumes = [one["Ebs"] for one in image.mappings if "Ebs" in one]
    facts = tag_facts(image.tags) | {
        "architecture": [image.architecture],
        "block-device-mapping.device-name": [one["DeviceName"] for one in image.mappings],
        "block-device-mapping.snapshot-id": image.snapshots,
        "block-device-mapping.volume-size": [str(one.get("VolumeSize")) for one in volumes],
        "block-device-mapping.volume-type": [str(one.get("VolumeType")) for one in volumes],
        "creation-date": [_text_time(image.created)],
        "description": [image.description],
        "ena-support": [str(bool(image.registered.get("EnaSupport"))).lower()],
        "hypervisor": ["xen"],
        "image-id": [image.id],
        "image-type": ["machine"],
        "is-public": [str(image.public).lower()],
        "name": [image.name],
        "owner-id": [image.owner],
        "root-device-name": [image.root_device],
        "root-device-type": ["ebs"],
        "state": [image.state(now)],
        "virtualization-type": [image.virtualization],
    }
    optional = {
        "boot-mode": image.registered.get("BootMode"),
        "imds-support": image.registered.get("ImdsSupport"),
        "tpm-support": image.registered.get("TpmSupport"),
        "source-image-id": image.source_id,
        "source-image-region": image.source_region,
    }
    return facts | {name: [value] for name, value in optional.items() if value is not None}


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _text_time(seconds: float) -> str:
    return _time(seconds).strftime("%Y-%m-%dT%H:%M:%S.000Z")
