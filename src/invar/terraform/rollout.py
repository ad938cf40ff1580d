"""`resource "invar_rollout"`: groups moved to a launch template's version, every instance proven, or it is undone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from invar.core.errors import InvarError
from invar.terraform.diagnostics import Diagnostic, Refused
from invar.terraform.regions import REGION, not_enabled
from invar.terraform.resource import Change, Context, Values
from invar.terraform.schema import BOOL, NUMBER, STRING, STRINGS, Attribute, Schema
from invar.terraform.values import UNKNOWN, Unknown, is_known
from invar.terraform.work import Job, run

TEMPLATES: Any = ["map", ["object", {"id": "string", "version": "string"}]]
MOVING = ("launch_templates", "system_digest")
"""Attributes whose change is a rollout."""
GROUP = re.compile(r"[A-Za-z0-9_.-]{1,200}")
POLICY = ("canary", "waves", "pause", "min_healthy", "max_healthy", "warm_up", "bake", "alarms")

SCHEMA = Schema(
    "Moves Auto Scaling groups to a launch template's version, waits until every instance has proven what it runs, and "
    "goes back if one does not.",
    (
        Attribute("group", STRING, "Name of the group, the same in every region.", required=True),
        Attribute("launch_templates", TEMPLATES, "Region → `id` and numeric `version` to run.", required=True),
        Attribute("system_digest", STRING, "What the images have to be of, to be sure.", optional=True),
        Attribute("regions", STRINGS, "In which order; default: by name.", optional=True),
        Attribute("ledger_region", STRING, "Region of the ledger; default: the first.", optional=True, computed=True),
        Attribute("canary", NUMBER, "Percentage of the first region that goes first.", optional=True, default=10),
        Attribute("waves", ["list", "number"], "Further percentages to pause at, ascending.", optional=True),
        Attribute("pause", NUMBER, "Seconds of the pause after the canary and each wave.", optional=True, default=300),
        Attribute("min_healthy", NUMBER, "Percentage that is healthy at every moment.", optional=True, default=100),
        Attribute("max_healthy", NUMBER, "Percentage that there are at most.", optional=True, default=110),
        Attribute("warm_up", NUMBER, "Seconds that a new instance is watched.", optional=True, default=60),
        Attribute("bake", NUMBER, "Seconds at the end in which alarms still count.", optional=True, default=0),
        Attribute("alarms", STRINGS, "CloudWatch alarms that end it.", optional=True),
        Attribute("checks", BOOL, "Whether the configuration's own checks have to pass.", optional=True, default=True),
        Attribute("proof_within", NUMBER, "Seconds within which a new instance is proven.", optional=True, default=900),
        Attribute("poll_seconds", NUMBER, "How often AWS is asked.", optional=True, default=10),
        Attribute("id", STRING, "The group's name.", computed=True),
        Attribute("generation", NUMBER, "The number in the group's ledger.", computed=True),
        Attribute("proven_digest", STRING, "What every instance has proven to run.", computed=True),
        Attribute("settled", BOOL, "Whether nothing is under way, and the groups run that.", computed=True),
    ),
)  # fmt: skip


class RolloutResource:
    """A change of `launch_templates` is a rollout, and so is whatever keeps the groups from running them."""

    schema = SCHEMA

    def validate(self, config: Values) -> tuple[Diagnostic, ...]:
        """Versions, regions and percentages, as far as they are known."""
        return tuple(_faults(SCHEMA.with_defaults(config)))

    def read(self, context: Context, state: Values) -> Change:
        """What runs by the ledger, and whether it does: what others moved is noticed."""
        arguments = {"group": state["group"], "ledger_region": state["ledger_region"]}
        found = run(context, Job("rolled", arguments, f"rollout {state['group']} read")).result
        return Change(None if found is None else {**state, **found})

    def plan(self, context: Context, prior: Values | None, proposed: Values) -> Change:
        """Whether anything moves. Another group, or another place of its ledger, is another rollout."""
        planned = {**proposed, "id": proposed["group"], "ledger_region": _ledger_region(proposed)}
        replace = tuple(name for name in ("group", "ledger_region") if prior and prior[name] != planned[name])
        changed = [name for name in MOVING if prior and prior[name] != planned[name]]
        if prior is not None and not replace and not changed and prior["settled"]:
            return Change(planned)
        templates = planned["launch_templates"]
        if isinstance(templates, dict):
            enabled = run(context, Job("regions", {}, "regions", ("launch_templates",))).result
            faults = not_enabled({region: ("launch_templates", region) for region in templates}, enabled)
            if faults:
                raise Refused(*faults)
        return Change({**planned, "generation": UNKNOWN, "proven_digest": UNKNOWN, "settled": True}, replace=replace)

    def apply(self, context: Context, prior: Values | None, planned: Values) -> Change:
        """Roll, if anything is to move. When it fails, the state stays what it was, as the groups do."""
        if is_known(planned["generation"]):
            return Change(planned)
        group, targets = planned["group"], planned["launch_templates"]
        whole = {**planned, "id": group, "ledger_region": _ledger_region(planned)}
        arguments = {
            "group": group,
            "ledger_region": whole["ledger_region"],
            "order": planned["regions"] or sorted(targets),
            "targets": targets,
            "digest": planned["system_digest"],
            "policy": {name: planned[name] or [] if name in ("waves", "alarms") else planned[name] for name in POLICY},
            "checks": planned["checks"],
            "within": planned["proof_within"],
            "poll": planned["poll_seconds"],
        }
        try:
            done = run(context, Job("roll", arguments, f"rollout {group} apply", ("launch_templates",))).result
        except Refused as refused:
            return Change(prior, refused.diagnostics)
        return Change({**whole, **done})

    def delete(self, context: Context, prior: Values) -> tuple[Diagnostic, ...]:
        """Nothing: the groups go on, and the ledger is history."""
        return ()

    def found(self, context: Context, identity: str) -> Values:
        """`GROUP:REGION`: the group, and its ledger's region. Raises InvarError."""
        group, colon, region = identity.rpartition(":")
        if not colon or not REGION.fullmatch(region):
            raise InvarError(f"{identity!r} names no rollout", hint="write GROUP:REGION, the region of its ledger")
        found = run(context, Job("rolled", {"group": group, "ledger_region": region}, f"rollout {group} import")).result
        if found is None:
            raise InvarError(f"there is no ledger of {group} in {region}", hint="a first apply makes it")
        return SCHEMA.with_defaults({**found, "group": group, "id": group, "ledger_region": region})


