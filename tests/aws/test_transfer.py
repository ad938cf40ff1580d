"""Moving many blocks: repeats, gives up, keeps its deadlines, adapts its pace."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, NoCredentialsError

from invar.aws.errors import told, trouble
from invar.aws.pace import LONGEST_WAIT, MOST, Pace, wait_before
from invar.aws.transfer import Limits, patiently, transfer
from invar.core.errors import InvarError


def refusal(code: str, message: str = "no", *, status: int = 400, reason: str | None = None) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer | ({"Reason": reason} if reason else {}), "PutSnapshotBlock")


def run(items: list[int], work: Callable[[int], None], **options: Any) -> int:
    return transfer(items, work, where=lambda item: f"ebs:Put here, block {item}", **({"limits": Limits()} | options))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal("RequestThrottledException"), "throttled"),
        (refusal("RequestLimitExceeded", status=503), "throttled"),
        (refusal("InternalServerException", status=500), "transient"),
        (refusal("Whatever", status=502), "transient"),
        (refusal("ValidationException", "Failed to read block data", reason="INVALID_PARAMETER_VALUE"), "transient"),
        (refusal("ValidationException", reason="WRITE_REQUEST_TIMEOUT"), "transient"),
        (refusal("ValidationException", "The snapshot 'snap-1' does not exist."), "missing"),
        (refusal("ResourceNotFoundException", status=404), "missing"),
        (refusal("InvalidSnapshot.NotFound"), "missing"),
        (refusal("ValidationException", reason="INVALID_BLOCK"), "refused"),
        (refusal("AccessDeniedException", status=403), "refused"),
        (refusal("ServiceQuotaExceededException", status=402), "refused"),
        (ConnectionClosedError(endpoint_url="http://x"), "transient"),
        (NoCredentialsError(), "refused"),
        (ValueError(), "refused"),
    ],
    ids=str,
)
def test_troubles_are_told_apart(error: Exception, kind: str) -> None:
    assert trouble(error) == kind


def test_a_denied_call_names_the_call_and_the_way_out() -> None:
    error = told(refusal("AccessDeniedException", "no", reason="UNAUTHORIZED_ACCOUNT"), "ebs:StartSnapshot us-east-1")
    assert error.where == "ebs:StartSnapshot us-east-1"
    assert error.why == "AccessDeniedException (UNAUTHORIZED_ACCOUNT): no"
    assert error.hint is not None
    assert "allow ebs:StartSnapshot" in error.hint


def test_every_item_is_done_once() -> None:
    done: list[int] = []
    assert run(list(range(500)), done.append) == 0
    assert sorted(done) == list(range(500))


def test_no_items_are_no_work() -> None:
    assert run([], lambda item: None) == 0


@pytest.mark.parametrize(
    "error", [refusal("RequestThrottledException"), refusal("X", status=500), ConnectionClosedError(endpoint_url="x")]
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    lock, failed = threading.Lock(), set[int]()

    def work(item: int) -> None:
        with lock:
            first = item % 7 == 0 and item not in failed
            failed.add(item)
        if first:
            raise error

    assert run(list(range(50)), work) == 8


def test_a_refusal_ends_it_at_once_and_names_the_block() -> None:
    calls: list[int] = []

    def work(item: int) -> None:
        calls.append(item)
        if item == 3:
            raise refusal("AccessDeniedException", status=403)

    with pytest.raises(InvarError) as caught:
        run(list(range(10000)), work)
    assert caught.value.where == "ebs:Put here, block 3"
    assert isinstance(caught.value.__cause__, ClientError)
    assert calls.count(3) == 1
    assert len(calls) < 10000


def test_missing_is_waited_for_only_where_it_is_expected() -> None:
    answers = iter([refusal("ResourceNotFoundException"), refusal("ResourceNotFoundException"), None])

    def work() -> str:
        error = next(answers)
        if error is not None:
            raise error
        return "there"

    assert patiently(work, where="x", limits=Limits(), expect_missing=True) == "there"

    def never() -> None:
        raise refusal("ResourceNotFoundException", status=404)

    with pytest.raises(InvarError):
        patiently(never, where="x", limits=Limits())
    with pytest.raises(InvarError):
        patiently(never, where="x", limits=Limits(appear=0.2), expect_missing=True)


@pytest.mark.parametrize("limits", [Limits(stall=0.3), Limits(total=0.3)])
def test_time_that_runs_out_is_an_error_with_the_last_answer(limits: Limits) -> None:
    def never(item: int) -> None:
        raise refusal("InternalServerException", "busy", status=500)

    with pytest.raises(InvarError) as caught:
        run([1, 2, 3], never, limits=limits)
    assert "busy" in (caught.value.why or "")
    assert "block" in (caught.value.where or "")


def test_a_fault_of_the_work_itself_passes_through() -> None:
    def broken(item: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run([1], broken)


def test_the_pace_bounds_what_is_under_way() -> None:
    lock = threading.Lock()
    active = most = 0

    def work(item: int) -> None:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        threading.Event().wait(0.001)
        with lock:
            active -= 1

    run(list(range(200)), work, pace=Pace(first=3, most=3))
    assert most <= 3


def test_the_pace_rises_while_that_helps() -> None:
    pace = Pace(first=4)
    now = 0.0
    for _ in range(5000):
        now += 1.0 / min(pace.limit, 20)
        pace.succeeded(now)
    assert 16 <= pace.limit <= 48


def test_the_pace_halves_once_for_one_burst_and_rises_again() -> None:
    pace = Pace(first=32)
    for _ in range(20):
        pace.throttled(10.0)
    assert pace.limit == 16
    pace.throttled(11.0)
    assert pace.limit == 8
    now = 11.0
    for _ in range(2000):
        now += 1.0 / pace.limit
        pace.succeeded(now)
    assert pace.limit == MOST


def test_the_pace_never_stops() -> None:
    pace = Pace()
    for second in range(20):
        pace.throttled(float(second))
    assert pace.limit == 1


def test_waits_grow_and_are_bounded_and_jittered() -> None:
    chance = random.Random(1)
    first = [wait_before(1, chance) for _ in range(100)]
    late = [wait_before(50, chance) for _ in range(100)]
    assert max(first) <= 0.1
    assert max(late) <= LONGEST_WAIT
    assert len(set(late)) == 100
