"""What a rollout sees of one region: the group, its newest refresh, and a verdict on every new instance.

An instance is asked for its proof when it is in service, and again ever later until it has given one: the calls of a
whole rollout grow with the number of instances, not with how long it takes.
"""

from __future__ import annotations

import secrets
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

from invar.aws.client import Cloud
from invar.aws.groups import GroupRecord, Member, find_group
from invar.aws.instances import InstanceRecord, console_of, find_instances
from invar.aws.refreshes import newest_refresh
from invar.core.errors import InvarError
from invar.fleet.ledger import Deployment, Terms
from invar.fleet.rollout_decision import Facts, runs
from invar.fleet.verdict import Verdict, judge, proof_in
from invar.system.proof import Proof

HTTP_SECONDS = 20
LONGEST_PAUSE = 120.0
"""Seconds between two looks at an instance that gave no proof."""
LARGEST_PROOF = 1 << 20
HOLD_BEFORE = 25.0
"""Seconds before the end of its warm-up in which an unproven instance holds the refresh: more than two looks."""

SKEW = 300.0
"""Seconds that this machine's clock may be ahead of EC2's: AWS takes no request from one that is further off."""


@dataclass(slots=True)
class _Known:
    """What is remembered of an instance."""

    record: InstanceRecord
    verdict: Verdict
    due: float
    pause: float = 10.0
    serving_since: float | None = None


@dataclass(slots=True)
class Observer:
    """Looks at one region of one rollout in one direction, that began at `began`."""

    cloud: Cloud
    region: str
    group: str
    terms: Terms
    began: float
    now: Callable[[], float]
    known: dict[str, _Known] = field(default_factory=dict)
    left: dict[str, _Known] = field(default_factory=dict)
    """Instances of the generation that it goes back from."""
    lost: set[str] = field(default_factory=set)

    def look(
        self, target: Deployment, system_digest: str, past: str | None, leaving: tuple[Deployment, str] | None = None
    ) -> Facts:
        """The region now. `leaving`: what it goes back from, and its system digest, to be judged as well.

        Raises InvarError when AWS does not answer, or the group is gone.
        """
        group = find_group(self.cloud, self.region, self.group)
        if group is None:
            raise InvarError(
                f"there is no group {self.group}",
                where=self.region,
                hint="invar fleet apply makes it",
            )
        refresh = newest_refresh(self.cloud, self.region, self.group)
        mine = [member for member in group.members if runs(member, target)]
        self._learn(mine, self.known)
        present = {member.id for member in mine if member.counts}
        unproven = {identity for identity, one in self.known.items() if one.verdict.standing not in ("proven", "kept")}
        self.lost |= unproven - present
        for member in mine:
            if member.lifecycle == "InService" and member.id in self.known:
                one = self.known[member.id]
                one.serving_since = self.now() if one.serving_since is None else one.serving_since
                self._judge(one, target, system_digest)
        others = self._look_at_leaving(group, target, leaving)
        verdicts = {identity: one.verdict for identity, one in self.known.items() if identity in present}
        settled = refresh is not None and refresh.id == past and not refresh.active
        overdue = tuple(identity for identity in sorted(present) if self._overdue(identity))
        failed = tuple(identity for identity in sorted(present) if self._failed(identity))
        unsound = tuple(identity for identity, one in others.items() if one.standing not in ("proven", "kept"))
        return Facts(
            group, None if settled else refresh, {**verdicts, **others}, len(self.lost), overdue, failed, unsound
        )

    def _look_at_leaving(
        self, group: GroupRecord, target: Deployment, leaving: tuple[Deployment, str] | None
    ) -> dict[str, Verdict]:
        """Verdicts on what is in service of the generation that it goes back from."""
        if leaving is None or leaving[0] == target:
            return {}
        members = [one for one in group.members if one.lifecycle == "InService" and runs(one, leaving[0])]
        self._learn(members, self.left)
        found = {one.id: self.left[one.id] for one in members if one.id in self.left}
        for known in found.values():
            self._judge(known, *leaving)
        return {identity: known.verdict for identity, known in found.items()}

    def _failed(self, identity: str) -> bool:
        one = self.known.get(identity)
        return one is not None and one.verdict.standing == "failed" and self._is_new(one)

    def _is_new(self, one: _Known) -> bool:
        return one.record.launched >= self.began - SKEW

    def _overdue(self, identity: str) -> bool:
        one = self.known.get(identity)
        if one is None or one.verdict.standing != "pending" or one.serving_since is None:
            return False
        return self.now() - one.serving_since >= max(0.0, self.terms.rollout.warm_up - HOLD_BEFORE)

    def _learn(self, members: list[Member], known: dict[str, _Known]) -> None:
        new = {member.id for member in members if member.id not in known}
        if not new:
            return
        for record in find_instances(self.cloud, self.region, ids=new):
            known[record.id] = _Known(record, Verdict("pending", "it boots"), self.now())

    def _judge(self, one: _Known, target: Deployment, system_digest: str) -> None:
        now = self.now()
        if one.verdict.standing != "pending" or now < one.due:
            return
        age = now - one.record.launched
        if one.record.image != target.image:
            one.verdict = Verdict("failed", f"it was launched from {one.record.image}, not {target.image}")
            return
        proof = proof_of(self.cloud, one.record, self.terms)
        one.verdict = judge(
            proof,
            one.record.id,
            system_digest,
            self.terms.health,
            parameters=self.terms.parameters,
            age=age,
            new=self._is_new(one),
        )
        one.due = min(now + one.pause, max(now + 1, one.record.launched + self.terms.health.within + 1))
        one.pause = min(LONGEST_PAUSE, one.pause * 1.5)


def proof_of(cloud: Cloud, instance: InstanceRecord, terms: Terms) -> Proof | None:
    """What an instance proves in the way that its fleet declares; None when it gives no answer."""
    if terms.health.proof == "http":
        return by_http(instance.address, terms.health.proof_port)
    console = console_of(cloud, instance.region, instance.id)
    return proof_in(console, f"the console of {instance.id}")


def by_http(address: str | None, port: int) -> Proof | None:
    """Ask over HTTP, with a nonce that the answer has to repeat; None when nothing or something else answers."""
    nonce = secrets.token_hex(16)
    where = f"http://{address}:{port}/proof?nonce={nonce}"
    if address is None:
        return None
    try:
        with _OPENER.open(where, timeout=HTTP_SECONDS) as answer:
            text = answer.read(LARGEST_PROOF)
        proof = Proof.from_json(text, where=where)
    except (OSError, InvarError):
        return None
    return proof if proof.nonce == nonce else None


def tail(console: str, lines: int = 20) -> str:
    """The end of a console, without proofs."""
    kept = [line.rstrip() for line in console.replace("\r", "\n").splitlines()]
    return "\n".join([line for line in kept if line and "invar-proof: " not in line][-lines:])


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
