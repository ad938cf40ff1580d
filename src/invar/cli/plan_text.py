"""A plan as text for people."""

from __future__ import annotations

from collections.abc import Iterator

import click

from invar.cli.compare_text import comparison_lines, row, section
from invar.fleet.plan import CloudPlan, Plan, RegionPlan
from invar.fleet.plan_fleets import FleetPlan

MARKS = {"upload": "+", "copy": "+", "wait": "~", "name": "~", "nothing": "=", "unreachable": "!"}


def plan_lines(plan: Plan, *, full: bool) -> Iterator[str]:
    """The comparison, the regions, and one line that sums it up."""
    if plan.comparison is not None:
        yield from comparison_lines(plan.comparison, full=full)
    else:
        yield from _first(plan)
    if plan.cloud is not None:
        yield from section("Regions", _regions(plan.cloud))
    if plan.fleets:
        yield from section("Fleets", _fleets(plan.fleets))
    yield ""
    yield click.style(_summary(plan), bold=True)


def _fleets(fleets: tuple[FleetPlan, ...]) -> Iterator[str]:
    for one in fleets:
        if one.under_way is not None:
            yield f"{one.fleet}  {one.under_way}: invar status shows it"
        if one.generation is None:
            yield f"{one.fleet}  runs nothing yet"
        elif one.rolls:
            counts = ", ".join(f"{count} in {region}" for region, count in one.instances.items())
            why = "" if one.system_digest != one.after else ", for its fleet.nix asks for another launch template"
            yield f"{one.fleet}  generation {one.generation}: a rollout replaces {counts}{why}"
        else:
            yield f"{one.fleet}  generation {one.generation} runs it already"
        for region, action in one.groups.items():
            settings = one.settings.get(region, {})
            listed = "; ".join(f"{name} {now} → {declared}" for name, (now, declared) in settings.items())
            yield f"  {region}  invar fleet apply would {action} the group{f' ({listed})' if listed else ''}"


def _first(plan: Plan) -> Iterator[str]:
    new = plan.new
    name = f"system {new.system_digest[:12]}" if new.system_digest else f"spec {new.spec_digest[:12]}"
    yield click.style(f"+++ {new.label}  {name}", bold=True)
    yield ""
    what = "no last build" if plan.cloud is None else "no published generation"
    yield f"there is {what} to compare with: everything is new"
    if new.lock is not None:
        yield f"  {len(new.lock.image)} packages, archive of {new.lock.date}"
    if new.closure is not None:
        yield f"  {len(new.closure.paths)} store paths, {new.closure.toplevel or 'of an unknown system'}"
    if new.blocks is not None:
        yield f"  {len(new.blocks.digests)} blocks of 512 KiB ({len(new.blocks.digests) * 0.524288:.1f} MB)"


def _regions(cloud: CloudPlan) -> Iterator[str]:
    width = max((len(one.region) for one in cloud.regions), default=0)
    for one in cloud.regions:
        yield row(MARKS[one.action], f"{one.region:<{width}}  {_region(one)}")


def _region(one: RegionPlan) -> str:
    match one.action:
        case "upload":
            size = "an image that is not built yet" if one.bytes is None else f"{one.blocks} blocks ({_mb(one.bytes)})"
            over = f" over {one.parent}" if one.parent else ""
            return f"upload {size}{over}, register an image"
        case "copy":
            return f"copy from {one.source}"
        case "wait":
            return f"{one.image} is being copied"
        case "name":
            return f"{one.image} is there; point the SSM parameter to it"
        case "nothing":
            return f"{one.image} is there"
        case "unreachable":
            return f"unreachable: {one.why}"


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _summary(plan: Plan) -> str:
    if not plan.changes:
        return "nothing would change"
    if plan.cloud is None:
        return "this is what a build would change"
    made = sum(one.action in ("upload", "copy") for one in plan.cloud.regions)
    images = f"{made} image{'' if made == 1 else 's'}"
    if plan.cloud.before == 0:
        return f"generation {plan.cloud.after} would be the first: {images} to make"
    if made:
        return f"generation {plan.cloud.before} → {plan.cloud.after}: {images} to make"
    return f"generation {plan.cloud.after}: no image to make"
