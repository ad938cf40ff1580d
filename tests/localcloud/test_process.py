"""The cloud as a process: starts, stops, keeps its state, survives a kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from invar.core.errors import InvarError
from invar.localcloud.process import control, reset, start, status, stop
from invar.localcloud.record import CloudRecord, read_record

BLOCK = 512 * 1024
ClientFor = Callable[[CloudRecord], Callable[..., Any]]
Put = Callable[..., dict[str, Any]]
Upload = Callable[..., str]
Read = Callable[[CloudRecord, str], bytes]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "state"
    yield place
    stop(place)


@pytest.fixture
def upload(client_for: ClientFor, put: Put) -> Upload:
    """Makes a snapshot with these blocks from index 1 on."""

    def make(record: CloudRecord, *blocks: bytes, complete: bool = True) -> str:
        ebs = client_for(record)("ebs")
        identity: str = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
        for index, data in enumerate(blocks, 1):
            ebs.put_snapshot_block(**put(identity, index, data))
        if complete:
            ebs.complete_snapshot(SnapshotId=identity, ChangedBlocksCount=len(blocks))
        return identity

    return make


@pytest.fixture
def read(client_for: ClientFor) -> Read:
    """Reads block 1 of a snapshot."""

    def get(record: CloudRecord, snapshot: str) -> bytes:
        ebs = client_for(record)("ebs")
        token = ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]["BlockToken"]
        data: bytes = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=1, BlockToken=token)["BlockData"].read()
        return data

    return get


def test_a_restart_keeps_everything(root: Path, client_for: ClientFor, upload: Upload, read: Read) -> None:
    data = os.urandom(BLOCK)
    first = start(root)
    done, pending = upload(first, data), upload(first, data, complete=False)
    ec2 = client_for(first)("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    image = ec2.register_image(
        Name="kept",
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": done}}],
    )["ImageId"]
    client_for(first)("ssm").put_parameter(Name="/invar/web", Value=image, Type="String")
    token = client_for(first)("ebs").list_snapshot_blocks(SnapshotId=done)["Blocks"][0]["BlockToken"]
    assert stop(root)
    assert status(root) is None

    second = start(root)
    ec2, ebs = client_for(second)("ec2"), client_for(second)("ebs")
    assert read(second, done) == data
    assert ebs.get_snapshot_block(SnapshotId=done, BlockIndex=1, BlockToken=token)["DataLength"] == BLOCK
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["Name"] == "kept"
    assert client_for(second)("ssm").get_parameter(Name="/invar/web")["Parameter"]["Value"] == image
    client_for(second)("ssm").put_parameter(Name="/invar/new", Value=image, Type="String")
    assert vpc in [one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"]]
    ebs.complete_snapshot(SnapshotId=pending, ChangedBlocksCount=1)
    assert read(second, pending) == data


def test_a_killed_cloud_loses_no_confirmed_block(root: Path, upload: Upload, read: Read) -> None:
    data = os.urandom(BLOCK)
    first = start(root)
    identity = upload(first, data)
    os.kill(first.pid, signal.SIGKILL)
    os.waitpid(first.pid, 0)
    assert status(root) is None
    assert read_record(root) is not None
    assert read(start(root), identity) == data


def test_starting_twice_finds_the_running_cloud(root: Path) -> None:
    first = start(root)
    assert start(root) == first
    assert control(first, "GET", "health")["instance"] == first.instance


def test_a_second_server_on_the_same_state_is_refused(root: Path) -> None:
    start(root)
    (root / "cloud.json").rename(root / "hidden")
    with pytest.raises(InvarError) as caught:
        start(root)
    (root / "hidden").rename(root / "cloud.json")
    assert "already running" in str(caught.value)


def test_a_taken_port_is_named(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvarError) as caught:
            start(root, port)
    assert f"cannot listen on 127.0.0.1:{port}" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_it_comes_back_at_the_same_address_if_that_is_free(root: Path) -> None:
    first = start(root)
    stop(root)
    assert start(root).url == first.url
    stop(root)
    with socket.create_server(("127.0.0.1", first.port)):
        assert start(root).port != first.port


def test_stopping_what_does_not_run_is_nothing(root: Path) -> None:
    assert stop(root) is False


def test_reset_forgets_running_or_not(root: Path, client_for: ClientFor, upload: Upload) -> None:
    first = start(root)
    upload(first, bytes(BLOCK))
    reset(root)
    assert client_for(first)("ec2").describe_snapshots()["Snapshots"] == []
    upload(first, bytes(BLOCK))
    stop(root)
    reset(root)
    assert client_for(start(root))("ec2").describe_snapshots()["Snapshots"] == []


def test_it_listens_on_loopback_only(root: Path) -> None:
    record = start(root)
    listening = [line.split() for line in Path(f"/proc/{record.pid}/net/tcp").read_text().splitlines()[1:]]
    ours = [fields[1] for fields in listening if fields[1].endswith(f":{record.port:04X}") and fields[3] == "0A"]
    assert ours == [f"0100007F:{record.port:04X}"]


def test_memory_does_not_grow_with_what_is_uploaded(root: Path, upload: Upload) -> None:
    record = start(root)
    upload(record, os.urandom(BLOCK))
    before = resident(record.pid)
    upload(record, *(os.urandom(BLOCK) for _ in range(300)))
    assert resident(record.pid) - before < 60 * 1024 * 1024


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_the_unmodified_aws_cli_is_a_client(root: Path, tmp_path: Path, upload: Upload) -> None:
    aws = shutil.which("aws")
    if aws is None:
        pytest.skip("the AWS CLI is not installed")
    data = os.urandom(BLOCK)
    record = start(root)
    identity = upload(record, data)
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": record.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
    }

    def run(*arguments: str) -> str:
        done = subprocess.run([aws, *arguments], env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    described = run("ec2", "describe-snapshots", "--query", "Snapshots[].[SnapshotId,State]", "--output", "text")
    assert described.split() == [identity, "completed"]
    query = ("--query", "Blocks[0].BlockToken", "--output", "text")
    token = run("ebs", "list-snapshot-blocks", "--snapshot-id", identity, *query)
    target = tmp_path / "block"
    get = ("ebs", "get-snapshot-block", "--snapshot-id", identity, "--block-index", "1", "--block-token", token)
    run(*get, str(target))
    assert target.read_bytes() == data
