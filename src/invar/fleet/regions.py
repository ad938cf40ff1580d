"""Doing the same in many regions at once, where some may fail and the others go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from invar.core.errors import InvarError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcomes(Generic[T]):
    """What came of it, region by region, in the order in which the regions were given."""

    done: dict[str, T]
    failed: dict[str, InvarError]


def everywhere(regions: Sequence[str], work: Callable[[str], T]) -> Outcomes[T]:
    """Call `work` for every region at once and wait for all. An InvarError counts for its region only.

    Other exceptions are raised again, once all regions are through; Ctrl-C ends the wait at once.
    """
    done: dict[str, T] = {}
    failed: dict[str, InvarError] = {}
    faults: list[BaseException] = []

    def one(region: str) -> None:
        try:
            done[region] = work(region)
        except InvarError as error:
            failed[region] = error
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=one, args=(region,), name=region, daemon=True) for region in regions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return Outcomes(
        {region: done[region] for region in regions if region in done},
        {region: failed[region] for region in regions if region in failed},
    )
