"""What is wrong with a fleet as a whole, beyond its options' types: (option, problem, hint). Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from invar.aws.regions import known_regions
from invar.fleet.spec import FleetSpec

Problem = tuple[str, str, str | None]
"""The option that it is said at, below the fleet's; what is wrong; and what to do."""

NAME = re.compile(r"[a-z][a-z0-9-]{0,49}")
REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")
INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
RESERVED = ("aws:", "invar:")


def problems(spec: FleetSpec) -> Iterator[Problem]:
    """Everything that is wrong, the gravest first."""
    if not NAME.fullmatch(spec.name):
        yield "", f"{spec.name!r} cannot be a fleet's name", "lower-case letters, digits and -, 50 at most"
    if not spec.configuration or "/" in spec.configuration or spec.configuration.endswith(".nix"):
        hint = "a file is written as a path, without quotes: configuration = ./configuration.nix;"
        yield "configuration", f"{spec.configuration!r} is no published configuration's name", hint
    if not spec.regions:
        yield "regions", "the fleet has no region", 'regions.eu-west-1.subnets = [ "subnet-..." ];'
    yield from _region_names(spec)
    for region in spec.regions:
        yield from _network(spec, region)
        yield from _size(spec, region)
    yield from _instances(spec)
    yield from _rollout(spec)


def _region_names(spec: FleetSpec) -> Iterator[Problem]:
    named = [
        *((f"regions.{one}", one) for one in spec.regions),
        *(("rollout.regions", one) for one in spec.rollout.regions),
    ]
    if spec.ledger_region is not None:
        named.append(("ledgerRegion", spec.ledger_region))
    for option, region in named:
        if not REGION.fullmatch(region):
            yield option, f"{region!r} is no region", "they look like eu-west-1"
        elif (known := known_regions()) and not any(_same_place(region, one) for one in known):
            near = difflib.get_close_matches(region, sorted(known), 1)
            hint = f"did you mean {near[0]}?" if near else "if AWS has it, update boto3"
            yield option, f"there is no region {region}", hint
    for region in spec.rollout.regions:
        if region not in spec.regions:
            yield "rollout.regions", f"the fleet is not in {region}", f"it is in {', '.join(spec.regions)}"
    if len(set(spec.rollout.regions)) < len(spec.rollout.regions):
        yield "rollout.regions", "a region is named twice", "each is rolled once"


def _same_place(region: str, known: str) -> bool:
    """Whether two regions differ by their number alone: AWS may have opened another one there since."""
    return region.rpartition("-")[0] == known.rpartition("-")[0]


def _network(spec: FleetSpec, region: str) -> Iterator[Problem]:
    own, option = spec.regions[region], f"regions.{region}"
    if bool(own.subnets) == bool(own.zones):
        hint = f'{option}.subnets = [ "subnet-..." ]; or, for default subnets, zones = [ "{region}a" ];'
        yield option, f"{region} needs subnets, or else zones, and not both", hint
    for zone in own.zones:
        if not zone.startswith(region) or zone == region:
            yield f"{option}.zones", f"{zone!r} is no zone of {region}", f"they look like {region}a"
    for target in own.target_groups:
        if target.split(":")[3] != region:
            hint = "a group is registered with target groups of its own region"
            yield f"{option}.targetGroups", f"{target} is not in {region}", hint
    if spec.health.type == "ELB" and not own.target_groups:
        hint = f'{option}.targetGroups = [ "arn:..." ]; or health.type = "EC2";'
        yield "health.type", f"health is the load balancer's, but there is no target group in {region}", hint


def _size(spec: FleetSpec, region: str) -> Iterator[Problem]:
    own, size = spec.regions[region], spec.size(region)
    if not size.min <= (size.min if size.desired is None else size.desired) <= size.max:
        wanted = "" if size.desired is None else f", desired {size.desired}"
        option = f"regions.{region}" if any(x is not None for x in (own.min, own.desired, own.max)) else "min"
        yield option, f"in {region} min is {size.min}{wanted}, max {size.max}", "min ≤ desired ≤ max"


def _instances(spec: FleetSpec) -> Iterator[Problem]:
    for one in spec.instance_types:
        if not INSTANCE_TYPE.fullmatch(one):
            yield "instanceTypes", f"{one!r} is no instance type", "they look like t3.small"
    if len(set(spec.instance_types)) < len(spec.instance_types):
        yield "instanceTypes", "an instance type is named twice", "EC2 takes each once"
    for name in spec.tags:
        if name.startswith(RESERVED):
            yield (
                "tags",
                f"the tag {name} is not yours to set",
                f"names that begin with {' or '.join(RESERVED)} are taken",
            )
    for path, what in _no_data(spec.parameters, "parameters"):
        yield (
            "parameters",
            f"{path} is {what}, which user data cannot pass on",
            "text, numbers, booleans, null, lists and sets",
        )


def _rollout(spec: FleetSpec) -> Iterator[Problem]:
    policy = spec.rollout
    if list(policy.waves) != sorted(set(policy.waves)) or (policy.waves and policy.waves[0] <= policy.canary):
        hint = f"the canary is {policy.canary} %: waves = [ {min(100, 5 * policy.canary)} ]; for example"
        yield "rollout.waves", "waves ascend, and come after the canary", hint
    if policy.max_healthy - policy.min_healthy > 100:
        hint = "EC2 takes 100 between them at most: raise minHealthy, or lower maxHealthy"
        yield "rollout.minHealthy", "maxHealthy is more than 100 above minHealthy", hint
    if policy.max_healthy == 100 and policy.min_healthy == 100:
        yield "rollout.maxHealthy", "with both at 100 % nothing could be replaced", "raise maxHealthy: 110"
    window = policy.window
    if window is not None and not window.days:
        yield "rollout.window.days", "the window has no day", "without `days` it is every day"
    if window is not None and window.begin == window.end:
        hint = "the whole day is from 00:00 to 24:00; to before from is on the next day"
        yield "rollout.window", f"the window from {window.begin} to {window.end} never opens", hint


def _no_data(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Where there is something in a value that JSON cannot say."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _no_data(item, f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _no_data(item, f"{path}[{index}]")
    elif not isinstance(value, (str, int, float, bool, type(None))):
        yield path, "a function"
