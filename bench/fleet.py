"""What a fleet costs: API calls per instance of a rollout, and the time and calls of an audit, at growing sizes.

    .venv/bin/python bench/fleet.py [--rollout 30,60,120] [--audit 500,1500,5000]

Sizes are instances over three regions, simulated in this process under a clock of their own
(tests/fleet/simulation.py): calls are exact, seconds are those of Invar and the local cloud together, without a
network.
"""

# ruff: noqa: E402  (what is imported lies beside the tests, whose directory has to be on the path first)
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent / "tests")  # in place of bench, where "fleet" is this file

from fleet.simulation import REGIONS, World, fleet, world_in
from invar.core.events import Report
from invar.fleet.apply import create_missing
from invar.fleet.audit import audit_fleet
from invar.fleet.begin import begin_creation, begin_rollout
from invar.fleet.ledger import Ledger, Mark
from invar.fleet.rollout import drive
from invar.fleet.spec import FleetSpec


def created(world: World, size: int) -> tuple[FleetSpec, Ledger]:
    """A fleet of `size` instances that all run generation 1."""
    world.reset()
    world.publish(1)
    spec = fleet(size=size // len(REGIONS), regions=REGIONS, max_healthy=110, canary=10)
    ledger = Ledger(world.aws, spec.home, spec.name)
    entry = begin_creation(world.aws, spec, ledger, "bench", world.clock.now(), {})
    create_missing(world.aws, spec, {}, entry.deployments)
    world.wait(120)
    ledger.close(entry.number, Mark("done", "bench", world.clock.now()))
    return spec, ledger


def rollout(world: World, size: int) -> None:
    """One rollout: calls per instance."""
    spec, ledger = created(world, size)
    world.publish(2)
    calls, begun, clock = world.aws.calls, time.perf_counter(), world.clock.now()
    entry = begin_rollout(world.aws, spec, ledger, "bench", world.clock.now())
    assert entry is not None
    result = drive(world.aws, spec.group, ledger, entry.number, "bench", Report(), times=world.times())
    assert result.good
    calls = world.aws.calls - calls
    print(
        f"rollout  {size:>5} instances  {calls:>6} calls  {calls / size:5.2f} per instance  "
        f"{time.perf_counter() - begun:7.1f} s here  {world.clock.now() - clock:6.0f} s there",
        flush=True,
    )


def audit(world: World, size: int) -> None:
    """One audit: calls, and seconds per 1,000 instances."""
    spec, ledger = created(world, size)
    for ask in (True, False):
        calls, begun = world.aws.calls, time.perf_counter()
        found = audit_fleet(world.aws, spec, ledger, Report(), world.clock.now, ask=ask)
        seconds, calls = time.perf_counter() - begun, world.aws.calls - calls
        assert not found.drift and len(found.instances) == spec.min * len(REGIONS)
        print(
            f"audit    {size:>5} instances  {calls:>6} calls  {calls / size:5.2f} per instance  {seconds:7.1f} s  "
            f"{1000 * seconds / size:6.2f} ms per instance{'' if ask else '  (--no-ask)'}",
            flush=True,
        )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollout", default="30,60,120")
    parser.add_argument("--audit", default="500,1500,5000")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, world_in(Path(directory)) as world:
        for size in filter(None, given.rollout.split(",")):
            rollout(world, int(size))
        for size in filter(None, given.audit.split(",")):
            audit(world, int(size))


if __name__ == "__main__":
    main()
