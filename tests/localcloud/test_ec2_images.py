"""AMIs and the EC2 side of snapshots, by real boto3 calls."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

BLOCK = 512 * 1024
A = b"A" * BLOCK

Control = Callable[..., dict[str, Any]]
Snapshot = Callable[..., str]


def code(call: Callable[[], Any]) -> str:
    """The error code that a call is refused with."""
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"]


def request(snapshot: str, **changed: Any) -> dict[str, Any]:
    """A RegisterImage request as Invar makes it."""
    whole = {
        "Name": f"web {uuid.uuid4()}",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "BootMode": "uefi",
        "TpmSupport": "v2.0",
        "ImdsSupport": "v2.0",
        "EnaSupport": True,
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {"SnapshotId": snapshot, "VolumeType": "gp3", "VolumeSize": 4, "Iops": 4000},
            }
        ],
        "TagSpecifications": [{"ResourceType": "image", "Tags": [{"Key": "invar:digest", "Value": "abc"}]}],
    } | changed
    return {key: value for key, value in whole.items() if value is not None}


def mapped(snapshot: str, **ebs: Any) -> list[dict[str, Any]]:
    return [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot} | ebs}]


def test_an_image_keeps_everything_it_was_registered_with(ec2: Any, snapshot: Snapshot) -> None:
    identity = snapshot({0: A})
    image = ec2.register_image(**request(identity, Name="web 1", Description="the web"))["ImageId"]
    shown = ec2.describe_images(ImageIds=[image])["Images"][0]
    expected = {
        "Name": "web 1",
        "Description": "the web",
        "State": "available",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "BootMode": "uefi",
        "TpmSupport": "v2.0",
        "ImdsSupport": "v2.0",
        "EnaSupport": True,
        "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs",
        "Public": False,
        "Tags": [{"Key": "invar:digest", "Value": "abc"}],
    }
    assert {key: shown[key] for key in expected} == expected
    assert shown["BlockDeviceMappings"][0]["Ebs"] == {
        "SnapshotId": identity,
        "VolumeType": "gp3",
        "VolumeSize": 4,
        "Iops": 4000,
        "DeleteOnTermination": True,
        "Encrypted": False,
    }


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"Name": "a:b:c"}, "InvalidAMIName.Malformed"),
        ({"BootMode": "uefi-preferred"}, "InvalidParameterCombination"),
        ({"VirtualizationType": None}, "InvalidParameterCombination"),
        ({"Architecture": "arm64", "TpmSupport": None, "BootMode": "legacy-bios"}, "InvalidParameterCombination"),
        ({"Architecture": "sparc"}, "InvalidParameterValue"),
        ({"RootDeviceName": "/dev/sda1"}, "InvalidBlockDeviceMapping"),
        ({"BlockDeviceMappings": []}, "InvalidRequest"),
        ({"BlockDeviceMappings": mapped("snap-00000000000000000")}, "InvalidSnapshot.NotFound"),
        ({"BlockDeviceMappings": mapped("snap-x")}, "InvalidSnapshotID.Malformed"),
    ],
    ids=str,
)
def test_register_refuses(ec2: Any, snapshot: Snapshot, changed: dict[str, Any], expected: str) -> None:
    parameters = request(snapshot({0: A}), **changed)
    assert code(lambda: ec2.register_image(**parameters)) == expected


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({"VolumeSize": 1}, "InvalidBlockDeviceMapping"),
        ({"Encrypted": True}, "InvalidBlockDeviceMapping"),
        ({"VolumeType": "gp3", "Iops": 100}, "InvalidParameterValue"),
        ({"VolumeType": "gp2", "Iops": 3000}, "InvalidParameterCombination"),
        ({"VolumeType": "gp2", "Throughput": 200}, "InvalidParameterCombination"),
        ({"VolumeType": "gp3", "Throughput": 5000}, "InvalidParameterValue"),
        ({"VolumeType": "io2", "VolumeSize": 4}, "MissingParameter"),
        ({"VolumeType": "floppy"}, "InvalidParameterValue"),
    ],
    ids=str,
)
def test_register_refuses_volumes(ec2: Any, snapshot: Snapshot, volume: dict[str, Any], expected: str) -> None:
    mapping = mapped(snapshot({0: A}, VolumeSize=2), **volume)
    assert code(lambda: ec2.register_image(**request("", BlockDeviceMappings=mapping))) == expected


def test_a_name_is_taken_until_its_image_is_deregistered(ec2: Any, snapshot: Snapshot) -> None:
    identity = snapshot({0: A})
    image = ec2.register_image(**request(identity, Name="web 1"))["ImageId"]
    assert code(lambda: ec2.register_image(**request(identity, Name="web 1"))) == "InvalidAMIName.Duplicate"
    ec2.deregister_image(ImageId=image)
    assert ec2.register_image(**request(identity, Name="web 1"))["ImageId"] != image
    assert code(lambda: ec2.describe_images(ImageIds=[image])) == "InvalidAMIID.NotFound"


def test_a_pending_snapshot_makes_no_image(ec2: Any, ebs: Any) -> None:
    pending = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    assert code(lambda: ec2.register_image(**request(pending))) == "IncorrectState"


def test_a_copy_is_pending_then_available_and_like_its_source(
    client: Callable[..., Any], ec2: Any, snapshot: Snapshot, controlled: Control
) -> None:
    controlled("POST", "settings", {"copy_seconds": 1000})
    source = ec2.register_image(**request(snapshot({0: A}), Name="web 1"))["ImageId"]
    there = client("ec2", "eu-west-1")
    call = {
        "Name": "web 1",
        "SourceImageId": source,
        "SourceRegion": "us-east-1",
        "CopyImageTags": True,
        "ClientToken": "t",
        "TagSpecifications": [{"ResourceType": "snapshot", "Tags": [{"Key": "s", "Value": "1"}]}],
    }
    copy = there.copy_image(**call)["ImageId"]
    assert there.copy_image(**call)["ImageId"] == copy
    assert code(lambda: there.copy_image(**call | {"Name": "web 2"})) == "IdempotentParameterMismatch"
    assert there.describe_images(ImageIds=[copy])["Images"][0]["State"] == "pending"
    controlled("POST", "clock", {"advance": 1001})
    shown = there.describe_images(ImageIds=[copy])["Images"][0]
    original = ec2.describe_images(ImageIds=[source])["Images"][0]
    same = ("Architecture", "BootMode", "TpmSupport", "ImdsSupport", "EnaSupport", "RootDeviceName", "Tags")
    assert {key: shown[key] for key in same} == {key: original[key] for key in same}
    assert (shown["State"], shown["SourceImageId"]) == ("available", source)
    ebs = shown["BlockDeviceMappings"][0]["Ebs"]
    assert (ebs["VolumeType"], ebs["Iops"], ebs["VolumeSize"]) == ("gp3", 4000, 4)
    copied = there.describe_snapshots(SnapshotIds=[ebs["SnapshotId"]])["Snapshots"][0]
    assert (copied["State"], copied["Tags"]) == ("completed", [{"Key": "s", "Value": "1"}])
    blocks = client("ebs", "eu-west-1").list_snapshot_blocks(SnapshotId=ebs["SnapshotId"])["Blocks"]
    assert [one["BlockIndex"] for one in blocks] == [0]


def test_a_copy_can_be_encrypted(client: Callable[..., Any], ec2: Any, snapshot: Snapshot) -> None:
    source = ec2.register_image(**request(snapshot({0: A})))["ImageId"]
    there = client("ec2", "eu-west-1")
    key = "arn:aws:kms:eu-west-1:123456789012:key/mine"
    copy = there.copy_image(Name="enc", SourceImageId=source, SourceRegion="us-east-1", Encrypted=True, KmsKeyId=key)
    shown = there.describe_images(ImageIds=[copy["ImageId"]])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]
    assert shown["Encrypted"] is True
    assert there.describe_snapshots(SnapshotIds=[shown["SnapshotId"]])["Snapshots"][0]["KmsKeyId"] == key


def test_copies_beyond_the_quota_are_refused(
    client: Callable[..., Any], ec2: Any, snapshot: Snapshot, controlled: Control
) -> None:
    controlled("POST", "settings", {"copy_seconds": 1000, "concurrent_copies": 2})
    source = snapshot({0: A})
    there = client("ec2", "eu-west-1")
    for _ in range(2):
        there.copy_snapshot(SourceSnapshotId=source, SourceRegion="us-east-1")
    assert (
        code(lambda: there.copy_snapshot(SourceSnapshotId=source, SourceRegion="us-east-1")) == "ResourceLimitExceeded"
    )
    controlled("POST", "clock", {"advance": 1001})
    there.copy_snapshot(SourceSnapshotId=source, SourceRegion="us-east-1")


def test_a_copy_can_fail(client: Callable[..., Any], ec2: Any, snapshot: Snapshot, controlled: Control) -> None:
    controlled("POST", "settings", {"copy_seconds": 0})
    controlled("POST", "faults", {"operation": "CopyImage", "action": "fail_copy", "message": "no key"})
    source = ec2.register_image(**request(snapshot({0: A})))["ImageId"]
    there = client("ec2", "eu-west-1")
    copy = there.copy_image(Name="bad", SourceImageId=source, SourceRegion="us-east-1")["ImageId"]
    shown = there.describe_images(ImageIds=[copy])["Images"][0]
    assert (shown["State"], shown["StateReason"]["Message"]) == ("failed", "no key")


def test_a_snapshot_of_an_image_cannot_be_deleted(ec2: Any, snapshot: Snapshot) -> None:
    identity = snapshot({0: A})
    image = ec2.register_image(**request(identity))["ImageId"]
    assert code(lambda: ec2.delete_snapshot(SnapshotId=identity)) == "InvalidSnapshot.InUse"
    ec2.deregister_image(ImageId=image)
    ec2.delete_snapshot(SnapshotId=identity)
    assert code(lambda: ec2.delete_snapshot(SnapshotId=identity)) == "InvalidSnapshot.NotFound"


def test_deregister_deletes_snapshots_that_no_other_image_uses(ec2: Any, snapshot: Snapshot) -> None:
    identity = snapshot({0: A})
    first, second = (ec2.register_image(**request(identity))["ImageId"] for _ in range(2))
    answer = ec2.deregister_image(ImageId=first, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": identity, "ReturnCode": "skipped"}]
    answer = ec2.deregister_image(ImageId=second, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": identity, "ReturnCode": "success"}]
    assert ec2.describe_snapshots()["Snapshots"] == []


def test_launch_permissions_come_and_go(ec2: Any, snapshot: Snapshot) -> None:
    image = ec2.register_image(**request(snapshot({0: A})))["ImageId"]
    organization = "arn:aws:organizations::111122223333:organization/o-abc"

    def permissions() -> list[dict[str, str]]:
        found: list[dict[str, str]] = ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")[
            "LaunchPermissions"
        ]
        return found

    added = [{"UserId": "111122223333"}, {"OrganizationArn": organization}]
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": added})
    assert permissions() == added
    ec2.modify_image_attribute(ImageId=image, OperationType="remove", UserIds=["111122223333"])
    assert permissions() == [{"OrganizationArn": organization}]
    bad = {"ImageId": image, "LaunchPermission": {"Add": [{"UserId": "me"}]}}
    assert code(lambda: ec2.modify_image_attribute(**bad)) == "InvalidAMIAttributeItemValue"


def test_deprecation_is_a_date_to_come(ec2: Any, snapshot: Snapshot) -> None:
    image = ec2.register_image(**request(snapshot({0: A})))["ImageId"]
    at = datetime.now(UTC) + timedelta(days=30)
    ec2.enable_image_deprecation(ImageId=image, DeprecateAt=at)
    shown = ec2.describe_images(ImageIds=[image])["Images"][0]["DeprecationTime"]
    assert abs(datetime.fromisoformat(shown.replace("Z", "+00:00")) - at) <= timedelta(seconds=31)
    past = {"ImageId": image, "DeprecateAt": datetime(2020, 1, 1, tzinfo=UTC)}
    assert code(lambda: ec2.enable_image_deprecation(**past)) == "InvalidParameterValue"
    ec2.disable_image_deprecation(ImageId=image)
    assert "DeprecationTime" not in ec2.describe_images(ImageIds=[image])["Images"][0]


def test_a_disabled_image_is_hidden_but_there(ec2: Any, snapshot: Snapshot) -> None:
    image = ec2.register_image(**request(snapshot({0: A})))["ImageId"]
    ec2.disable_image(ImageId=image)
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    assert ec2.describe_images(Owners=["self"], IncludeDisabled=True)["Images"][0]["State"] == "disabled"
    ec2.enable_image(ImageId=image)
    assert len(ec2.describe_images(Owners=["self"])["Images"]) == 1


def test_images_are_filtered_and_paged(ec2: Any, snapshot: Snapshot) -> None:
    identity = snapshot({0: A})
    for number in range(5):
        ec2.register_image(**request(identity, Name=f"web {number}"))

    def names(**parameters: Any) -> list[str]:
        pages = ec2.get_paginator("describe_images").paginate(Owners=["self"], **parameters)
        return [image["Name"] for page in pages for image in page["Images"]]

    def by(name: str, *values: str) -> list[dict[str, Any]]:
        return [{"Name": name, "Values": list(values)}]

    assert names(PaginationConfig={"PageSize": 2}) == [f"web {number}" for number in range(5)]
    assert names(Filters=by("name", "web 1", "*3")) == ["web 1", "web 3"]
    assert len(names(Filters=by("tag:invar:digest", "a?c"))) == 5
    assert names(Filters=by("tag:invar:digest", "abd")) == []
    assert len(names(Filters=by("block-device-mapping.snapshot-id", identity))) == 5
    assert code(lambda: ec2.describe_images(Filters=by("colour", "red"))) == "InvalidParameterValue"


def test_snapshots_are_filtered_and_paged(ec2: Any, snapshot: Snapshot) -> None:
    made = [snapshot({0: A}, Tags=[{"Key": "n", "Value": str(number)}]) for number in range(7)]
    pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], PaginationConfig={"PageSize": 5})
    assert [one["SnapshotId"] for page in pages for one in page["Snapshots"]] == made
    found = ec2.describe_snapshots(Filters=[{"Name": "tag:n", "Values": ["3", "5"]}])["Snapshots"]
    assert [one["SnapshotId"] for one in found] == [made[3], made[5]]
    done = ec2.describe_snapshots(Filters=[{"Name": "status", "Values": ["pending"]}])["Snapshots"]
    assert done == []
    assert code(lambda: ec2.describe_snapshots(SnapshotIds=["snap-00000000000000000"])) == "InvalidSnapshot.NotFound"


def test_tags_are_put_on_and_taken_off(ec2: Any, snapshot: Snapshot) -> None:
    identity = snapshot({0: A})
    image = ec2.register_image(**request(identity, TagSpecifications=[]))["ImageId"]
    ec2.create_tags(Resources=[identity, image], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ec2.delete_tags(Resources=[image], Tags=[{"Key": "a"}])
    tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["a", "b"]}])["Tags"]
    assert {(one["ResourceId"], one["ResourceType"], one["Key"]) for one in tags} == {
        (identity, "snapshot", "a"),
        (identity, "snapshot", "b"),
        (image, "image", "b"),
    }
    reserved = {"Resources": [identity], "Tags": [{"Key": "aws:x", "Value": ""}]}
    assert code(lambda: ec2.create_tags(**reserved)) == "InvalidParameterValue"


def test_tags_of_motos_own_resources_still_work(ec2: Any, snapshot: Snapshot) -> None:
    identity = snapshot({0: A})
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc, identity], Tags=[{"Key": "both", "Value": "1"}])
    tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["both"]}])["Tags"]
    assert {one["ResourceId"] for one in tags} == {vpc, identity}


def test_a_dry_run_changes_nothing(ec2: Any, snapshot: Snapshot) -> None:
    identity = snapshot({0: A})
    assert code(lambda: ec2.delete_snapshot(SnapshotId=identity, DryRun=True)) == "DryRunOperation"
    assert len(ec2.describe_snapshots()["Snapshots"]) == 1


def test_what_is_not_there_says_so(ec2: Any) -> None:
    assert code(lambda: ec2.create_snapshot(VolumeId="vol-00000000")) == "UnsupportedOperation"
