"""Simulated instances and launch templates: EC2's states, refusals and versions, under a clock that stands still."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from invar.localcloud.record import CloudRecord
from invar.system.proof import CONSOLE_PREFIX, Proof

Control = Callable[..., dict[str, Any]]
SYSTEM = "ab" * 32


@pytest.fixture
def still(controlled: Control) -> Callable[[float], None]:
    """Simulated instances and a frozen clock; lets seconds pass."""
    controlled("POST", "settings", {"instance_kind": "simulated"})
    controlled("POST", "clock", {"frozen": True})
    return lambda seconds: controlled("POST", "clock", {"advance": seconds})  # type: ignore[return-value]


@pytest.fixture
def image(ec2: Any, snapshot: Callable[..., str]) -> str:
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot({0: bytes(512 * 1024)})}}
    made = ec2.register_image(
        Name="one",
        Architecture="x86_64",
        RootDeviceName="/dev/xvda",
        VirtualizationType="hvm",
        BlockDeviceMappings=[mapping],
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "invar:system", "Value": SYSTEM}]}],
    )
    identity: str = made["ImageId"]
    return identity


@pytest.fixture
def run(ec2: Any, image: str, still: Any) -> Callable[..., list[dict[str, Any]]]:
    def make(count: int = 1, **options: Any) -> list[dict[str, Any]]:
        given = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": count, "MaxCount": count} | options
        made: list[dict[str, Any]] = ec2.run_instances(**given)["Instances"]
        return made

    return make


def test_an_instance_goes_through_its_states(ec2: Any, run: Any, still: Any) -> None:
    [made] = run()
    identity = made["InstanceId"]
    assert made["State"] == {"Code": 0, "Name": "pending"}
    assert made["PrivateIpAddress"].startswith("127.31.")
    still(4)
    assert state(ec2, identity) == "running"
    assert status(ec2, identity) == "initializing"
    still(20)
    assert status(ec2, identity) == "ok"
    [change] = ec2.stop_instances(InstanceIds=[identity])["StoppingInstances"]
    assert change["CurrentState"]["Name"] == "stopping"
    still(2)
    assert state(ec2, identity) == "stopped"
    ec2.start_instances(InstanceIds=[identity])
    still(4)
    assert state(ec2, identity) == "running"
    ec2.terminate_instances(InstanceIds=[identity])
    assert state(ec2, identity) == "shutting-down"
    still(2)
    assert state(ec2, identity) == "terminated"
    still(3601)
    assert refused(ec2.describe_instances, InstanceIds=[identity]) == "InvalidInstanceID.NotFound"


def test_a_console_ends_with_a_proof_of_the_image(ec2: Any, run: Any, still: Any) -> None:
    [made] = run()
    still(60)
    console = ec2.get_console_output(InstanceId=made["InstanceId"])["Output"]
    [line] = [line for line in console.splitlines() if line.startswith(CONSOLE_PREFIX)]
    proof = Proof.from_json(line.removeprefix(CONSOLE_PREFIX), where="console")
    assert (proof.active_digest, proof.instance_id) == (SYSTEM, made["InstanceId"])


@pytest.mark.parametrize(
    ("tag", "seconds", "outcome"),
    [
        ("never_boots", 4000, "initializing"),
        ("boot_seconds=100", 60, "initializing"),
        ("boot_seconds=100", 110, "ok"),
        ("impaired_after=50", 40, "ok"),
        ("impaired_after=50", 60, "impaired"),
    ],
)
def test_faults_by_tag(ec2: Any, run: Any, still: Any, tag: str, seconds: float, outcome: str) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "invar:fault", "Value": tag}]}]
    [made] = run(TagSpecifications=tags)
    still(seconds)
    assert status(ec2, made["InstanceId"]) == outcome


def test_launches_meet_rules(ec2: Any, run: Any, controlled: Control) -> None:
    controlled("POST", "behaviours", {"type": "t3.micro", "code": "InsufficientInstanceCapacity", "times": 1})
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        run()
    assert len(run()) == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"InstanceType": "t3.huge"}, "InvalidParameterValue"),
        ({"InstanceType": "t4g.micro"}, "InvalidParameterValue"),
        ({"ImageId": "ami-01234567"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "nonsense"}, "InvalidAMIID.Malformed"),
        ({"MinCount": 3, "MaxCount": 2}, "InvalidParameterValue"),
        ({"SubnetId": "subnet-01234567"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-01234567"]}, "InvalidGroup.NotFound"),
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        ({"LaunchTemplate": {"LaunchTemplateId": "lt-01234567"}}, "InvalidLaunchTemplateId.NotFound"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
)
def test_refused_launches(ec2: Any, image: str, still: Any, options: dict[str, Any], code: str) -> None:
    given = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1} | options
    assert refused(ec2.run_instances, **given) == code
    assert ec2.describe_instances()["Reservations"] == []


def test_a_client_token_launches_once(ec2: Any, run: Any) -> None:
    first, second = run(ClientToken="one"), run(ClientToken="one")
    assert first[0]["InstanceId"] == second[0]["InstanceId"]
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        run(ClientToken="one", InstanceType="t3.small")


def test_protection_and_wrong_states(ec2: Any, run: Any, still: Any) -> None:
    [made] = run(DisableApiTermination=True)
    identity = made["InstanceId"]
    assert refused(ec2.terminate_instances, InstanceIds=[identity]) == "OperationNotPermitted"
    assert refused(ec2.stop_instances, InstanceIds=[identity]) == "IncorrectInstanceState"
    still(5)
    change = {"InstanceId": identity, "InstanceType": {"Value": "t3.small"}}
    assert refused(ec2.modify_instance_attribute, **change) == "IncorrectInstanceState"
    ec2.modify_instance_attribute(InstanceId=identity, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[identity])


def test_pages_and_filters(ec2: Any, run: Any, still: Any) -> None:
    for _ in range(3):
        run(4)
    still(5)
    pages = list(ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    assert [sum(len(one["Instances"]) for one in page["Reservations"]) for page in pages] == [5, 5, 2]
    found = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["pending", "stopped"]}])
    assert found["Reservations"] == []
    assert refused(ec2.describe_instances, Filters=[{"Name": "colour", "Values": ["x"]}]) == "InvalidParameterValue"


def test_template_versions(ec2: Any, image: str, run: Any) -> None:
    data = {"ImageId": image, "InstanceType": "t3.small", "UserData": base64.b64encode(b"hello").decode()}
    made = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)["LaunchTemplate"]
    identity = made["LaunchTemplateId"]
    version = ec2.create_launch_template_version(
        LaunchTemplateId=identity, SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.medium"}
    )["LaunchTemplateVersion"]
    assert version["VersionNumber"] == 2
    assert version["LaunchTemplateData"] == data | {"InstanceType": "t3.medium"}
    template = {"LaunchTemplateName": "web"}
    types = {
        name: ec2.run_instances(LaunchTemplate=template | {"Version": name}, MinCount=1, MaxCount=1)["Instances"][0]
        for name in ("$Latest", "$Default", "2")
    }
    assert {name: one["InstanceType"] for name, one in types.items()} == {
        "$Latest": "t3.medium",
        "$Default": "t3.small",
        "2": "t3.medium",
    }
    assert {"Key": "aws:ec2launchtemplate:version", "Value": "2"} in types["$Latest"]["Tags"]
    attribute = ec2.describe_instance_attribute(InstanceId=types["2"]["InstanceId"], Attribute="userData")
    assert base64.b64decode(attribute["UserData"]["Value"]) == b"hello"
    deleted = ec2.delete_launch_template_versions(LaunchTemplateId=identity, Versions=["1", "2", "7"])
    assert [one["VersionNumber"] for one in deleted["SuccessfullyDeletedLaunchTemplateVersions"]] == [2]
    assert [one["VersionNumber"] for one in deleted["UnsuccessfullyDeletedLaunchTemplateVersions"]] == [1, 7]
    third = ec2.create_launch_template_version(LaunchTemplateId=identity, LaunchTemplateData={"InstanceType": "x"})
    assert third["LaunchTemplateVersion"]["VersionNumber"] == 3
    code = refused(ec2.describe_launch_template_versions, LaunchTemplateId=identity, Versions=["2"])
    assert code == "InvalidLaunchTemplateId.VersionNotFound"


def test_a_parameter_names_the_image(ec2: Any, client: Any, image: str, run: Any) -> None:
    client("ssm").put_parameter(Name="/web/ami", Value=image, Type="String")
    [made] = run(ImageId="resolve:ssm:/web/ami")
    assert made["ImageId"] == image
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        run(ImageId="resolve:ssm:/nothing")


def test_regions_never_share_an_address(client: Any, ec2: Any, image: str, run: Any, still: Any) -> None:
    other = client("ec2", "eu-west-1")
    copy = other.copy_image(Name="one", SourceImageId=image, SourceRegion="us-east-1")["ImageId"]
    given = {"ImageId": copy, "InstanceType": "t3.micro", "MinCount": 3, "MaxCount": 3}
    assert refused(other.run_instances, **given) == "InvalidAMIID.Unavailable"
    still(5)
    addresses = [one["PrivateIpAddress"] for one in [*run(3), *other.run_instances(**given)["Instances"]]]
    assert len(set(addresses)) == 6


def test_tags_of_instances(ec2: Any, run: Any, cloud: CloudRecord) -> None:
    [made] = run()
    ec2.create_tags(Resources=[made["InstanceId"]], Tags=[{"Key": "role", "Value": "web"}])
    found = ec2.describe_instances(Filters=[{"Name": "tag:role", "Values": ["w*"]}])
    assert found["Reservations"][0]["Instances"][0]["InstanceId"] == made["InstanceId"]
    ec2.delete_tags(Resources=[made["InstanceId"]], Tags=[{"Key": "role"}])
    assert ec2.describe_tags(Filters=[{"Name": "key", "Values": ["role"]}])["Tags"] == []


def state(ec2: Any, identity: str) -> str:
    [reservation] = ec2.describe_instances(InstanceIds=[identity])["Reservations"]
    name: str = reservation["Instances"][0]["State"]["Name"]
    return name


def status(ec2: Any, identity: str) -> str:
    [found] = ec2.describe_instance_status(InstanceIds=[identity])["InstanceStatuses"]
    name: str = found["InstanceStatus"]["Status"]
    return name


def refused(operation: Callable[..., Any], **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        operation(**parameters)
    code: str = caught.value.response["Error"]["Code"]
    return code
