"""A fleet's ledger: its generations, who made them, and what came of them, in SSM parameters.

    /invar/fleets/NAME/generations/000007            an `Entry`, written once: the claim of that generation
    /invar/fleets/NAME/generations/000007/failed     a `Mark`, written once: it goes back, and why; or it passed
    /invar/fleets/NAME/generations/000007/outcome    a `Mark`, written once: it is at rest, and how
    /invar/fleets/NAME/generations/000007/request    a `Request`, the last word counts: pause, or go on

What SSM guarantees is that PutParameter without Overwrite makes a parameter or is refused. There is no conditional
overwrite (with Overwrite the last writer wins), and a read may be older than the newest write. So nothing rests on a
read: a generation belongs to whoever made its parameter, and marks are made in the same way. A reader who sees too
little claims a number that exists already, and is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from invar.aws.client import Cloud
from invar.aws.parameters import create_parameter, get_parameters, list_parameters, overwrite_parameter
from invar.core.canonical import canonical_json
from invar.core.errors import InvarError
from invar.fleet.spec import TAG_FLEET, Health, Policy, Spot
from invar.system.decode import decode
from invar.system.record import plain

SCHEMA = 1
ROOT = "/invar/fleets"

PASSED = "passed"

Kind = Literal["create", "rollout", "rollback"]
Outcome = Literal["done", "restored", "failed"]
"""done: it runs everywhere. restored: what ran before runs again everywhere. failed: nothing ran before."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a generation is in one region: an AMI, in a numbered version of a launch template."""

    image: str
    template: str
    version: str


@dataclass(frozen=True, slots=True)
class Terms:
    """The part of the fleet's declaration that a rollout needs, so that whoever takes over has the same."""

    order: tuple[str, ...]
    instance_types: tuple[str, ...]
    spot: Spot
    health: Health
    rollout: Policy
    parameters: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One generation of a fleet. `image_generation` and `system_digest` are those of the published configuration.

    `previous` is the generation that it goes back to when it fails; `repeats`, of a rollback, the one that it is the
    same as. `past` holds each region's newest refresh when it was begun: older ones are none of its own.
    """

    number: int
    kind: Kind
    configuration: str
    image_generation: int
    system_digest: str
    commit: str | None
    dirty: bool
    deployments: dict[str, Deployment]
    previous: int | None
    repeats: int | None
    who: str
    began: float
    past: dict[str, str]
    terms: Terms


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of a generation. `why` tells it to people; `instance` is the one that failed, if it was one."""

    state: str
    who: str
    at: float
    why: str | None = None
    region: str | None = None
    instance: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What an operator asked of a rollout under way. `past` replaces the entry's when it goes on.

    `suspended`, of a pause, are the regions whose refresh it suspends: whoever goes on lets these go on.
    """

    state: Literal["pause", "run"]
    who: str
    at: float
    past: dict[str, str] = field(default_factory=dict)
    suspended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a generation stands: the marks on it."""

    entry: Entry
    failed: Mark | None = None
    outcome: Mark | None = None
    request: Request | None = None

    @property
    def open(self) -> bool:
        """Whether it is still under way."""
        return self.outcome is None

    @property
    def paused(self) -> bool:
        """Whether an operator stopped it for a while. What goes back is not stopped."""
        asked = self.request is not None and self.request.state == "pause"
        return asked and self.open and not self.going_back

    @property
    def going_back(self) -> bool:
        """Whether it goes to a generation that ran before."""
        return self.failed is not None or self.entry.kind == "rollback"

    @property
    def past(self) -> dict[str, str]:
        """Each region's newest refresh that is none of its own."""
        return {**self.entry.past, **(self.request.past if self.request else {})}

    @property
    def word(self) -> str:
        """One word for it."""
        if self.outcome is not None:
            return self.outcome.state
        return "paused" if self.paused else "going back" if self.failed else "under way"


@dataclass(frozen=True, slots=True)
class History:
    """All generations, oldest first."""

    standings: tuple[Standing, ...]

    @property
    def newest(self) -> Standing | None:
        """The last one begun."""
        return self.standings[-1] if self.standings else None

    @property
    def current(self) -> Standing | None:
        """The one that runs, when nothing is under way: the last one that is done."""
        return next((one for one in reversed(self.standings) if one.outcome and one.outcome.state == "done"), None)

    def of(self, number: int) -> Standing:
        """One generation. Raises InvarError when there is none of that number."""
        for one in self.standings:
            if one.entry.number == number:
                return one
        known = ", ".join(str(one.entry.number) for one in self.standings[-10:])
        raise InvarError(f"there is no generation {number}", hint=f"there is {known or 'none yet'}: invar history")


