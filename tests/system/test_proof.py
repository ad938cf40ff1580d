"""A proof survives its way over a wire, and nothing else passes for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.system.proof import CheckProof, LayerProof, Proof

PROOF = Proof(
    booted_digest="a" * 64,
    active_digest="b" * 64,
    booted_generation=1,
    active_generation=2,
    kernel="6.12.1",
    boot_id="0b0c",
    uptime=12.5,
    instance_id=None,
    layers=(LayerProof("packages", "c" * 64, "verified"), LayerProof("config", "d" * 64, "corrupted")),
    checks=(CheckProof("web", "passed"), CheckProof("database", "failed", "exit code 2")),
    failed_units=("nginx.service",),
    refused="configuration.nix:3: syntax error",
    nonce="42",
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)
)


def test_a_proof_reads_back_as_it_was() -> None:
    assert Proof.from_json(PROOF.to_json(), where="test") == PROOF
    assert "\n" not in PROOF.to_json()


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert Proof.from_json(json.dumps(json.loads(PROOF.to_json()) | {"later": 1}), where="test") == PROOF


@pytest.mark.parametrize("name", sorted(json.loads(PROOF.to_json()).keys() - {"schema"}))
def test_a_proof_without_one_of_its_fields_is_none(name: str) -> None:
    data = json.loads(PROOF.to_json())
    del data[name]
    with pytest.raises(InvarError, match="no proof"):
        Proof.from_json(json.dumps(data), where="test")


def test_an_unknown_state_of_a_layer_is_refused() -> None:
    with pytest.raises(InvarError, match="no proof"):
        Proof.from_json(PROOF.to_json().replace("corrupted", "fine"), where="test")


@given(ANYTHING)
def test_anything_else_is_refused_with_its_place(value: object) -> None:
    with pytest.raises(InvarError) as caught:
        Proof.from_json(json.dumps(value), where="i-1: GET /proof")
    assert caught.value.where == "i-1: GET /proof"
