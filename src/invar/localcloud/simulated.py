"""Instances without a machine: what they would say on their console, and whether they would answer a request. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from invar.localcloud.behaviour import Behaviour
from invar.localcloud.instances import NEVER, Instance
from invar.localcloud.settings import Settings
from invar.system.proof import CONSOLE_PREFIX, CheckProof, FileProof, LayerProof, ProcessProof, Proof

SYSTEM_TAG, GENERATION_TAG = "invar:system", "invar:generation"
"""The tags of an image that say what is in it."""
PROOF_SECONDS = 3600.0
"""How often a machine prints its proof, as `invar.proof.console.interval` has it by default."""


def started(instance: Instance, now: float, settings: Settings) -> None:
    """Set when a simulated instance that starts now will run and when its boot will be over."""
    behaviour = instance.behaviour
    seconds = settings.boot_seconds if behaviour.boot_seconds is None else behaviour.boot_seconds
    instance.until = now + settings.pending_seconds
    instance.boots_at = NEVER if behaviour.never_boots else instance.until + seconds


def answers(instance: Instance, now: float) -> bool:
    """Whether its services answer."""
    if instance.state != "running" or instance.running is None or now < instance.boots_at:
        return False
    sick = instance.behaviour.unhealthy_after
    return not instance.fails(now) and (sick is None or now < instance.running + sick)


def proof_of(instance: Instance, now: float, nonce: str | None = None) -> Proof | None:
    """What it proves to whoever asks it; None when it gives no answer."""
    if not answers(instance, now) or instance.behaviour.silent:
        return None
    return replace(_proof(instance, now), nonce=nonce)


def console_of(instance: Instance, now: float) -> bytes:
    """Its console so far, with the line of proof that a machine prints at the end of its boot, and every hour since."""
    if instance.running is None:
        return b""
    lines = ["[    0.000000] Linux version 6.12.0-simulated", f"[    0.000000] instance {instance.id}"]
    if now >= instance.boots_at:
        lines += [f"invar: failed unit {name}" for name in instance.behaviour.failed_units]
        lost = instance.behaviour.lost_after
        if not instance.behaviour.silent and (lost is None or now < instance.running + lost):
            hours = (now - instance.boots_at) // PROOF_SECONDS
            for at in sorted({0, hours}):
                proof = _proof(instance, instance.boots_at + at * PROOF_SECONDS)
                lines.append(CONSOLE_PREFIX + proof.to_json())
        lines.append(f"{host_name(instance)} login: ")
    return "\r\n".join(lines).encode()


def host_name(instance: Instance) -> str:
    """The host name that its address gives."""
    return "ip-" + instance.address.replace(".", "-")


def _proof(instance: Instance, now: float) -> Proof:
    whole = _whole_proof(instance, now)
    return replace(whole, time=None, processes=None, files=None) if instance.behaviour.earlier else whole


def _whole_proof(instance: Instance, now: float) -> Proof:
    behaviour = instance.behaviour
    digest = behaviour.digest or instance.image_tags.get(SYSTEM_TAG, "")
    generation = _number(instance.image_tags, GENERATION_TAG)
    failed = behaviour.failed_units
    return Proof(
        booted_digest=digest,
        active_digest=digest,
        booted_generation=generation,
        active_generation=generation,
        kernel="6.12.0-simulated",
        boot_id=str(hashlib.sha256(f"{instance.id} {instance.boots}".encode()).hexdigest()[:32]),
        uptime=max(0.0, now - (instance.running or now)),
        instance_id=instance.id,
        layers=(
            LayerProof("packages", _root(digest, "packages"), "corrupted" if behaviour.corrupted else "verified"),
            LayerProof("config", _root(digest, "config"), "verified"),
        ),
        checks=tuple(CheckProof(name, "failed", "its unit failed") for name in failed),
        failed_units=failed,
        time=now,
        processes=tuple(_processes(behaviour)),
        files=tuple(
            FileProof(path, "altered", "source", _root(path, "now"), _root(path, "source"), (".",))
            for path in behaviour.altered
        ),
    )


def _processes(behaviour: Behaviour) -> Iterator[ProcessProof]:
    for number, program in enumerate(behaviour.strays):
        why = "/run/systemd/transient/run-u1.service is not of the sealed system"
        yield ProcessProof("undeclared", "run-u1.service", program, (1000 + number,), 1, why)
    for number, program in enumerate(behaviour.sessions):
        yield ProcessProof("session", "session-1.scope", program, (2000 + number,), 1)


def _number(tags: Mapping[str, str], name: str) -> int:
    text = tags.get(name, "")
    return int(text) if text.isdecimal() else 1


def _root(digest: str, kind: str) -> str:
    return hashlib.sha256(f"{kind} {digest}".encode()).hexdigest()