class Ledger:
    """One fleet's ledger in its home region. Every method raises InvarError when AWS does not answer."""

    def __init__(self, cloud: Cloud, region: str, fleet: str) -> None:
        self._cloud = cloud
        self._region = region
        self._fleet = fleet
        self._path = f"{ROOT}/{fleet}/generations"

    def history(self) -> History:
        """Everything that there is, read page by page."""
        values = {one.name: one.value for one in list_parameters(self._cloud, self._region, self._path)}
        names = sorted(name for name in values if name.count("/") == self._path.count("/") + 1)
        return History(tuple(_standing(name, values) for name in names))

    def standing(self, number: int) -> Standing:
        """One generation as it is now: one call."""
        name = self._name(number)
        names = [name, *(f"{name}/{part}" for part in ("failed", "outcome", "request"))]
        values = get_parameters(self._cloud, self._region, names)
        if name not in values:
            raise InvarError(f"generation {number} of {self._fleet} is gone from the ledger", where=self._where(name))
        return _standing(name, values)

    def claim(self, entry: Entry) -> None:
        """Begin a generation. Raises InvarError when another operator began it first."""
        name = self._name(entry.number)
        value = canonical_json({"schema": SCHEMA, **plain(entry)}).decode()
        if create_parameter(self._cloud, self._region, name, value, tags={TAG_FLEET: self._fleet}):
            return
        other = self.standing(entry.number)
        if other.entry == entry:
            return  # the answer to our own first try was lost
        raise busy(self._fleet, other)

    def fail(self, number: int, mark: Mark) -> Mark:
        """Mark a generation as one that goes back. Returns the mark that is in force: the first one.

        Its state is "passed" where the generation was found good before: it does not go back then.
        """
        return self._mark(f"{self._name(number)}/failed", mark)

    def passes(self, number: int, who: str, now: float) -> bool:
        """Mark a generation as one that can fail no more, before it is closed as done. False: it failed before."""
        return self._mark(f"{self._name(number)}/failed", Mark(PASSED, who, now)).state == PASSED

    def close(self, number: int, mark: Mark) -> Mark:
        """Mark a generation as at rest. Returns the mark that is in force: the first one."""
        return self._mark(f"{self._name(number)}/outcome", mark)

    def request(self, number: int, request: Request) -> None:
        """Ask something of whoever rolls it."""
        overwrite_parameter(self._cloud, self._region, f"{self._name(number)}/request", _text(request))

    def _mark(self, name: str, mark: Mark) -> Mark:
        if create_parameter(self._cloud, self._region, name, _text(mark), tags={TAG_FLEET: self._fleet}):
            return mark
        found = get_parameters(self._cloud, self._region, [name])
        return _read(Mark, found[name], name) if name in found else mark

    def _name(self, number: int) -> str:
        return f"{self._path}/{number:06d}"

    def _where(self, name: str) -> str:
        return f"ssm:GetParameters {self._region} {name}"


def busy(fleet: str, other: Standing) -> InvarError:
    """The refusal of a second rollout."""
    return InvarError(
        f"generation {other.entry.number} of {fleet} is {other.word}",
        why=f"{other.entry.who} began this {other.entry.kind}; one goes at a time",
        hint="invar status shows it; invar resume takes it over, invar abort ends it",
    )


def _standing(name: str, values: Mapping[str, str]) -> Standing:
    def part(kind: Any, which: str) -> Any:
        text = values.get(f"{name}/{which}")
        return None if text is None else _read(kind, text, f"{name}/{which}")

    failed = part(Mark, "failed")
    if failed is not None and failed.state == PASSED:
        failed = None
    return Standing(_read(Entry, values[name], name), failed, part(Mark, "outcome"), part(Request, "request"))


def _text(value: Mark | Request) -> str:
    return canonical_json({"schema": SCHEMA, **plain(value)}).decode()


def _read(kind: Any, text: str, name: str) -> Any:
    try:
        data = json.loads(text)
        schema = data.pop("schema")
    except (ValueError, AttributeError, KeyError) as error:
        raise InvarError("an entry of the ledger is malformed", where=name, why=str(error)) from error
    if schema != SCHEMA:
        raise InvarError(f"the ledger has schema {schema}, this Invar reads {SCHEMA}", where=name)
    for place in ("began", "at"):
        if place in data:
            data[place] = float(data[place])
    return decode(kind, data, name)
