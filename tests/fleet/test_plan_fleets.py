"""What a plan tells of the fleets beside a configuration, against groups in the local cloud."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.simulation import NAME, REGIONS, World, digest, fleet, world_in
from invar.cli.plan_text import plan_lines
from invar.core.events import Report
from invar.fleet.apply import create_missing
from invar.fleet.begin import begin_creation, begin_rollout
from invar.fleet.ledger import Ledger, Mark
from invar.fleet.plan import Plan
from invar.fleet.plan_fleets import FleetPlan, plan_fleet, plan_fleets
from invar.fleet.spec import FleetSpec, Spot
from invar.fleet.subjects import Subject
from systems import EMPTY

TWO = REGIONS[:2]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("plan")) as made:
        yield made


@pytest.fixture
def spec(world: World) -> FleetSpec:
    world.reset()
    world.publish(1)
    return fleet(size=2, regions=TWO, parameters={"role": "web"})


def settle(world: World, spec: FleetSpec) -> Ledger:
    """Make its groups, of generation 1."""
    ledger = Ledger(world.aws, spec.home, spec.name)
    entry = begin_creation(world.aws, spec, ledger, "maker", world.clock.now(), {})
    create_missing(world.aws, spec, {}, entry.deployments)
    world.wait(120)
    ledger.close(entry.number, Mark("done", "maker", world.clock.now()))
    return ledger


def lines(plan: FleetPlan) -> str:
    """As `invar plan` prints it."""
    subject = Subject("web", NAME, EMPTY.spec_digest, EMPTY, system_digest=plan.after)
    return "\n".join(plan_lines(Plan(subject, None, None, (plan,)), full=False))


def test_a_fleet_that_is_not_there_yet(world: World, spec: FleetSpec) -> None:
    plan = plan_fleet(world.aws, spec, digest(1))
    assert (plan.generation, plan.rolls, plan.changes) == (None, False, True)
    assert plan.groups == dict.fromkeys(TWO, "create") and plan.instances == {}
    assert "web  runs nothing yet" in lines(plan) and "would create the group" in lines(plan)


def test_a_fleet_that_runs_it_already(world: World, spec: FleetSpec) -> None:
    settle(world, spec)
    plan = plan_fleet(world.aws, spec, digest(1))
    assert not plan.changes and plan.generation == 1
    assert "generation 1 runs it already" in lines(plan)


@pytest.mark.parametrize("after", [digest(2), None])
def test_another_system_replaces_every_instance(world: World, spec: FleetSpec, after: str | None) -> None:
    settle(world, spec)
    plan = plan_fleet(world.aws, spec, after)
    assert plan.rolls and plan.instances == dict.fromkeys(TWO, 2) and plan.groups == {}
    assert f"a rollout replaces 2 in {TWO[0]}, 2 in {TWO[1]}" in lines(plan)


def test_other_parameters_or_types_replace_instances_too(world: World, spec: FleetSpec) -> None:
    settle(world, spec)
    for other in (
        replace(spec, parameters={"role": "db"}),
        replace(spec, instance_types=("t3.large",)),
        replace(spec, instance_types=(*spec.instance_types, "t3.large")),
        replace(spec, spot=Spot(20, 1, "capacity-optimized")),
        replace(spec, regions={**spec.regions, TWO[1]: replace(spec.regions[TWO[1]], security_groups=("sg-1",))}),
    ):
        plan = plan_fleet(world.aws, other, digest(1))
        assert plan.rolls and plan.launch == (TWO[1:] if other.regions != spec.regions else TWO)
        assert "for its fleet.nix asks for another launch template" in lines(plan)


def test_a_group_that_is_to_be_changed_names_what(world: World, spec: FleetSpec) -> None:
    settle(world, spec)
    plan = plan_fleet(world.aws, replace(spec, max=9), digest(1))
    assert plan.changes and not plan.rolls
    assert plan.groups == dict.fromkeys(TWO, "update")
    assert plan.settings == {key: {"MaxSize": (6, 9)} for key in TWO}
    assert f"{TWO[0]}  invar fleet apply would update the group (MaxSize 6 → 9)" in lines(plan)


def test_another_region_is_one_more_group(world: World, spec: FleetSpec) -> None:
    settle(world, spec)
    more = fleet(size=2, regions=REGIONS, parameters={"role": "web"})
    plan = plan_fleet(world.aws, more, digest(1))
    assert plan.groups == {REGIONS[2]: "create"} and not plan.rolls


def test_a_rollout_that_is_under_way_is_told(world: World, spec: FleetSpec) -> None:
    ledger = settle(world, spec)
    world.publish(2)
    begin_rollout(world.aws, spec, ledger, "maker", world.clock.now())
    plan = plan_fleet(world.aws, spec, digest(2))
    assert plan.under_way == "generation 2 is under way" and plan.rolls
    assert "web  generation 2 is under way: invar status shows it" in lines(plan)


FLEETS = """{
  fleets.web = { regions.us-east-1.zones = [ "us-east-1a" ]; };
  fleets.shop = { configuration = "shop"; regions.us-east-1.zones = [ "us-east-1a" ]; };
}
"""


def test_only_the_configurations_own_fleets_count(world: World, spec: FleetSpec, tmp_path: Path) -> None:
    (tmp_path / "configuration.nix").write_text("{ }\n")

    def planned(place: Path, configuration: str) -> list[str]:
        asked = (world.aws, place, configuration, digest(1), lambda path: NAME, Report())
        return [one.fleet for one in plan_fleets(*asked, cache_dir=None)]

    assert planned(tmp_path, NAME) == []
    (tmp_path / "fleet.nix").write_text(FLEETS)
    assert planned(tmp_path, NAME) == ["web"]
    assert planned(tmp_path / "configuration.nix", "shop") == ["shop"]
    assert planned(tmp_path, "other") == []
