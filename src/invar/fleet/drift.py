"""What of an instance, or of a group, is not as the fleet's generation says. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from invar.aws.groups import GroupRecord, Member
from invar.aws.images import ImageRecord
from invar.aws.instances import InstanceRecord
from invar.fleet.launch import DESCRIPTION, holds
from invar.fleet.ledger import Deployment, History
from invar.fleet.rollout_decision import REFRESHING, is_held, runs
from invar.fleet.spec import AuditPolicy, Health
from invar.fleet.tags import COMMIT, SYSTEM
from invar.fleet.verdict import judge
from invar.system.proof import Proof, told_file, told_process

DEFAULT_GROUP = "default"
"""The name of every network's security group for instances that are given none."""

Kind = Literal[
    "image",
    "generation",
    "proof",
    "unproven",
    "process",
    "session",
    "file",
    "health",
    "security group",
    "user data",
    "volume",
    "launch template",
    "group",
    "stray",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `instance` None: it is the group's."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What runs in one region by the ledger. While a rollout is under way there are two: where to, and where from.

    `data` is the launch template data of each deployment's version, by version; `digests` the systems; `mixes` the
    MixedInstancesPolicy of each, {} for groups of one type.
    """

    deployments: tuple[Deployment, ...]
    digests: Mapping[str, str]
    data: Mapping[str, Mapping[str, Any]]
    health: Health
    parameters: bool
    mixes: tuple[Mapping[str, Any], ...]
    audit: AuditPolicy


@dataclass(frozen=True, slots=True)
class Audited:
    """One instance: where it came from, what it proves, and what is wrong with it.

    `generation` is the fleet's whose image it runs. `proven` is the digest that it shows itself, None where it gave no
    answer (or was not asked); `proof_age` how many seconds ago, None where the proof does not tell. `partial`: its
    proof is an earlier Invar's, that tells no processes and files.
    """

    region: str
    instance: str
    state: str
    image: str
    snapshot: str | None
    system_digest: str | None
    commit: str | None
    generation: int | None
    proven: str | None
    proof_age: float | None
    partial: bool
    findings: tuple[Finding, ...]

    @property
    def drift(self) -> bool:
        """Whether anything is known not to be as it should be. That it is not proven alone is none."""
        return any(one.kind != "unproven" for one in self.findings)

    @property
    def unproven(self) -> bool:
        """Whether it was asked what it runs, and nothing of today tells."""
        return any(one.kind == "unproven" for one in self.findings)


def audited(
    instance: InstanceRecord,
    member: Member | None,
    image: ImageRecord | None,
    expected: Expected | None,
    history: History,
    *,
    proof: Proof | None,
    asked: bool,
    user_data: bytes | None,
    now: float,
) -> Audited:
    """Everything that is known of one instance. `asked`: whether its proof and its user data were asked for."""
    findings: list[Finding] = []
    if member is None:
        findings.append(Finding("stray", "it has the fleet's tag, and is in no group of it"))
    if expected is not None:
        findings += _launch(instance, member, expected, history)
        if asked:
            findings += _proof(instance, expected, proof, now)
            findings += _manual(proof, expected.audit)
            findings += _user_data(instance, member, expected, user_data)
        findings += _attachments(instance, member, expected)
    if member is not None and not member.healthy:
        findings.append(Finding("health", "its health checks fail"))
    shown = (
        None if proof is None else (proof.booted_digest if expected and expected.parameters else proof.active_digest)
    )
    return Audited(
        region=instance.region,
        instance=instance.id,
        state=member.lifecycle if member else instance.state,
        image=instance.image,
        snapshot=image.snapshots[0] if image and image.snapshots else None,
        system_digest=image.tags.get(SYSTEM) if image else None,
        commit=image.tags.get(COMMIT) if image else None,
        generation=generation_with(history, instance.region, instance.image),
        proven=shown,
        proof_age=age_of(proof, now),
        partial=proof is not None and (proof.processes is None or proof.files is None),
        findings=tuple(findings),
    )


def group_findings(
    group: GroupRecord,
    expected: Expected | None,
    versions: Mapping[str, tuple[str, Mapping[str, Any]]],
    declared: Sequence[str],
) -> Iterator[Finding]:
    """What is wrong with a group. `versions`: (description, data) of its launch template's versions by number;
    `declared`: names of settings that are not as the fleet.nix says."""
    if expected is not None and not any(
        (group.template, group.version) == (one.template, one.version) for one in expected.deployments
    ):
        wanted = expected.deployments[0]
        yield Finding(
            "launch template",
            f"the group launches {group.template} version {group.version}, "
            f"not {wanted.template} version {wanted.version}",
        )
    for number, (told, data) in versions.items():
        made = told.startswith(DESCRIPTION)
        if number == group.version and not made:
            yield Finding("launch template", f"version {number} was not made by Invar")
        elif number == group.version and not holds(told, data):
            yield Finding("launch template", f"version {number} does not hold what its description says")
    if expected is not None and not any(_is_mix(group, mix) for mix in expected.mixes):
        shown = ", ".join(group.types) or "one type"
        yield Finding("group", f"instance types or their shares are not those of the generation: {shown}")
    for name in declared:
        yield Finding("group", f"{name} is not as declared")
    held = (REFRESHING,) if is_held(group) and expected is not None and len(expected.deployments) > 1 else ()
    suspended = [process for process in group.suspended if process not in held]
    if suspended:
        yield Finding("group", f"suspended: {', '.join(suspended)}")


def _is_mix(group: GroupRecord, policy: Mapping[str, Any]) -> bool:
    """Whether a group has these overrides, and in its distribution at least what the policy says."""
    types = tuple(one["InstanceType"] for one in policy.get("LaunchTemplate", {}).get("Overrides", ()))
    wanted = policy.get("InstancesDistribution", {})
    return group.types == types and all(group.distribution.get(name) == value for name, value in wanted.items())


def generation_with(history: History, region: str, image: str) -> int | None:
    """The newest of the fleet's generations that has an image in a region."""
    for one in reversed(history.standings):
        deployment = one.entry.deployments.get(region)
        if deployment is not None and deployment.image == image:
            return one.entry.number
    return None


def _launch(instance: InstanceRecord, member: Member | None, expected: Expected, history: History) -> Iterator[Finding]:
    images = [one.image for one in expected.deployments]
    if instance.image not in images:
        stale = generation_with(history, instance.region, instance.image)
        if stale is not None:
            yield Finding("generation", f"it still runs generation {stale} ({instance.image})")
        else:
            yield Finding("image", f"it was launched from {instance.image}, not {images[0]}")
    elif member is not None and not any(
        (member.template, member.version) == (one.template, one.version) for one in expected.deployments
    ):
        where = f"{member.template} version {member.version}" if member.template else "no launch template"
        yield Finding("launch template", f"it was launched from {where}")


def _proof(instance: InstanceRecord, expected: Expected, proof: Proof | None, now: float) -> Iterator[Finding]:
    wanted = expected.digests.get(instance.image)
    if wanted is None:
        wanted = next(iter(expected.digests.values()), "")
    launched = now - instance.launched
    if proof is None:
        if launched > expected.health.within:
            where = "its console has none" if expected.health.proof == "console" else "it does not answer"
            yield Finding("unproven", f"no proof of what it runs: {where}")
        return
    verdict = judge(proof, instance.id, wanted, expected.health, parameters=expected.parameters, age=launched)
    if verdict.standing == "failed":
        yield Finding("proof", verdict.why)
    age, most = age_of(proof, now), expected.audit.max_age
    if age is not None and most is not None and age > most:
        yield Finding("unproven", f"its last proof is {age_text(age)} old")


def _manual(proof: Proof | None, policy: AuditPolicy) -> Iterator[Finding]:
    """What somebody did on the instance, by its proof."""
    for process in (proof.processes if proof else None) or ():
        if process.kind == "session" and policy.sessions:
            continue
        yield Finding("session" if process.kind == "session" else "process", told_process(process))
    for file in (proof.files if proof else None) or ():
        if file.state not in ("kept", "new"):
            yield Finding("file", told_file(file))


def age_of(proof: Proof | None, now: float) -> float | None:
    """How long ago a proof was gathered, in seconds; None where it does not tell. Clocks may differ a little."""
    return None if proof is None or proof.time is None else max(0.0, now - proof.time)


def age_text(seconds: float) -> str:
    """A time span for people: 50 s, 12 min, 3 h, 2 d."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _user_data(
    instance: InstanceRecord, member: Member | None, expected: Expected, user_data: bytes | None
) -> Iterator[Finding]:
    data = _data_of(member, expected)
    if data is not None and (user_data or b"") != _decoded(data.get("UserData")):
        yield Finding("user data", "its user data is not the launch template's")


def _attachments(instance: InstanceRecord, member: Member | None, expected: Expected) -> Iterator[Finding]:
    data = _data_of(member, expected)
    groups = tuple(sorted(data.get("SecurityGroupIds", []))) if data is not None else ()
    shown = ", ".join(instance.security_groups) or "none"
    if groups and instance.security_groups != groups:
        yield Finding("security group", f"it has {shown}, not {', '.join(groups)}")
    elif data is not None and not groups and instance.security_group_names != (DEFAULT_GROUP,):
        yield Finding("security group", f"it has {shown}, not the network's default alone")
    for device, volume in sorted(instance.volumes.items()):
        if device != instance.root_device:
            yield Finding("volume", f"{volume} is attached at {device}")


def _data_of(member: Member | None, expected: Expected) -> Mapping[str, Any] | None:
    """The launch template data that a member was launched from, if that is one of the generation's."""
    if member is None or not any(runs(member, one) for one in expected.deployments):
        return None
    return expected.data.get(member.version)


def _decoded(text: str | None) -> bytes:
    return base64.b64decode(text) if text else b""
