"""A proof survives its way over a wire, and nothing else passes for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.system.proof import CheckProof, FileProof, LayerProof, ProcessProof, Proof, lines_of

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
    time=1_800_000_000.25,
    processes=(
        ProcessProof("foreign", "web.service", "/tmp/x", (12, 13), 5, "the program is not of the sealed system"),
    ),
    files=(FileProof("/var/lib/model", "altered", "source", "e" * 64, "f" * 64, ("weights",)),),
)
OF_LATER_VERSIONS = {"time", "processes", "files"}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)
)


def test_a_proof_reads_back_as_it_was() -> None:
    assert Proof.from_json(PROOF.to_json(), where="test") == PROOF
    assert "\n" not in PROOF.to_json()


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert Proof.from_json(json.dumps(json.loads(PROOF.to_json()) | {"later": 1}), where="test") == PROOF


def test_an_earlier_version_tells_neither_processes_nor_files() -> None:
    data = json.loads(PROOF.to_json())
    earlier = {name: value for name, value in data.items() if name not in OF_LATER_VERSIONS}
    proof = Proof.from_json(json.dumps(earlier), where="test")
    assert (proof.time, proof.processes, proof.files) == (None, None, None)


def test_what_is_not_declared_is_told_in_lines() -> None:
    lines = lines_of(PROOF)
    assert (
        "process       foreign: /tmp/x (12, 13, ...) in web.service: the program is not of the sealed system" in lines
    )
    assert "file          /var/lib/model is not its source: weights" in lines


@pytest.mark.parametrize(
    ("before", "after"), [('"foreign"', '"friendly"'), ("[12,13]", '["12"]'), ('"count":5', '"count":true')]
)
def test_a_process_or_a_file_that_is_none_is_refused(before: str, after: str) -> None:
    assert before in PROOF.to_json()
    with pytest.raises(InvarError, match="no proof"):
        Proof.from_json(PROOF.to_json().replace(before, after), where="test")


@pytest.mark.parametrize("name", sorted(json.loads(PROOF.to_json()).keys() - {"schema"} - OF_LATER_VERSIONS))
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
