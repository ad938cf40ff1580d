"""A running local cloud for these tests, forgotten between them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from invar.localcloud.process import control, reset, start, stop
from invar.localcloud.record import CloudRecord
from localcloud.fleet_fixtures import Bench

BLOCK = 512 * 1024
Client = Callable[..., Any]
Control = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def cloud_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cloud")


@pytest.fixture(scope="session")
def running(cloud_root: Path) -> Iterator[CloudRecord]:
    yield start(cloud_root)
    stop(cloud_root)


@pytest.fixture
def cloud(running: CloudRecord, cloud_root: Path) -> CloudRecord:
    reset(cloud_root)
    return running


@pytest.fixture(scope="session")
def client_for() -> Callable[[CloudRecord], Client]:
    return client_of


@pytest.fixture
def client(cloud: CloudRecord) -> Client:
    return client_of(cloud)


@pytest.fixture
def controlled(cloud: CloudRecord) -> Control:
    return lambda method, path, body=None: control(cloud, method, path, body)


@pytest.fixture
def ebs(client: Client) -> Any:
    return client("ebs")


@pytest.fixture
def ec2(client: Client) -> Any:
    return client("ec2")


@pytest.fixture
def snapshot(ebs: Any) -> Callable[..., str]:
    """Makes a completed snapshot out of block index → content."""

    def make(blocks: dict[int, bytes], **options: Any) -> str:
        identity: str = ebs.start_snapshot(**({"VolumeSize": 1} | options))["SnapshotId"]
        for index, data in blocks.items():
            ebs.put_snapshot_block(**block(identity, index, data))
        ebs.complete_snapshot(SnapshotId=identity, ChangedBlocksCount=len(blocks))
        return identity

    return make


@pytest.fixture
def put() -> Callable[..., dict[str, Any]]:
    return block


def client_of(record: CloudRecord) -> Client:
    """boto3 clients that do not repeat calls by themselves."""

    def make(service: str, region: str = "us-east-1") -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=region,
            endpoint_url=record.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    return make


def block(snapshot: str, index: int, data: bytes) -> dict[str, Any]:
    """The parameters of PutSnapshotBlock."""
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return {
        "SnapshotId": snapshot,
        "BlockIndex": index,
        "BlockData": data,
        "DataLength": len(data),
        "Checksum": checksum,
        "ChecksumAlgorithm": "SHA256",
    }


@pytest.fixture
def bench(client: Client, controlled: Control, snapshot: Callable[..., str]) -> Bench:
    controlled("POST", "settings", {"instance_kind": "simulated", "real_ports": 0})
    controlled("POST", "clock", {"frozen": True})
    ec2 = client("ec2")
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot({})}}
    images = [
        ec2.register_image(
            Name=name,
            Architecture="x86_64",
            RootDeviceName="/dev/xvda",
            VirtualizationType="hvm",
            BlockDeviceMappings=[mapping],
            TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "invar:system", "Value": name * 64}]}],
        )["ImageId"]
        for name in ("aaa", "bbb")
    ]
    data = {"ImageId": images[0], "InstanceType": "t3.micro"}
    made = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
    template = made["LaunchTemplate"]["LaunchTemplateId"]
    ec2.create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"ImageId": images[1]}
    )
    clients = (client(name) for name in ("autoscaling", "elbv2", "cloudwatch"))
    return Bench(ec2, *clients, (images[0], images[1]), template, controlled)
