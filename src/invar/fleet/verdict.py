"""Whether a new instance is a good one: judged by what it proves. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from invar.core.errors import InvarError
from invar.fleet.spec import Health
from invar.system.proof import CONSOLE_PREFIX, Proof

Standing = Literal["proven", "kept", "pending", "failed"]
"""kept: it ran before the rollout began, and its console no longer has its proof."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one instance; `why` names what failed, or what is still awaited."""

    standing: Standing
    why: str = ""


PROVEN = Verdict("proven")


def judge(
    proof: Proof | None,
    instance: str,
    system_digest: str,
    health: Health,
    *,
    parameters: bool,
    age: float,
    new: bool = True,
) -> Verdict:
    """Judge an instance that should run `system_digest`. `age`: seconds since its launch. `new`: it was launched
    since the rollout began.

    With `parameters` the instance makes a system of its own out of the image's: then the booted one has to be the
    image's, and the parameters must not have been refused.
    """
    late = age > health.within
    if proof is None:
        if not late:
            return Verdict("pending", "no proof yet")
        if new:
            return Verdict("failed", f"no proof of what it runs within {health.within} s")
        return Verdict("kept", "it ran before, and gives no proof now")
    if proof.instance_id is not None and proof.instance_id != instance:
        return Verdict("failed", f"its proof is that of {proof.instance_id}")
    bad = [layer for layer in proof.layers if layer.state != "verified"]
    if bad or not proof.layers:
        what = ", ".join(f"layer {layer.kind} is {layer.state}" for layer in bad) or "its proof names no layer"
        return Verdict("failed", what)
    shown = proof.booted_digest if parameters else proof.active_digest
    if shown != system_digest:
        return Verdict("failed", f"it runs system {shown[:12]}, not {system_digest[:12]}")
    if proof.refused:
        return Verdict("failed", f"it refused its user data: {proof.refused}")
    if not health.checks:
        return PROVEN
    failed = [f"check {one.name}: {one.message or 'failed'}" for one in proof.checks if one.state == "failed"]
    failed += [f"unit {name} failed" for name in proof.failed_units]
    if failed:
        return Verdict("failed", "; ".join(failed))
    pending = [one.name for one in proof.checks if one.state == "pending"]
    if pending and not late:
        return Verdict("pending", f"check {', '.join(pending)} has not passed yet")
    if pending:
        return Verdict("failed", f"check {', '.join(pending)} did not pass within {health.within} s")
    return PROVEN


def proof_in(console: str, where: str) -> Proof | None:
    """The last proof on a console that can be read, None where there is none.

    Only lines that begin with it count, so that what a program quotes of it in a log line is not taken for one.
    """
    found = None
    for line in console.replace("\r", "\n").splitlines():
        if not line.startswith(CONSOLE_PREFIX):
            continue
        try:
            found = Proof.from_json(line.removeprefix(CONSOLE_PREFIX), where=where)
        except InvarError:
            continue  # a line that the console cut, or mixed with another: the next one tells
    return found
