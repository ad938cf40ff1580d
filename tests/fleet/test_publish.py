"""Publishing to several regions of the local cloud: once, again, changed, half-failed, killed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from invar.aws.blocks import encode, map_blocks
from invar.aws.client import Cloud
from invar.aws.images import ImageRecord, find_images
from invar.aws.parameters import get_parameter
from invar.aws.snapshot_read import read_back
from invar.core.errors import InvarError
from invar.core.events import Event, Report, Warned
from invar.fleet.publish import (
    Artifact,
    Destination,
    Published,
    image_name,
    next_generation,
    parameter_name,
    parent_candidates,
    publish,
)
from invar.fleet.record import fetch_record, pack
from invar.fleet.tags import Identity
from invar.localcloud.record import CloudRecord
from invar.store.objects import Store

REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-2")
Control = Callable[..., dict[str, Any]]
Publish = Callable[..., Published]


@pytest.fixture
def artifact(make_image: Callable[..., Path]) -> Callable[..., Artifact]:
    """Makes an image of 60 filled blocks, of which some are replaced."""

    def make(name: str, changed: dict[int, int] | None = None) -> Artifact:
        path = make_image(name, {index: index + 1 for index in range(60)} | (changed or {}))
        digest = hashlib.sha256(name.encode()).hexdigest()
        identity = Identity("production-web", digest, "5" * 64, "7" * 64, "c0ffee", True)
        return Artifact(path, map_blocks(path, Report()), identity, "x86_64")

    return make


@pytest.fixture
def send(cloud: Cloud, tmp_path: Path, report: Report) -> Publish:
    store = Store(tmp_path / "home" / "store")

    def one(artifact: Artifact, regions: tuple[str, ...] = REGIONS, **options: Any) -> Published:
        options.setdefault("copy_seconds", 30.0)
        return publish(cloud, artifact, Destination(regions, **options), store, report, version="0.1.0")

    return one


def assert_right(cloud: Cloud, controlled: Control, artifact: Artifact, regions: tuple[str, ...] = REGIONS) -> None:
    """In each region one available image of the system, over exactly the built bytes, and its record; no orphan."""
    state = controlled("GET", "state")
    images = {one["region"]: find_images(cloud, one["region"]) for one in state["images"]}
    used = {snapshot for found in images.values() for one in found for snapshot in one.snapshots}
    records = sorted((region, one.tags["invar:record"]) for region, found in images.items() for one in found)
    beside = [one for one in state["snapshots"] if one["id"] not in used]
    assert len(state["snapshots"]) == len(used) + len(records)
    assert sorted((one["region"], one["tags"].get("invar:record")) for one in beside) == records
    assert {one["state"] for one in state["snapshots"]} == {"completed"}
    for region in regions:
        tags = {"invar:system": artifact.identity.system_digest}
        found = find_images(cloud, region, tags=tags)
        assert [image.state for image in found] == ["available"], region
        assert read_back(cloud, region, found[0].snapshots[0], artifact.blocks, Report()).same, region


def test_an_image_is_the_same_in_every_region(
    cloud: Cloud, controlled: Control, artifact: Callable[..., Artifact], send: Publish
) -> None:
    one = artifact("one")
    done = send(one)
    assert (tuple(done.images), done.failed, done.generation) == (REGIONS, {}, 1)
    assert_right(cloud, controlled, one)
    for region, image in done.images.items():
        assert image.tags == {
            "invar:configuration": "production-web",
            "invar:generation": "1",
            "invar:system": one.identity.system_digest,
            "invar:spec": "5" * 64,
            "invar:lock": "7" * 64,
            "invar:commit": "c0ffee",
            "invar:dirty": "true",
            "invar:blocks": one.blocks.digest,
            "invar:record": hashlib.sha256(pack({"blocks.map": encode(one.blocks)})).hexdigest(),
            "invar:version": "0.1.0",
        }
        named = get_parameter(cloud, region, "/invar/production-web/ami")
        assert named is not None
        assert named.value == image.id


def test_publishing_again_changes_nothing(
    cloud: Cloud, controlled: Control, artifact: Callable[..., Artifact], send: Publish
) -> None:
    one = artifact("one")
    first = send(one)
    controlled("DELETE", "counters")
    again = send(one)
    assert again.images == first.images
    assert again.uploaded is None
    calls = set(controlled("GET", "state")["counters"]["calls"])
    assert calls == {"DescribeImages", "DescribeSnapshots", "GetParameter"}


def test_a_changed_image_goes_up_as_a_delta_and_is_the_next_generation(
    cloud: Cloud, controlled: Control, artifact: Callable[..., Artifact], send: Publish
) -> None:
    one, two = artifact("one"), artifact("two", {40: 4000})
    send(one)
    sent = controlled("GET", "state")["counters"]["bytes"]["PutSnapshotBlock"]
    controlled("DELETE", "counters")
    done = send(two)
    counters = controlled("GET", "state")["counters"]
    assert counters["bytes"]["PutSnapshotBlock"] < 0.1 * sent
    assert counters["calls"]["PutSnapshotBlock"] == 1 + len(REGIONS), "the block, and a record in each region"
    assert done.generation == 2
    assert {image.tags["invar:parent"] for image in done.images.values()} == {one.identity.system_digest}
    assert_right(cloud, controlled, one)
    assert_right(cloud, controlled, two)


def test_a_difference_needs_nothing_of_the_machine_that_published_before(
    cloud: Cloud, controlled: Control, artifact: Callable[..., Artifact], send: Publish, tmp_path: Path
) -> None:
    one, two = artifact("one"), artifact("two", {40: 4000})
    first = send(one)
    elsewhere = Store(tmp_path / "another" / "store")
    destination = Destination(REGIONS, copy_seconds=30.0)
    done = publish(cloud, two, destination, elsewhere, Report(), version="0.1.0")
    assert done.uploaded is not None
    assert (done.uploaded.parent, done.uploaded.sent) == (first.images["us-east-1"].snapshots[0], 1)
    assert_right(cloud, controlled, two)


def test_documents_are_kept_beside_the_image_in_every_region(
    cloud: Cloud, artifact: Callable[..., Artifact], send: Publish, tmp_path: Path
) -> None:
    documents = {"image-info.json": b"{}", "sbom.spdx.json": b"x" * 3_000_000}
    done = send(replace(artifact("one"), documents=documents))
    for region, image in done.images.items():
        store = Store(tmp_path / region)
        found = fetch_record(cloud, region, image.tags["invar:record"], store, Report())
        assert found is not None
        assert documents.items() <= found.items()


def test_an_altered_record_is_not_believed(
    cloud: Cloud, controlled: Control, artifact: Callable[..., Artifact], send: Publish, events: list[Event]
) -> None:
    send(artifact("one"))
    state = controlled("GET", "state")
    record = next(one for one in state["snapshots"] if "invar:record" in one["tags"] and one["region"] == "us-east-1")
    controlled("POST", "alter", {"snapshot": record["id"], "block": 0, "offset": 100})
    two = artifact("two", {40: 4000})
    elsewhere = Store(two.path.parent / "another" / "store")
    report = Report(events.append)
    done = publish(cloud, two, Destination(REGIONS, copy_seconds=30.0), elsewhere, report, version="0.1.0")
    assert done.uploaded is not None
    assert done.uploaded.parent is None
    assert any(isinstance(event, Warned) and "altered" in event.text for event in events)


def test_a_region_that_fails_leaves_the_others_and_is_finished_later(
    cloud: Cloud, controlled: Control, artifact: Callable[..., Artifact], send: Publish
) -> None:
    one = artifact("one")
    controlled("POST", "regions", {"region": "eu-west-1", "down": True})
    first = send(one)
    assert (tuple(first.images), tuple(first.failed)) == (("us-east-1", "ap-southeast-2"), ("eu-west-1",))
    assert "eu-west-1" in (first.failed["eu-west-1"].where or "")
    controlled("DELETE", "faults")
    controlled("DELETE", "counters")
    again = send(one)
    assert tuple(again.images) == REGIONS
    assert controlled("GET", "state")["counters"]["calls"]["CopyImage"] == 1
    assert_right(cloud, controlled, one)


def test_when_the_first_region_is_down_another_takes_the_upload(
    cloud: Cloud, controlled: Control, artifact: Callable[..., Artifact], send: Publish
) -> None:
    one = artifact("one")
    controlled("POST", "regions", {"region": "us-east-1", "down": True})
    assert tuple(send(one).failed) == ("us-east-1",)
    controlled("DELETE", "faults")
    assert tuple(send(one).images) == REGIONS
    assert_right(cloud, controlled, one)


def test_no_region_at_all_is_an_error(controlled: Control, artifact: Callable[..., Artifact], send: Publish) -> None:
    with pytest.raises(InvarError):
        send(artifact("one"), ())
    controlled("POST", "regions", {"region": "us-east-1", "down": True})
    with pytest.raises(InvarError) as caught:
        send(artifact("one"), ("us-east-1",))
    assert "us-east-1" in (caught.value.where or "")


def test_a_failed_copy_is_replaced_by_the_next_run(
    cloud: Cloud, controlled: Control, artifact: Callable[..., Artifact], send: Publish
) -> None:
    one = artifact("one")
    controlled("POST", "faults", {"operation": "CopyImage", "region": "eu-west-1", "action": "fail_copy"})
    assert tuple(send(one).failed) == ("eu-west-1",)
    assert tuple(send(one).images) == REGIONS
    assert_right(cloud, controlled, one)


def test_the_copy_quota_is_waited_for(
    cloud: Cloud, controlled: Control, artifact: Callable[..., Artifact], send: Publish
) -> None:
    full = {"action": "error", "code": "ResourceLimitExceeded", "message": "too many copies", "status": 400}
    controlled("POST", "faults", {"operation": "CopyImage", "region": "eu-west-1", "times": 2, **full})
    one = artifact("one")
    assert send(one).failed == {}
    assert_right(cloud, controlled, one)


def test_images_are_shared_dated_encrypted_and_sized_as_asked(
    cloud: Cloud, artifact: Callable[..., Artifact], send: Publish
) -> None:
    keys = {region: f"arn:aws:kms:{region}:123456789012:key/mine" for region in REGIONS}
    done = send(
        artifact("one"),
        accounts=["111122223333"],
        kms_keys=keys,
        volume_gib=9,
        iops=5000,
        deprecate_after=timedelta(days=30),
    )
    for region, image in done.images.items():
        ec2 = cloud.ec2(region)
        shown = ec2.describe_images(ImageIds=[image.id])["Images"][0]
        ebs = shown["BlockDeviceMappings"][0]["Ebs"]
        assert (ebs["VolumeSize"], ebs["Iops"], ebs["Encrypted"]) == (9, 5000, True)
        snapshot = ec2.describe_snapshots(SnapshotIds=[ebs["SnapshotId"]])["Snapshots"][0]
        assert snapshot["KmsKeyId"] == keys[region]
        dated = datetime.fromisoformat(shown["DeprecationTime"]) - datetime.fromisoformat(shown["CreationDate"])
        assert abs(dated - timedelta(days=30)) < timedelta(minutes=2)
        permissions = ec2.describe_image_attribute(ImageId=image.id, Attribute="launchPermission")
        assert permissions["LaunchPermissions"] == [{"UserId": "111122223333"}]


def test_twenty_regions(cloud: Cloud, controlled: Control, artifact: Callable[..., Artifact], send: Publish) -> None:
    names = """
        us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 sa-east-1 eu-west-1 eu-west-2 eu-west-3 eu-central-1
        eu-north-1 eu-south-1 af-south-1 me-south-1 ap-south-1 ap-east-1 ap-southeast-1 ap-southeast-2 ap-northeast-1
        ap-northeast-2
    """
    regions = tuple(names.split())
    one = artifact("one")
    assert tuple(send(one, regions).images) == regions
    assert_right(cloud, controlled, one, regions)


PUBLISHER = """
import json, sys
from pathlib import Path
from invar.aws.blocks import encode, map_blocks
from invar.aws.client import Cloud
from invar.core.events import Event, Report, Warned
from invar.fleet.publish import Artifact, Destination, publish
from invar.fleet.tags import Identity
from invar.store.objects import Store
url, image, home, identity, regions = sys.argv[1:]
path = Path(image)
artifact = Artifact(path, map_blocks(path, Report()), Identity(**json.loads(identity)), "x86_64")
print("ready", flush=True)
destination = Destination(json.loads(regions))
publish(Cloud(endpoint_url=url), artifact, destination, Store(Path(home)), Report(), version="0.1.0")
"""


@pytest.mark.parametrize("seed", range(20))
def test_a_publish_killed_at_any_moment_is_finished_by_the_next(
    cloud: Cloud,
    record: CloudRecord,
    controlled: Control,
    artifact: Callable[..., Artifact],
    send: Publish,
    tmp_path: Path,
    seed: int,
) -> None:
    """SIGKILL while the cloud holds back a call chosen by chance; then run again: one image a region and no orphan."""
    moments = [("PutSnapshotBlock", after) for after in range(0, 60, 5)] + [
        (operation, after)
        for operation, most in (
            ("StartSnapshot", 1), ("CompleteSnapshot", 1), ("RegisterImage", 1), ("CopyImage", 2), ("PutParameter", 3),
            ("DescribeSnapshots", 2),
        )
        for after in range(most)
    ]  # fmt: skip
    operation, after = random.Random(seed).sample(moments, 1)[0]
    controlled("POST", "settings", {"copy_seconds": 0.2})
    fault = {"operation": operation, "after": after, "times": None, "latency": 30.0}
    controlled("POST", "faults", fault)
    one = artifact("one")
    identity = {name: getattr(one.identity, name) for name in Identity.__dataclass_fields__}
    argv = [sys.executable, "-c", PUBLISHER, record.url, str(one.path), str(tmp_path / "home" / "store")]
    argv += [json.dumps(identity), json.dumps(REGIONS)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ}) as process:
        while not controlled("GET", "state")["faults"][0]["struck"]:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    controlled("DELETE", "faults")
    assert tuple(send(one).images) == REGIONS
    assert_right(cloud, controlled, one)


def image(generation: int, state: str = "available", system: str = "s", **changed: Any) -> ImageRecord:
    tags = {"invar:generation": str(generation), "invar:system": system, "invar:blocks": "b"}
    whole = ImageRecord(
        f"ami-{generation}", "r", "n", state, "", "o", "x86_64", "uefi", ("snap-1",), 0.0, None, None, tags
    )
    return replace(whole, **changed)


@pytest.mark.parametrize(
    ("lines", "generation"),
    [
        ([], 1),
        ([[image(1)], [image(1), image(2)]], 3),
        ([[image(1), image(2, system="wanted"), image(3)]], 2),
        ([[image(4, state="failed", system="wanted")], [image(2)]], 3),
        ([[image(1, tags={})]], 1),
    ],
)
def test_the_generation_follows_the_newest_of_any_region(lines: list[list[ImageRecord]], generation: int) -> None:
    assert next_generation(lines, "wanted") == generation


def test_the_parent_is_the_newest_usable_image() -> None:
    images = [
        image(1),
        image(3),
        image(2),
        image(9, state="failed"),
        image(8, snapshots=()),
        image(7, tags={"invar:generation": "7"}),
    ]
    assert [one.id for one in parent_candidates(images)] == ["ami-3", "ami-2", "ami-1"]


def test_names_keep_to_what_aws_allows() -> None:
    identity = Identity("web: größe/1 " + "x" * 200, "d" * 64, "s")
    assert len(image_name(identity)) <= 128
    assert image_name(identity).startswith("invar-web--gr--e/1-")
    assert parameter_name("web: 1/a") == "/invar/web--1-a/ami"
