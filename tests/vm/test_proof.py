"""Proof off a console, whole lines only."""

from __future__ import annotations

from dataclasses import replace

from invar.system.proof import CONSOLE_PREFIX, LayerProof, Proof
from invar.vm.proof import new_nonce, proofs_in

PROOF = Proof(
    booted_digest="a" * 64,
    active_digest="b" * 64,
    booted_generation=1,
    active_generation=2,
    kernel="6.12",
    boot_id="boot",
    uptime=12.5,
    instance_id="i-1",
    layers=(LayerProof("config", "c" * 64, "verified"),),
    checks=(),
    failed_units=(),
)


def test_the_last_whole_proof_counts() -> None:
    second = replace(PROOF, active_generation=3)
    console = (
        f"[    1.0] systemd\r\n{CONSOLE_PREFIX}{PROOF.to_json()}\r\nlogin: {CONSOLE_PREFIX}{second.to_json()}\n"
        f"{CONSOLE_PREFIX}{PROOF.to_json()[:50]}"
    )
    assert proofs_in(console, "web") == [PROOF, second]
    assert proofs_in("nothing here", "web") == []


def test_a_proof_shows_a_system_whose_layers_are_verified() -> None:
    assert PROOF.shows("b" * 64) and not PROOF.shows("a" * 64)
    assert not replace(PROOF, layers=(LayerProof("config", "c" * 64, "corrupted"),)).shows("b" * 64)


def test_nonces_differ() -> None:
    assert new_nonce() != new_nonce()
