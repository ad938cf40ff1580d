"""Rollouts of groups that somebody else declares, such as Terraform: to launch template versions that are there.

The fleet's own way makes the versions out of its fleet.nix (begin.py). Here they are given, by number; the driver and
what makes an instance a good one are the same, and so is the form of the ledger. That has a name of its own, which no
fleet can have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from invar.aws.client import Cloud
from invar.aws.groups import GroupRecord, find_group
from invar.aws.images import ImageRecord, describe_image
from invar.aws.launch_templates import list_versions
from invar.aws.refreshes import newest_refresh
from invar.core.errors import ExitCode, InvarError
from invar.fleet.ledger import Deployment, Entry, History, Ledger, Mark, Standing, Terms, busy
from invar.fleet.regions import everywhere
from invar.fleet.rollout import go_on
from invar.fleet.spec import Health, Policy, Spot
from invar.fleet.tags import COMMIT, CONFIGURATION, DIRTY, SYSTEM, generation_of


@dataclass(frozen=True, slots=True)
class Given:
    """A group of one name in several regions, and for each the launch template and version (a number) to run."""

    group: str
    targets: Mapping[str, tuple[str, str]]
    order: tuple[str, ...]
    policy: Policy
    checks: bool
    within: int


@dataclass(frozen=True, slots=True)
class Moved:
    """A group that somebody else declares and that was rolled out here, by its ledger in `region`."""

    group: str
    region: str

    @property
    def name(self) -> str:
        """What its ledger is called."""
        return f"terraform.{self.group}"

    def ledger(self, cloud: Cloud) -> Ledger:
        """Its ledger."""
        return Ledger(cloud, self.region, self.name)

    def history(self, cloud: Cloud) -> History:
        """What its ledger has. Raises InvarError when there is none."""
        found = self.ledger(cloud).history()
        if not found.standings:
            raise InvarError(
                f"there is no ledger of {self.group} in {self.region}",
                hint="a first `terraform apply` with invar_rollout makes it; name its ledger_region: GROUP:REGION",
                exit_code=ExitCode.USAGE,
            )
        return found


@dataclass(frozen=True, slots=True)
class _Region:
    """What there is in one region: the group, and what the version to run holds."""

    group: GroupRecord
    image: ImageRecord
    deployment: Deployment
    user_data: bool


def ledger_of(cloud: Cloud, region: str, group: str) -> Ledger:
    """The ledger of a group, in its home region."""
    return Moved(group, region).ledger(cloud)


def begin_given(cloud: Cloud, ledger: Ledger, given: Given, who: str, now: float, digest: str | None) -> int | None:
    """The number of the generation to drive next, None when all is as given. To be called again once that is at rest.

    What is under way to the same versions is taken over, paused or not. What is paused, or goes back, elsewhere is put
    back first. A group that the ledger does not know begins with what it runs: then there is something to go back to.
    `digest` None: whatever system the images have. Raises InvarError; also when someone rolls to something else.
    """
    history = ledger.history()
    found = _everywhere(cloud, given, given.targets)
    deployments = {region: one.deployment for region, one in found.items()}
    systems = {region: one.image.tags[SYSTEM] for region, one in found.items()}
    if len({*systems.values(), *([digest] if digest else [])}) > 1:
        raise InvarError(
            "the launch templates' images are not of the system to roll out",
            why="\n".join(f"{region}: {found[region].image.id} {system}" for region, system in systems.items())
            + (f"\nwanted: {digest}" if digest else ""),
        )
    if history.newest is not None and history.newest.open:
        _take_over(cloud, ledger, given, history.newest, who, now)
        return history.newest.entry.number
    current = history.current
    there = all(_is_at(one.group, one.deployment) for one in found.values())
    if there and current is not None and current.entry.deployments == deployments:
        return None
    before = {region: (one.group.template, one.group.version) for region, one in found.items()}
    if current is None and before != dict(given.targets):
        found = _before(cloud, given, before)
    entry = _entry(cloud, given, found, history, who, now)
    ledger.claim(entry)
    return entry.number


def goes_to(entry: Entry, given: Given) -> bool:
    """Whether a generation is what is given."""
    return {region: (one.template, one.version) for region, one in entry.deployments.items()} == dict(given.targets)


def settled(cloud: Cloud, group: str, history: History) -> bool | None:
    """Whether the groups run what the ledger says, and nothing is under way; None when no group is there any more.

    Raises InvarError.
    """
    if history.current is None or (history.newest is not None and history.newest.open):
        return False
    deployments = history.current.entry.deployments
    outcomes = everywhere(tuple(deployments), lambda region: find_group(cloud, region, group))
    for error in outcomes.failed.values():
        raise error
    there = [one is not None and _is_at(one, deployments[region]) for region, one in outcomes.done.items()]
    return None if not any(outcomes.done.values()) else all(there)


def _take_over(cloud: Cloud, ledger: Ledger, given: Given, standing: Standing, who: str, now: float) -> None:
    """Make a generation that is under way one to drive: forward, or back when it is not what is given."""
    entry = standing.entry
    if entry.kind != "create" and not goes_to(entry, given) and standing.failed is None:
        if not standing.paused:
            versions = ", ".join(f"{region} {one.template} {one.version}" for region, one in entry.deployments.items())
            error = busy(given.group, standing)
            error.why = f"{entry.who} rolls out {versions}; one goes at a time"
            error.hint = "wait for it; if it was left alone, apply the same versions to take it over"
            raise error
        ledger.fail(entry.number, Mark("failed", who, now, "something else is to run"))
    if standing.paused:
        go_on(cloud, given.group, ledger, standing, who, now)


def _entry(cloud: Cloud, given: Given, found: Mapping[str, _Region], history: History, who: str, now: float) -> Entry:
    first = found[given.order[0]]
    image = first.image
    past = {}
    for region in found:
        refresh = newest_refresh(cloud, region, given.group)
        if refresh is not None and (refresh.active or refresh.ending):
            raise InvarError(
                f"an instance refresh of {given.group} is under way in {region} that no generation of the ledger began",
                why=f"{refresh.id} is {refresh.status}",
                hint="wait for it, or cancel it: aws autoscaling cancel-instance-refresh",
            )
        if refresh is not None:
            past[region] = refresh.id
    health = Health(
        "ELB" if first.group.health == "ELB" else "EC2",
        first.group.grace,
        checks=given.checks,
        proof="console",
        proof_port=9741,
        within=given.within,
    )
    return Entry(
        number=1 if history.newest is None else history.newest.entry.number + 1,
        kind="create" if history.current is None else "rollout",
        configuration=image.tags.get(CONFIGURATION, given.group),
        image_generation=generation_of(image.tags),
        system_digest=image.tags[SYSTEM],
        commit=image.tags.get(COMMIT),
        dirty=image.tags.get(DIRTY) == "true",
        deployments={region: one.deployment for region, one in found.items()},
        previous=None if history.current is None else history.current.entry.number,
        repeats=None,
        who=who,
        began=now,
        past=past,
        terms=Terms(
            given.order,
            ("as in the template",),
            Spot(0, 0, ""),
            health,
            given.policy,
            parameters=any(one.user_data for one in found.values()),
        ),
    )


def _everywhere(cloud: Cloud, given: Given, targets: Mapping[str, tuple[str, str]]) -> dict[str, _Region]:
    outcomes = everywhere(given.order, lambda region: _look(cloud, region, given.group, *targets[region]))
    for error in outcomes.failed.values():
        raise error
    return outcomes.done


def _look(cloud: Cloud, region: str, name: str, template: str, version: str) -> _Region:
    group = find_group(cloud, region, name)
    if group is None:
        raise InvarError(f"there is no group {name}", where=region)
    if group.types:
        raise InvarError(
            f"the group {name} is of mixed instances", where=region, hint="declare it in a fleet.nix: docs/fleet.md"
        )
    found = next((one for one in list_versions(cloud, region, template) if str(one.number) == version), None)
    if found is None:
        raise InvarError(f"{template} has no version {version}", where=region, hint="give its number")
    identity = str(found.data.get("ImageId", ""))
    image = describe_image(cloud, region, identity) if identity.startswith("ami-") else None
    if image is None or SYSTEM not in image.tags:
        raise InvarError(
            f"version {version} of {template} has no image of Invar",
            where=region,
            why=f"its image is {identity or 'not given'}" + ("" if image is None else f", without the tag {SYSTEM}"),
            hint="name the AMI's id in the template, as invar publish or invar_image gives it",
        )
    return _Region(group, image, Deployment(identity, template, version), bool(found.data.get("UserData")))


def _before(cloud: Cloud, given: Given, before: Mapping[str, tuple[str, str]]) -> dict[str, _Region]:
    try:
        return _everywhere(cloud, given, before)
    except InvarError as error:
        raise InvarError(
            f"there would be no way back to what {given.group} runs now",
            where=error.where,
            why=error.what + (f": {error.why}" if error.why else ""),
            hint="move the group to an image of Invar by hand once, by a numbered version of its launch template",
        ) from error


def _is_at(group: GroupRecord, target: Deployment) -> bool:
    members = [(one.template, one.version) for one in group.members if one.counts]
    return {(group.template, group.version), *members} == {(target.template, target.version)}
