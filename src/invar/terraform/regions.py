"""The attribute `regions`: what can be wrong with it, before and after the account is asked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from invar.terraform.diagnostics import Diagnostic

REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")


def region_faults(regions: Any) -> Iterator[Diagnostic]:
    """Faults of the attribute's value, as far as it is known."""
    if not isinstance(regions, list):
        return
    if not regions:
        yield Diagnostic("No region", "Name at least one region.", ("regions",))
    for index, region in enumerate(regions):
        if isinstance(region, str) and not REGION.fullmatch(region):
            yield Diagnostic(f"{region!r} is no region", "They look like eu-west-1.", ("regions", index))
        if isinstance(region, str) and region in regions[:index]:
            yield Diagnostic(f"{region} is named twice", "", ("regions", index))


def not_enabled(places: Mapping[str, tuple[str | int, ...]], enabled: Sequence[str]) -> tuple[Diagnostic, ...]:
    """A fault for each region that the account cannot use, at its place."""
    return tuple(
        Diagnostic(
            f"There is no region {region} for this account",
            _near(region, enabled) + "Regions that are off by default are enabled in the account's settings.",
            place,
        )
        for region, place in places.items()
        if region not in enabled
    )


def _near(region: str, enabled: Sequence[str]) -> str:
    near = difflib.get_close_matches(region, enabled, 3, 0.8)
    return f"Did you mean {' or '.join(near)}? " if near else ""
