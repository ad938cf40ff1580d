"""AMIs and parameters: every call does what it says, and nothing the second time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from invar.aws.blocks import map_blocks
from invar.aws.client import Cloud
from invar.aws.images import (
    Registration,
    RootVolume,
    copy_image,
    deprecate_image,
    deregister_image,
    describe_image,
    find_images,
    register_image,
    share_image,
    wait_available,
)
from invar.aws.parameters import delete_parameter, get_parameter, list_parameters, put_parameter
from invar.aws.snapshot_start import Upload
from invar.aws.snapshot_upload import upload
from invar.aws.snapshots import delete_snapshot, find_snapshots
from invar.core.errors import InvarError
from invar.core.events import Report

REGION, THERE = "us-east-1", "eu-west-1"
Control = Callable[..., dict[str, Any]]


@pytest.fixture
def registration(cloud: Cloud, make_image: Callable[..., Path], journals: Path) -> Registration:
    image = make_image("disk.raw", {0: 1})
    blocks = map_blocks(image, Report())
    made = upload(cloud, Upload(image, blocks, REGION, "a test", journals), Report())
    root = RootVolume(made.snapshot, gib=8, iops=4000, throughput=250)
    return Registration("invar-web-abc", "the web", "x86_64", root, {"invar:system": "abc", "invar:generation": "1"})


def test_a_registered_image_boots_as_invar_wants(cloud: Cloud, registration: Registration) -> None:
    identity = register_image(cloud, REGION, registration)
    shown = cloud.ec2(REGION).describe_images(ImageIds=[identity])["Images"][0]
    assert (shown["BootMode"], shown["TpmSupport"], shown["ImdsSupport"]) == ("uefi", "v2.0", "v2.0")
    assert (shown["EnaSupport"], shown["VirtualizationType"], shown["Architecture"]) == (True, "hvm", "x86_64")
    ebs = shown["BlockDeviceMappings"][0]["Ebs"]
    assert (ebs["VolumeType"], ebs["VolumeSize"], ebs["Iops"], ebs["Throughput"]) == ("gp3", 8, 4000, 250)
    record = describe_image(cloud, REGION, identity)
    assert record is not None
    assert record.snapshots == (registration.root.snapshot,)
    assert record.tags == dict(registration.tags)


def test_registering_twice_gives_the_same_image(cloud: Cloud, registration: Registration) -> None:
    assert register_image(cloud, REGION, registration) == register_image(cloud, REGION, registration)


def test_a_name_with_other_tags_is_an_error(cloud: Cloud, registration: Registration) -> None:
    identity = register_image(cloud, REGION, registration)
    other = Registration(registration.name, "", "x86_64", registration.root, {"invar:system": "other"})
    with pytest.raises(InvarError) as caught:
        register_image(cloud, REGION, other)
    assert identity in str(caught.value)


def test_a_copy_is_waited_for_and_made_once(cloud: Cloud, registration: Registration, controlled: Control) -> None:
    controlled("POST", "settings", {"copy_seconds": 0.4})
    source = wait_available(cloud, REGION, register_image(cloud, REGION, registration), seconds=20)
    first = copy_image(cloud, source, THERE, snapshot_tags={"invar:blocks": "b"})
    assert copy_image(cloud, source, THERE, snapshot_tags={"invar:blocks": "b"}) == first
    assert copy_image(cloud, source, THERE, snapshot_tags={"invar:blocks": "other"}) == first
    copied = wait_available(cloud, THERE, first, seconds=20)
    assert (copied.source_image, copied.tags) == (source.id, source.tags)
    assert [one.id for one in find_snapshots(cloud, THERE, {"invar:blocks": "b"})] == list(copied.snapshots)


def test_a_failed_copy_says_why(cloud: Cloud, registration: Registration, controlled: Control) -> None:
    controlled("POST", "settings", {"copy_seconds": 0})
    controlled("POST", "faults", {"operation": "CopyImage", "action": "fail_copy", "message": "the key is disabled"})
    source = wait_available(cloud, REGION, register_image(cloud, REGION, registration), seconds=20)
    identity = copy_image(cloud, source, THERE, snapshot_tags={})
    with pytest.raises(InvarError) as caught:
        wait_available(cloud, THERE, identity, seconds=20)
    assert "the key is disabled" in str(caught.value)


def test_images_are_found_by_tags_and_name(cloud: Cloud, registration: Registration) -> None:
    identity = register_image(cloud, REGION, registration)
    assert [one.id for one in find_images(cloud, REGION, tags={"invar:system": "abc"})] == [identity]
    assert [one.id for one in find_images(cloud, REGION, name=registration.name)] == [identity]
    assert find_images(cloud, REGION, tags={"invar:system": "abc", "invar:generation": "2"}) == []
    assert find_images(cloud, THERE, tags={"invar:system": "abc"}) == []


def test_sharing_and_deprecating(cloud: Cloud, registration: Registration) -> None:
    identity = register_image(cloud, REGION, registration)
    unit = "arn:aws:organizations::111122223333:ou/o-abc/ou-1"
    share_image(cloud, REGION, identity, accounts=["111122223333"], organizations=[unit])
    share_image(cloud, REGION, identity)
    attribute = cloud.ec2(REGION).describe_image_attribute(ImageId=identity, Attribute="launchPermission")
    assert attribute["LaunchPermissions"] == [{"UserId": "111122223333"}, {"OrganizationalUnitArn": unit}]
    deprecate_image(cloud, REGION, identity, datetime.now(UTC) + timedelta(days=90))
    record = describe_image(cloud, REGION, identity)
    assert record is not None
    assert record.deprecation is not None


def test_deregistering_takes_the_snapshots_along_and_can_be_repeated(cloud: Cloud, registration: Registration) -> None:
    identity = register_image(cloud, REGION, registration)
    with pytest.raises(InvarError) as caught:
        delete_snapshot(cloud, REGION, registration.root.snapshot)
    assert "deregister" in str(caught.value)
    assert deregister_image(cloud, REGION, identity) == []
    assert deregister_image(cloud, REGION, identity) == []
    assert describe_image(cloud, REGION, identity) is None
    assert delete_snapshot(cloud, REGION, registration.root.snapshot) is False


def test_a_snapshot_that_another_image_uses_is_kept(cloud: Cloud, registration: Registration) -> None:
    first = register_image(cloud, REGION, registration)
    register_image(cloud, REGION, Registration("other-name", "", "x86_64", registration.root))
    assert deregister_image(cloud, REGION, first) == [registration.root.snapshot]


def test_a_parameter_is_written_only_when_it_changes(cloud: Cloud) -> None:
    name = "/invar/production-web/ami"
    assert get_parameter(cloud, REGION, name) is None
    assert put_parameter(cloud, REGION, name, "one", tags={"invar:configuration": "web"})
    assert not put_parameter(cloud, REGION, name, "one")
    assert put_parameter(cloud, REGION, name, "two")
    found = get_parameter(cloud, REGION, name)
    assert found is not None
    assert (found.value, found.version) == ("two", 2)
    assert [one.name for one in list_parameters(cloud, REGION, "/invar/production-web")] == [name]
    assert delete_parameter(cloud, REGION, name)
    assert not delete_parameter(cloud, REGION, name)


def test_no_credentials_is_an_error_with_the_way_out(
    cloud: Cloud, controlled: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(InvarError) as caught:
        find_images(Cloud(endpoint_url="http://127.0.0.1:9"), REGION)
    assert "AWS_PROFILE" in (caught.value.hint or "")


def test_an_unknown_profile_is_an_error() -> None:
    with pytest.raises(InvarError) as caught:
        Cloud(profile="nobody")
    assert "nobody" in str(caught.value)
