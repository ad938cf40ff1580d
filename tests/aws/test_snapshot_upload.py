"""Uploads against the local cloud, well and under faults."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invar.aws.blocks import BLOCK, map_blocks
from invar.aws.client import Cloud
from invar.aws.snapshot_read import read_back
from invar.aws.snapshot_start import Parent, Upload
from invar.aws.snapshot_upload import Uploaded, upload
from invar.aws.snapshots import delete_snapshot
from invar.aws.transfer import Limits
from invar.core.errors import InvarError
from invar.core.events import Event, Note, Progress, Report, Warned
from invar.localcloud.record import CloudRecord

REGION = "us-east-1"
Control = Callable[..., dict[str, Any]]
MakeImage = Callable[..., Path]


@pytest.fixture
def request_of(journals: Path) -> Callable[..., Upload]:
    def make(image: Path, **options: Any) -> Upload:
        whole = {"tags": {"invar:configuration": "web"}, "limits": Limits(total=60, stall=30, appear=20)} | options
        return Upload(image, map_blocks(image, Report()), REGION, "a test", journals, **whole)

    return make


def puts(controlled: Control) -> int:
    """How many blocks AWS has taken."""
    done: int = controlled("GET", "state")["counters"]["done"].get("PutSnapshotBlock", 0)
    return done


def only_snapshot(controlled: Control) -> dict[str, Any]:
    """The one snapshot that there is."""
    found: list[dict[str, Any]] = controlled("GET", "state")["snapshots"]
    assert len(found) == 1
    return found[0]


def assert_holds(cloud: Cloud, made: Uploaded, request: Upload) -> None:
    compared = read_back(cloud, REGION, made.snapshot, request.blocks, Report())
    assert compared.same, compared


def test_a_full_upload_sends_what_is_not_zeros_and_nothing_twice(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], events: list[Event]
) -> None:
    request = request_of(make_image("disk.raw", {0: 1, 5: 2, 6: bytes(BLOCK), 255: 3}))
    made = upload(cloud, request, Report(events.append))
    assert (made.sent, made.parent, made.cached, made.volume_gib) == (3, None, False, 1)
    assert_holds(cloud, made, request)
    shown = only_snapshot(controlled)
    assert shown["state"] == "completed"
    assert shown["tags"]["invar:configuration"] == "web"
    assert shown["tags"]["invar:blocks"] == request.blocks.digest
    progress = [event for event in events if isinstance(event, Progress)]
    assert (progress[-1].done, progress[-1].total) == (3 * BLOCK, 3 * BLOCK)
    assert any("MB/s" in event.text for event in events if isinstance(event, Note))


def test_the_second_time_nothing_is_sent(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    request = request_of(make_image("disk.raw", {1: 1}))
    first = upload(cloud, request, report)
    again = upload(cloud, replace(request, tags={"other": "tag"}), report)
    assert (again.snapshot, again.cached, again.sent) == (first.snapshot, True, 0)
    assert puts(controlled) == 1


def test_an_image_of_zeros_is_an_empty_snapshot(
    cloud: Cloud, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    request = request_of(make_image("disk.raw", {}))
    made = upload(cloud, request, report)
    assert made.sent == 0
    assert_holds(cloud, made, request)


def test_a_delta_sends_only_what_differs(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    contents: dict[int, bytes | int] = {index: index + 1 for index in range(200)}
    first = request_of(make_image("one.raw", contents))
    parent = Parent(upload(cloud, first, report).snapshot, first.blocks)
    contents[17] = 9999
    del contents[40]
    contents[210] = 5
    request = request_of(make_image("two.raw", contents), parent=parent)
    controlled("DELETE", "counters")
    made = upload(cloud, request, report)
    assert (made.sent, made.parent) == (3, parent.snapshot)
    assert puts(controlled) == 3
    assert made.bytes_sent < 0.02 * 200 * BLOCK
    assert_holds(cloud, made, request)


def test_an_unusable_parent_means_a_full_upload_with_a_warning(
    cloud: Cloud, make_image: MakeImage, request_of: Callable[..., Upload], events: list[Event], report: Report
) -> None:
    first = request_of(make_image("one.raw", {0: 1, 1: 2}))
    parent = Parent(upload(cloud, first, report).snapshot, first.blocks)
    delete_snapshot(cloud, REGION, parent.snapshot)
    request = request_of(make_image("two.raw", {0: 1, 1: 3}), parent=parent)
    made = upload(cloud, request, report)
    assert (made.sent, made.parent) == (2, None)
    assert_holds(cloud, made, request)
    assert any(parent.snapshot in event.text for event in events if isinstance(event, Warned))


def test_encryption_uses_the_given_key(
    cloud: Cloud, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/mine"
    request = request_of(make_image("disk.raw", {0: 1}))
    plain = upload(cloud, request, report)
    secret = upload(cloud, replace(request, kms_key=key), report)
    assert plain.snapshot != secret.snapshot
    found = cloud.ec2(REGION).describe_snapshots(SnapshotIds=[secret.snapshot])["Snapshots"][0]
    assert found["KmsKeyId"] == key


PASSING_FAULTS: list[dict[str, Any]] = [
    {"action": "error", "code": "RequestThrottledException", "status": 400},
    {"action": "error", "code": "InternalServerException", "status": 500},
    {"action": "drop"},
    {"action": "cut"},
]
UNREAD_BODY = {
    "action": "error",
    "code": "ValidationException",
    "message": "Failed to read block data",
    "status": 400,
    "reason": "INVALID_PARAMETER_VALUE",
}


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("PutSnapshotBlock", UNREAD_BODY),
        *itertools.product(("StartSnapshot", "PutSnapshotBlock", "CompleteSnapshot"), PASSING_FAULTS),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value['action']} {value.get('code', '')}",
)
def test_faults_that_pass_are_survived(
    cloud: Cloud,
    controlled: Control,
    make_image: MakeImage,
    request_of: Callable[..., Upload],
    report: Report,
    operation: str,
    fault: dict[str, Any],
) -> None:
    after = 5 if operation == "PutSnapshotBlock" else 0
    controlled("POST", "faults", {"operation": operation, "after": after, "times": 3, **fault})
    request = request_of(make_image("disk.raw", {index: index + 1 for index in range(40)}))
    made = upload(cloud, request, report)
    controlled("DELETE", "faults")
    assert only_snapshot(controlled)["state"] == "completed"
    assert_holds(cloud, made, request)


def test_throttling_is_adapted_to(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    controlled("POST", "throttle", {"operation": "PutSnapshotBlock", "rate": 80})
    request = request_of(make_image("disk.raw", {index: index + 1 for index in range(120)}))
    made = upload(cloud, request, report)
    assert made.retries > 0
    assert_holds(cloud, made, request)


def test_a_snapshot_that_does_not_exist_yet_is_waited_for(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    controlled("POST", "settings", {"hidden_calls": 30})
    request = request_of(make_image("disk.raw", {index: index + 1 for index in range(20)}))
    made = upload(cloud, request, report)
    assert made.retries >= 30
    assert_holds(cloud, made, request)


def test_a_denied_put_fails_at_once_and_leaves_nothing(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    denied = {"action": "error", "code": "AccessDeniedException", "status": 403, "reason": "UNAUTHORIZED_ACCOUNT"}
    controlled("POST", "faults", {"operation": "PutSnapshotBlock", "after": 7, "times": None, **denied})
    request = request_of(make_image("disk.raw", {index: index + 1 for index in range(100)}))
    with pytest.raises(InvarError) as caught:
        upload(cloud, request, report)
    assert (caught.value.where or "").startswith(f"ebs:PutSnapshotBlock {REGION} snap-")
    assert ", block " in (caught.value.where or "")
    assert controlled("GET", "state")["counters"]["calls"]["PutSnapshotBlock"] < 100
    assert controlled("GET", "state")["snapshots"] == []


def test_a_stalled_upload_ends_and_a_rerun_continues_it(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    busy = {"operation": "PutSnapshotBlock", "action": "error", "code": "InternalServerException"}
    controlled("POST", "faults", {**busy, "after": 25, "times": None})
    request = request_of(make_image("disk.raw", {index: index + 1 for index in range(60)}))
    with pytest.raises(InvarError) as caught:
        upload(cloud, replace(request, limits=Limits(stall=0.5)), report)
    assert "InternalServerException" in (caught.value.why or "")
    controlled("DELETE", "faults")
    made = upload(cloud, request, report)
    assert (made.sent, made.resumed) == (35, 25)
    assert puts(controlled) == 60
    assert only_snapshot(controlled)["id"] == made.snapshot
    assert_holds(cloud, made, request)


def test_without_its_journal_an_upload_is_continued_by_putting_again(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], journals: Path
) -> None:
    busy = {"operation": "PutSnapshotBlock", "action": "error", "code": "InternalServerException"}
    controlled("POST", "faults", {**busy, "after": 10, "times": None})
    request = request_of(make_image("disk.raw", {index: index + 1 for index in range(30)}))
    with pytest.raises(InvarError):
        upload(cloud, replace(request, limits=Limits(stall=0.3)), Report())
    controlled("DELETE", "faults")
    for path in journals.iterdir():
        path.unlink()
    made = upload(cloud, request, Report())
    assert (made.sent, made.resumed) == (30, 0)
    assert only_snapshot(controlled)["id"] == made.snapshot
    assert_holds(cloud, made, request)


def test_a_snapshot_that_aws_gave_up_is_replaced(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    busy = {"operation": "PutSnapshotBlock", "action": "error", "code": "InternalServerException"}
    controlled("POST", "faults", {**busy, "after": 10, "times": None})
    request = request_of(make_image("disk.raw", {index: index + 1 for index in range(30)}))
    with pytest.raises(InvarError):
        upload(cloud, replace(request, limits=Limits(stall=0.3)), report)
    controlled("DELETE", "faults")
    controlled("POST", "clock", {"advance": 2 * 3600})
    made = upload(cloud, request, report)
    assert made.sent == 30
    assert only_snapshot(controlled)["id"] == made.snapshot
    assert_holds(cloud, made, request)


def test_an_image_that_changes_meanwhile_is_noticed(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    image = make_image("disk.raw", {0: 1, 3: 2})
    request = request_of(image)
    with image.open("r+b") as file:
        file.seek(3 * BLOCK)
        file.write(b"changed")
    with pytest.raises(InvarError) as caught:
        upload(cloud, request, report)
    assert "changed while it was uploaded" in caught.value.what
    assert (caught.value.where or "").endswith("block 3")
    assert controlled("GET", "state")["snapshots"] == []


def test_a_region_that_is_down_is_an_error_that_names_it(
    cloud: Cloud, controlled: Control, make_image: MakeImage, request_of: Callable[..., Upload], report: Report
) -> None:
    request = request_of(make_image("disk.raw", {0: 1}))
    controlled("POST", "regions", {"region": REGION, "down": True})
    with pytest.raises(InvarError) as caught:
        upload(cloud, request, report)
    assert REGION in (caught.value.where or "")


UPLOADER = """
import sys
from pathlib import Path
from invar.aws.blocks import map_blocks
from invar.aws.client import Cloud
from invar.aws.snapshot_start import Upload
from invar.aws.snapshot_upload import upload
from invar.core.events import Report
url, image, journals = sys.argv[1:]
blocks = map_blocks(Path(image), Report())
print("ready", flush=True)
upload(Cloud(endpoint_url=url), Upload(Path(image), blocks, "us-east-1", "a test", Path(journals)), Report())
"""


@pytest.mark.parametrize("moment", [0, 1, 13, 37, 59, 60])
def test_a_killed_upload_is_finished_by_the_next(
    cloud: Cloud,
    record: CloudRecord,
    controlled: Control,
    make_image: MakeImage,
    request_of: Callable[..., Upload],
    journals: Path,
    moment: int,
) -> None:
    """SIGKILL once AWS has taken `moment` of 60 blocks; then run again: one correct snapshot, and no second one."""
    image = make_image("disk.raw", {index: index + 1 for index in range(60)})
    hold = {"times": None, "latency": 30.0}
    if moment < 60:
        controlled("POST", "faults", {"operation": "PutSnapshotBlock", "after": moment, **hold})
    else:
        controlled("POST", "faults", {"operation": "CompleteSnapshot", **hold})
    argv = [sys.executable, "-c", UPLOADER, record.url, str(image), str(journals)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        waiting = "CompleteSnapshot" if moment == 60 else "PutSnapshotBlock"
        while not _held(controlled, waiting, moment):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    controlled("DELETE", "faults")
    request = request_of(image, tags={})
    made = upload(cloud, request, Report())
    assert made.resumed <= moment
    assert made.sent + made.resumed == 60
    assert only_snapshot(controlled)["id"] == made.snapshot
    assert_holds(cloud, made, request)
    assert list(journals.iterdir()) == []


def _held(controlled: Control, operation: str, moment: int) -> bool:
    counters = controlled("GET", "state")["counters"]
    done = counters["done"].get("PutSnapshotBlock", 0)
    return done >= moment and counters["calls"].get(operation, 0) > (moment if operation == "PutSnapshotBlock" else 0)


def test_two_uploads_of_the_same_image_at_once_make_one_snapshot(
    cloud: Cloud,
    record: CloudRecord,
    controlled: Control,
    make_image: MakeImage,
    request_of: Callable[..., Upload],
    tmp_path: Path,
) -> None:
    image = make_image("disk.raw", {index: index + 1 for index in range(60)})
    controlled("POST", "throttle", {"operation": "PutSnapshotBlock", "rate": 60})
    argv = [sys.executable, "-c", UPLOADER, record.url, str(image), str(tmp_path / "other-journals")]
    with subprocess.Popen(argv, env={**os.environ}, stdout=subprocess.DEVNULL) as process:
        request = request_of(image, tags={})
        made = upload(cloud, request, Report())
        assert process.wait() == 0
    assert only_snapshot(controlled)["id"] == made.snapshot
    assert_holds(cloud, made, request)
