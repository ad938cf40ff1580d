"""How progress is told: amounts, rates and what is left."""

from __future__ import annotations

import pytest

from invar.cli.terminal import Pace, remaining
from invar.core.events import Progress


def test_a_transfer_tells_its_rate_and_what_is_left() -> None:
    pace = Pace()
    assert pace.told(Progress("upload", 0, 100_000_000, "bytes"), 10.0) == ""
    assert pace.told(Progress("upload", 40_000_000, 100_000_000, "bytes"), 12.0) == ", 20.0 MB/s, 3 s left"


def test_what_an_earlier_run_did_is_not_speed() -> None:
    pace = Pace()
    pace.told(Progress("upload", 90_000_000, 100_000_000, "bytes"), 0.0)
    assert pace.told(Progress("upload", 91_000_000, 100_000_000, "bytes"), 1.0) == ", 1.0 MB/s, 9 s left"


def test_without_a_total_there_is_a_rate_only() -> None:
    pace = Pace()
    pace.told(Progress("fetch", 0, None, "bytes"), 0.0)
    assert pace.told(Progress("fetch", 4_000_000, None, "bytes"), 2.0) == ", 2.0 MB/s"


def test_other_units_a_standstill_and_the_first_moment_tell_nothing() -> None:
    pace = Pace()
    pace.told(Progress("a", 1, 9, "packages"), 0.0)
    assert pace.told(Progress("a", 5, 9, "packages"), 9.0) == ""
    pace.told(Progress("b", 5, 9, "bytes"), 0.0)
    assert pace.told(Progress("b", 5, 9, "bytes"), 9.0) == ""
    assert pace.told(Progress("b", 6, 9, "bytes"), 0.1) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (8.4, "8 s"), (89, "89 s"), (95, "2 min"), (5350, "89 min"), (7500, "2 h 5 min")]
)
def test_remaining_time(seconds: float, text: str) -> None:
    assert remaining(seconds) == text
