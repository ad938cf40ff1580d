"""How an instance looks from outside: DescribeInstances' and DescribeInstanceStatus' structures, and their filters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from invar.localcloud.filters import tag_facts
from invar.localcloud.instance_types import find_type
from invar.localcloud.instances import CODES, Instance, State
from invar.localcloud.lifecycle import mac_of

KNOWN_FILTERS = (
    "architecture", "availability-zone", "client-token", "dns-name", "image-id", "instance-id", "instance-lifecycle",
    "instance-state-code", "instance-state-name", "instance-type", "instance.group-id", "instance.group-name",
    "ip-address", "key-name", "launch-index", "launch-time", "owner-id", "private-dns-name", "private-ip-address",
    "reservation-id", "root-device-name", "root-device-type", "subnet-id", "vpc-id", "block-device-mapping.volume-id",
    "network-interface.addresses.private-ip-address", "tenancy", "hypervisor", "virtualization-type",
    "state-reason-code",
    "iam-instance-profile.arn", "iam-instance-profile.name", "network-interface.subnet-id", "network-interface.vpc-id",
)  # fmt: skip
STATUS_FILTERS = (
    "availability-zone", "instance-state-code", "instance-state-name", "instance-status.status",
    "instance-status.reachability", "system-status.status", "system-status.reachability",
)  # fmt: skip


def shown_instance(instance: Instance) -> dict[str, Any]:
    """The Instance structure of DescribeInstances. A terminated instance has no network any more."""
    gone = instance.state == "terminated"
    cpus = find_type(instance.type).cpus
    groups = [{"GroupId": identity, "GroupName": name} for identity, name in instance.security_groups]
    shown: dict[str, Any] = {
        "InstanceId": instance.id,
        "ImageId": instance.image,
        "State": shown_state(instance.state),
        "PrivateDnsName": "" if gone else dns_name(instance),
        "PublicDnsName": "",
        "StateTransitionReason": "" if instance.reason is None else instance.reason[1].partition(": ")[2],
        "AmiLaunchIndex": instance.index,
        "ProductCodes": [],
        "InstanceType": instance.type,
        "LaunchTime": time_of(instance.launched),
        "Placement": {"AvailabilityZone": instance.zone, "GroupName": "", "Tenancy": "default"},
        "Monitoring": {"State": "enabled" if instance.monitoring else "disabled"},
        "Architecture": instance.architecture,
        "ClientToken": instance.token,
        "EbsOptimized": False,
        "EnaSupport": True,
        "Hypervisor": "xen",
        "RootDeviceName": instance.root_device,
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "CpuOptions": {"CoreCount": max(1, cpus // 2), "ThreadsPerCore": min(2, cpus)},
        "MetadataOptions": dict(instance.metadata_options),
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "SourceDestCheck": instance.source_check,
        "SecurityGroups": [] if gone else groups,
        "Tags": [{"Key": key, "Value": value} for key, value in instance.tags.items()],
        "BlockDeviceMappings": [],
        "NetworkInterfaces": [],
    }
    if instance.reason is not None:
        shown["StateReason"] = {"Code": instance.reason[0], "Message": instance.reason[1]}
    if instance.key is not None:
        shown["KeyName"] = instance.key
    if instance.spot:
        shown["InstanceLifecycle"] = "spot"
        shown["SpotInstanceRequestId"] = "sir-" + instance.id[-8:]
    if instance.profile is not None:
        shown["IamInstanceProfile"] = shown_profile(instance)
    if not gone:
        shown |= {"PrivateIpAddress": instance.address, "SubnetId": instance.subnet, "VpcId": instance.vpc}
        shown["BlockDeviceMappings"] = [
            {
                "DeviceName": device,
                "Ebs": {
                    "VolumeId": volume,
                    "Status": "attached",
                    "AttachTime": time_of(instance.launched),
                    "DeleteOnTermination": device == instance.root_device,
                },
            }
            for device, volume in instance.volumes.items()
        ]
        shown["NetworkInterfaces"] = [_interface(instance, groups)]
    return shown


def shown_profile(instance: Instance) -> dict[str, str]:
    """The IamInstanceProfile structure."""
    profile = instance.profile or {}
    arn = profile.get("Arn") or f"arn:aws:iam::{instance.account}:instance-profile/{profile.get('Name', '')}"
    return {"Arn": arn, "Id": "AIPA" + arn.rpartition("/")[2].upper()[:12]}


def shown_state(state: State) -> dict[str, Any]:
    """The InstanceState structure."""
    return {"Code": CODES[state], "Name": state}


def shown_status(instance: Instance, now: float) -> dict[str, Any]:
    """The InstanceStatus structure of DescribeInstanceStatus."""
    status = instance.status(now)
    reach = {"ok": "passed", "impaired": "failed", "initializing": "initializing"}.get(status)
    details = [{"Name": "reachability", "Status": reach}] if reach else []
    return {
        "InstanceId": instance.id,
        "AvailabilityZone": instance.zone,
        "InstanceState": shown_state(instance.state),
        "InstanceStatus": {"Status": status, "Details": details},
        "SystemStatus": {"Status": "ok" if status == "impaired" else status, "Details": details},
        "Events": [],
    }


def status_facts(instance: Instance, now: float) -> dict[str, list[str]]:
    """What DescribeInstanceStatus can filter by."""
    status = instance.status(now)
    reach = {"ok": "passed", "impaired": "failed"}.get(status, status)
    return {
        "availability-zone": [instance.zone],
        "instance-state-code": [str(CODES[instance.state])],
        "instance-state-name": [instance.state],
        "instance-status.status": [status],
        "instance-status.reachability": [reach],
        "system-status.status": ["ok" if status == "impaired" else status],
        "system-status.reachability": [reach],
    }


def instance_facts(instance: Instance) -> dict[str, list[str]]:
    """What DescribeInstances can filter by."""
    profile = shown_profile(instance)["Arn"] if instance.profile else None
    facts: dict[str, list[str]] = {
        "architecture": [instance.architecture],
        "availability-zone": [instance.zone],
        "block-device-mapping.volume-id": list(instance.volumes.values()),
        "client-token": [instance.token],
        "dns-name": [""],
        "hypervisor": ["xen"],
        "image-id": [instance.image],
        "instance-id": [instance.id],
        "instance-lifecycle": ["spot"] if instance.spot else [],
        "instance-state-code": [str(CODES[instance.state])],
        "instance-state-name": [instance.state],
        "instance-type": [instance.type],
        "instance.group-id": [identity for identity, _ in instance.security_groups],
        "instance.group-name": [name for _, name in instance.security_groups],
        "key-name": [instance.key] if instance.key else [],
        "launch-index": [str(instance.index)],
        "launch-time": [time_of(instance.launched).strftime("%Y-%m-%dT%H:%M:%S.000Z")],
        "owner-id": [instance.account],
        "reservation-id": [instance.reservation],
        "root-device-name": [instance.root_device],
        "root-device-type": ["ebs"],
        "state-reason-code": [instance.reason[0]] if instance.reason else [],
        "tenancy": ["default"],
        "virtualization-type": ["hvm"],
        "iam-instance-profile.arn": [profile] if profile else [],
        "iam-instance-profile.name": [profile.rpartition("/")[2]] if profile else [],
    }
    if instance.state != "terminated":
        facts |= {
            "network-interface.addresses.private-ip-address": [instance.address],
            "network-interface.subnet-id": [instance.subnet],
            "network-interface.vpc-id": [instance.vpc],
            "private-dns-name": [dns_name(instance)],
            "private-ip-address": [instance.address],
            "subnet-id": [instance.subnet],
            "vpc-id": [instance.vpc],
        }
    return tag_facts(instance.tags) | facts


def dns_name(instance: Instance) -> str:
    """The private DNS name."""
    domain = "ec2.internal" if instance.region == "us-east-1" else f"{instance.region}.compute.internal"
    return f"ip-{instance.address.replace('.', '-')}.{domain}"


def time_of(seconds: float) -> datetime:
    """A time as botocore takes it."""
    return datetime.fromtimestamp(seconds, UTC)


def _interface(instance: Instance, groups: list[dict[str, str]]) -> dict[str, Any]:
    suffix = instance.id.removeprefix("i-")
    return {
        "NetworkInterfaceId": f"eni-{suffix}",
        "SubnetId": instance.subnet,
        "VpcId": instance.vpc,
        "OwnerId": instance.account,
        "Status": "in-use",
        "MacAddress": mac_of(instance.id),
        "PrivateIpAddress": instance.address,
        "PrivateDnsName": dns_name(instance),
        "SourceDestCheck": instance.source_check,
        "Groups": groups,
        "InterfaceType": "interface",
        "Attachment": {
            "AttachmentId": f"eni-attach-{suffix}",
            "AttachTime": time_of(instance.launched),
            "DeleteOnTermination": True,
            "DeviceIndex": 0,
            "NetworkCardIndex": 0,
            "Status": "attached",
        },
        "PrivateIpAddresses": [
            {"PrivateIpAddress": instance.address, "PrivateDnsName": dns_name(instance), "Primary": True}
        ],
        "Ipv6Addresses": [],
    }