def _ledger_region(values: Values) -> Any:
    """Where the ledger is: what was said, or was so far; at first the first region, once that is known."""
    if values["ledger_region"] is not None and is_known(values["ledger_region"]):
        return values["ledger_region"]
    if not is_known(values["regions"]) or isinstance(values["launch_templates"], Unknown):
        return UNKNOWN
    return (values["regions"] or sorted(values["launch_templates"]))[0]


def _faults(config: Values) -> Iterator[Diagnostic]:
    templates, regions = config["launch_templates"], config["regions"]
    group, home = config["group"], config["ledger_region"]
    if isinstance(group, str) and not GROUP.fullmatch(group):
        why = "Its ledger is named after it, in SSM: letters, digits, dot, hyphen and underscore, at most 200."
        yield Diagnostic(f"{group!r} cannot be rolled", why, ("group",))
    if isinstance(home, str) and not REGION.fullmatch(home):
        yield Diagnostic(f"{home!r} is no region", "They look like eu-west-1.", ("ledger_region",))
    if isinstance(templates, dict):
        if not templates:
            yield Diagnostic("No launch template", "Name one for each region.", ("launch_templates",))
        for region, one in templates.items():
            if not REGION.fullmatch(region):
                yield Diagnostic(f"{region!r} is no region", "They look like eu-west-1.", ("launch_templates", region))
            if isinstance(one, Unknown):
                continue
            identity, version = (one["id"], one["version"]) if one else (None, None)
            if not isinstance(identity, Unknown) and not (identity or "").startswith("lt-"):
                yield Diagnostic(f"{identity!r} is no launch template", "Give its id.", ("launch_templates", region))
            if not isinstance(version, Unknown) and not (version or "").isdecimal():
                why = "A number is needed: nothing can go back from $Latest or $Default."
                yield Diagnostic(f"{version!r} is no version", why, ("launch_templates", region))
        if isinstance(regions, list) and is_known(regions) and sorted(regions) != sorted(templates):
            yield Diagnostic("The regions are not those of launch_templates", "", ("regions",))
    for name, least, most in (
        ("canary", 1, 100), ("pause", 0, 172800), ("min_healthy", 0, 100), ("max_healthy", 100, 200),
        ("warm_up", 0, 21600), ("bake", 0, 172800), ("proof_within", 1, 86400), ("poll_seconds", 1, 600),
    ):  # fmt: skip
        value = config[name]
        if isinstance(value, str) or (isinstance(value, (int, float)) and not _whole(value, least, most)):
            yield Diagnostic(f"{name} is {value}", f"A whole number from {least} to {most}.", (name,))
    low, high = config["min_healthy"], config["max_healthy"]
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and (high - low > 100 or low == high == 100):
        why = "EC2 takes at most 100 between them; with both at 100 nothing could be replaced."
        yield Diagnostic(f"min_healthy is {low}, max_healthy {high}", why, ("max_healthy",))
    if isinstance(config["waves"], list) and is_known([config["waves"], config["canary"]]):
        steps = [config["canary"], *config["waves"]]
        if not all(isinstance(step, (int, float)) and _whole(step, 1, 100) for step in steps):
            yield Diagnostic("A wave is a whole percentage", "", ("waves",))
        elif steps != sorted(set(steps)):
            yield Diagnostic("The waves do not ascend from the canary", "", ("waves",))


def _whole(value: float, least: int, most: int) -> bool:
    return least <= value <= most and value == int(value)
