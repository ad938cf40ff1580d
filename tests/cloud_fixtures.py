"""A running local cloud as the far end, and images to send there."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from invar.aws.client import Cloud
from invar.core.events import Event, Report
from invar.localcloud.process import control, reset, start, stop
from invar.localcloud.record import CloudRecord

BLOCK = 512 * 1024


@pytest.fixture(scope="session")
def cloud_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cloud")


@pytest.fixture(scope="session")
def running(cloud_root: Path) -> Iterator[CloudRecord]:
    yield start(cloud_root)
    stop(cloud_root)


@pytest.fixture
def record(running: CloudRecord, cloud_root: Path) -> CloudRecord:
    reset(cloud_root)
    return running


@pytest.fixture
def cloud(record: CloudRecord, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return Cloud(endpoint_url=record.url)


@pytest.fixture
def controlled(record: CloudRecord) -> Callable[..., dict[str, Any]]:
    return lambda method, path, body=None: control(record, method, path, body)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def report(events: list[Event]) -> Report:
    return Report(events.append)


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., Path]:
    """Makes a sparse raw image of `blocks` blocks out of block index → content; an int is a seed for random content."""

    def make(name: str, contents: dict[int, bytes | int], *, blocks: int = 256) -> Path:
        path = tmp_path / name
        with path.open("wb") as file:
            file.truncate(blocks * BLOCK)
            for index, content in contents.items():
                file.seek(index * BLOCK)
                file.write(random.Random(content).randbytes(BLOCK) if isinstance(content, int) else content)
        return path

    return make


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    return tmp_path / "journals"


@pytest.fixture(autouse=True)
def no_other_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    os.environ.pop("AWS_DEFAULT_REGION", None)


def register_image(cloud: Cloud, region: str, name: str, tags: dict[str, str]) -> str:
    """An image whose snapshot is empty, with the tags that publishing would give it; its id."""
    ec2, ebs = cloud.ec2(region), cloud.ebs(region)
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=0)
    identity: str = ec2.register_image(
        Name=name,
        Architecture="x86_64",
        RootDeviceName="/dev/xvda",
        VirtualizationType="hvm",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    )["ImageId"]
    return identity
