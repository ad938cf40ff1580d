"""How simulated instances behave, and which of them misbehave: rules that are matched when an instance is launched."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TAG = "invar:fault"
LISTS = ("failed_units", "strays", "sessions", "altered")
"""Of a behaviour, what is several; in a tag with commas between."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What an instance does differently. Seconds count from when it is running, `boot_seconds` is its boot's length.

    `never_boots`: runs, but no service and no status check ever comes up. `unhealthy_after`: its service stops
    answering. `impaired_after`: its EC2 status checks fail. `dies_after`: it switches itself off. `digest`: the system
    digest that its proof claims instead of its image's. `corrupted`: its proof shows a corrupted layer. `silent`: it
    gives no proof. `failed_units`: systemd units that its proof names; `strays`: programs that run in no declared unit;
    `sessions`: programs of somebody who is logged in; `altered`: immutable files that are not as declared.
    `earlier`: its image has an Invar whose proof tells neither. `lost_after`: from then on its console has no proof.
    """

    boot_seconds: float | None = None
    never_boots: bool = False
    unhealthy_after: float | None = None
    impaired_after: float | None = None
    dies_after: float | None = None
    digest: str | None = None
    corrupted: bool = False
    silent: bool = False
    failed_units: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    earlier: bool = False
    lost_after: float | None = None

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Behaviour:
        """Out of JSON. Raises ValueError for unknown names."""
        known = {one.name for one in dataclasses.fields(cls)}
        if set(data) - known:
            raise ValueError(f"an instance has no {', '.join(sorted(set(data) - known))}; it has {', '.join(known)}")
        fields: dict[str, Any] = {k: tuple(v) if k in LISTS else v for k, v in data.items()}
        return cls(**fields)

    @classmethod
    def from_tag(cls, text: str) -> Behaviour:
        """Out of the tag `invar:fault`, as `never_boots` or `unhealthy_after=300 digest=00ff`. Raises ValueError."""
        data: dict[str, Any] = {}
        for word in text.split():
            name, equals, value = word.partition("=")
            if not equals:
                data[name] = True
            elif name in LISTS:
                data[name] = value.split(",")
            else:
                data[name] = value if name == "digest" else float(value)
        return cls.from_data(data)


@dataclass(slots=True)
class Rule:
    """The first `times` launches (None: all) that match, after `after` others, behave so, or are refused with `code`.

    Each of `region`, `zone`, `image`, `type`, `group`, `version` (of the launch template) and `spot` matches anything
    when None.
    """

    behaviour: Behaviour
    region: str | None = None
    zone: str | None = None
    image: str | None = None
    type: str | None = None
    group: str | None = None
    version: str | None = None
    spot: bool | None = None
    after: int = 0
    times: int | None = 1
    code: str | None = None
    message: str = "We currently do not have sufficient capacity in the Availability Zone you requested."
    seen: int = 0
    struck: int = 0

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Rule:
        """Out of JSON: the rule's fields, and the behaviour's under "behaviour". Raises ValueError."""
        known = {one.name for one in dataclasses.fields(cls)} - {"seen", "struck"}
        if set(data) - known:
            raise ValueError(f"a rule has no {', '.join(sorted(set(data) - known))}; it has {', '.join(sorted(known))}")
        return cls(**{**data, "behaviour": Behaviour.from_data(data.get("behaviour", {}))})


class BehaviourBook:
    """The rules in force."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def strike(self, facts: Mapping[str, Any]) -> Rule | None:
        """The rule that a launch with these facts meets, counted."""
        for rule in self.rules:
            if any(getattr(rule, name) not in (None, value) for name, value in facts.items()):
                continue
            rule.seen += 1
            if rule.seen <= rule.after or (rule.times is not None and rule.struck >= rule.times):
                continue
            rule.struck += 1
            return rule
        return None
