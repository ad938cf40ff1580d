"""What would be done where: a table of cases, and a plan beside the publish that it foretells."""

from __future__ import annotations

import dataclasses

import pytest

from invar.aws.images import ImageRecord
from invar.fleet.plan import RegionPlan
from invar.fleet.plan_regions import region_plans
from invar.fleet.published import newest
from invar.fleet.tags import CONFIGURATION, GENERATION, SYSTEM


def image(identity: str, system: str, *, state: str = "available", generation: int = 1) -> ImageRecord:
    """An image of a system."""
    tags = {CONFIGURATION: "web", SYSTEM: system, GENERATION: str(generation)}
    return ImageRecord(identity, "r", "n", state, "", "o", "x86_64", "uefi", ("snap-1",), 0.0, None, None, tags)


NEW, OLD = image("ami-1", "new"), image("ami-0", "old")
COPYING = dataclasses.replace(NEW, id="ami-2", state="pending")
FAILED = dataclasses.replace(NEW, state="failed")


@pytest.mark.parametrize(
    ("known", "parameters", "expected"),
    [
        (
            {"a": [], "b": []},
            {},
            [RegionPlan("a", "upload", parent="snap-1", blocks=4), RegionPlan("b", "copy", source="a")],
        ),
        (
            {"a": [OLD], "b": [NEW]},
            {"b": "ami-1"},
            [RegionPlan("a", "copy", source="b"), RegionPlan("b", "nothing", "ami-1")],
        ),
        (
            {"a": [NEW], "b": [COPYING]},
            {"a": "ami-0"},
            [RegionPlan("a", "name", "ami-1"), RegionPlan("b", "wait", "ami-2")],
        ),
        ({"a": [COPYING, NEW]}, {"a": "ami-1"}, [RegionPlan("a", "nothing", "ami-1")]),
        ({"a": [FAILED]}, {}, [RegionPlan("a", "upload", parent="snap-1", blocks=4)]),
        ({}, {}, []),
    ],
)
def test_regions(
    known: dict[str, list[ImageRecord]], parameters: dict[str, str | None], expected: list[RegionPlan]
) -> None:
    assert region_plans(known, "new", parameters, parent="snap-1", blocks=4) == expected


def test_the_newest_is_of_the_highest_generation_that_lives() -> None:
    third = image("ami-3", "x", generation=3)
    gone = image("ami-4", "y", generation=4, state="failed")
    assert newest({"a": [OLD, gone], "b": [third]}) == third
    assert newest({"a": []}) is None
