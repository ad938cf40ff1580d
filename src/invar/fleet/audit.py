"""Audits a fleet: every instance in every region, from its AMI to the commit, and what it proves itself."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from invar.aws.client import Cloud
from invar.aws.groups import GroupRecord, find_groups
from invar.aws.images import describe_image, find_images
from invar.aws.instances import InstanceRecord, console_of, find_instances, user_data_of
from invar.aws.launch_templates import list_versions
from invar.core.errors import InvarError
from invar.core.events import Report, Stage
from invar.fleet.apply import group_changes
from invar.fleet.drift import Audited, Expected, Finding, audited, group_findings
from invar.fleet.launch import launch_part
from invar.fleet.ledger import Entry, History, Ledger
from invar.fleet.observation import by_http
from invar.fleet.regions import everywhere
from invar.fleet.spec import TAG_FLEET, FleetSpec
from invar.fleet.tags import CONFIGURATION
from invar.fleet.verdict import proof_in
from invar.system.proof import Proof
from invar.system.record import plain

AT_ONCE = 8
"""Instances that are asked at once in each region."""
GONE = ("terminated", "shutting-down")


@dataclass(frozen=True, slots=True)
class Audit:
    """One fleet's audit. `generation` is what the ledger says runs; `groups` has findings by region.

    `failed` tells which regions did not answer: they count as drift, for nobody knows what runs there. `asked`: whether
    instances were asked what they run.
    """

    fleet: str
    generation: int | None
    moving: bool
    instances: tuple[Audited, ...]
    groups: dict[str, tuple[Finding, ...]]
    failed: dict[str, InvarError]
    asked: bool = True

    @property
    def drift(self) -> bool:
        """Whether anything is known not to be as it should be, or a region does not tell."""
        return bool(self.failed) or any(self.groups.values()) or any(one.drift for one in self.instances)

    @property
    def proven(self) -> int | None:
        """How many instances prove the system of their image, today; None where none was asked."""
        good = [one for one in self.instances if one.proven == one.system_digest is not None and not one.unproven]
        return len(good) if self.asked else None

    @property
    def unproven(self) -> int:
        """How many were asked, and nothing of today tells what they run."""
        return sum(one.unproven for one in self.instances)

    @property
    def clean(self) -> bool:
        """Whether nothing is left to look after: no drift, and nobody unproven that was asked."""
        return not self.drift and not self.unproven

    def to_data(self) -> dict[str, Any]:
        """As `--json` tells it."""
        return {
            "fleet": self.fleet,
            "generation": self.generation,
            "moving": self.moving,
            "drift": self.drift,
            "asked": self.asked,
            "proven": self.proven,
            "unproven": self.unproven,
            "instances": plain(self.instances),
            "groups": plain(self.groups),
            "failed": {region: error.what for region, error in self.failed.items()},
        }


def audit_fleet(
    cloud: Cloud, spec: FleetSpec, ledger: Ledger, report: Report, now: Callable[[], float], *, ask: bool = True
) -> Audit:
    """Audit every instance of a fleet. `ask`: whether instances are asked for proof, and EC2 for their user data.

    Raises InvarError when the ledger, or no region, can be read.
    """
    history = ledger.history()
    with report.stage(f"audit {spec.name}") as stage:
        outcomes = everywhere(spec.order, lambda region: _region(cloud, spec, region, history, now, stage, ask=ask))
    if not outcomes.done:
        raise next(iter(outcomes.failed.values()))
    newest = history.newest
    current = history.current
    return Audit(
        fleet=spec.name,
        generation=None if current is None else current.entry.number,
        moving=newest is not None and newest.open,
        instances=tuple(one for found, _ in outcomes.done.values() for one in found),
        groups={region: findings for region, (_, findings) in outcomes.done.items() if findings},
        failed=outcomes.failed,
        asked=ask,
    )


def entries_in_force(history: History) -> list[Entry]:
    """The generations that instances may be of: the current one, and while one is under way that one too."""
    entries = [history.current.entry] if history.current is not None else []
    newest = history.newest
    return [newest.entry, *entries] if newest is not None and newest.open else entries


def _region(
    cloud: Cloud,
    spec: FleetSpec,
    region: str,
    history: History,
    now: Callable[[], float],
    stage: Stage,
    *,
    ask: bool,
) -> tuple[list[Audited], tuple[Finding, ...]]:
    groups = find_groups(cloud, region, tags={TAG_FLEET: spec.name})
    own = next((one for one in groups if one.name == spec.group), None)
    versions = _versions(cloud, region, own)
    expected = _expected(spec, region, history, {number: data for number, (_, data) in versions.items()})
    images = {one.id: one for one in find_images(cloud, region, tags={CONFIGURATION: spec.configuration})}
    instances = _instances(cloud, spec, region, groups)
    members = {member.id: member for group in groups for member in group.members}
    for foreign in {one.image for one in instances} - images.keys():
        other = describe_image(cloud, region, foreign)
        if other is not None:
            images[foreign] = other

    def look(instance: InstanceRecord) -> Audited:
        return audited(
            instance,
            members.get(instance.id),
            images.get(instance.image),
            expected,
            history,
            proof=_proof(cloud, instance, spec) if ask else None,
            asked=ask,
            user_data=user_data_of(cloud, region, instance.id) if ask else None,
            now=now(),
        )

    found = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for one in pool.map(look, instances):
            found.append(one)
            stage.progress(len(found), len(instances), "instances")
    return found, _group(spec, region, own, groups, expected, versions)


def _group(
    spec: FleetSpec,
    region: str,
    own: GroupRecord | None,
    groups: list[GroupRecord],
    expected: Expected | None,
    versions: dict[str, tuple[str, dict[str, Any]]],
) -> tuple[Finding, ...]:
    others = [Finding("stray", f"group {one.name} has the fleet's tag") for one in groups if one is not own]
    if own is None:
        missing = [Finding("group", f"there is no group {spec.group}")] if expected is not None else []
        return (*missing, *others)
    changes = group_changes(spec, dict.fromkeys((region,), own), adopt=True)
    declared = [name for change in changes if change.region == region for name in change.settings]
    return (*group_findings(own, expected, versions, declared), *others)


def _versions(cloud: Cloud, region: str, group: GroupRecord | None) -> dict[str, tuple[str, dict[str, Any]]]:
    if group is None or not group.template:
        return {}
    return {str(one.number): (one.description, one.data) for one in list_versions(cloud, region, group.template)}


def _expected(spec: FleetSpec, region: str, history: History, data: dict[str, dict[str, Any]]) -> Expected | None:
    entries = [entry for entry in entries_in_force(history) if region in entry.deployments]
    if not entries:
        return None
    deployments = tuple(entry.deployments[region] for entry in entries)
    digests = {entry.deployments[region].image: entry.system_digest for entry in reversed(entries)}
    return Expected(
        deployments,
        digests,
        {one.version: data[one.version] for one in deployments if one.version in data},
        spec.health,
        entries[0].terms.parameters,
        tuple(_mix(entry, region) for entry in entries),
        spec.audit,
    )


def _mix(entry: Entry, region: str) -> dict[str, Any]:
    """The MixedInstancesPolicy of a generation in a region, {} where its group is of one type."""
    part = launch_part(entry.deployments[region], entry.terms.instance_types, entry.terms.spot)
    found: dict[str, Any] = part.get("MixedInstancesPolicy", {})
    return found


def _instances(cloud: Cloud, spec: FleetSpec, region: str, groups: list[GroupRecord]) -> list[InstanceRecord]:
    """The members of its groups, and whatever else carries the fleet's tag."""
    found = {one.id: one for one in find_instances(cloud, region, tags={TAG_FLEET: spec.name})}
    others = {member.id for group in groups for member in group.members} - found.keys()
    if others:
        found |= {one.id: one for one in find_instances(cloud, region, ids=others)}
    return sorted((one for one in found.values() if one.state not in GONE), key=lambda one: one.id)


def _proof(cloud: Cloud, instance: InstanceRecord, spec: FleetSpec) -> Proof | None:
    if spec.health.proof == "http":
        return by_http(instance.address, spec.health.proof_port)
    return proof_in(console_of(cloud, instance.region, instance.id), f"the console of {instance.id}")
