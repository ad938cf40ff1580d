"""Instances that have not proven anything: waited for, failed, or taken as they are."""

from __future__ import annotations

import pytest

from invar.fleet.spec import Health
from invar.fleet.verdict import judge

HEALTH = Health("EC2", 300, checks=True, proof="console", proof_port=9741, within=900)


@pytest.mark.parametrize(
    ("new", "age", "standing"),
    [
        (True, 10, "pending"),
        (True, 901, "failed"),
        # Launched just before the rollout began, it boots still: what ran before is no less to be proven.
        (False, 10, "pending"),
        # Its console has long lost its proof.
        (False, 901, "kept"),
    ],
)
def test_an_instance_without_a_proof(new: bool, age: float, standing: str) -> None:
    assert judge(None, "i-1", "0" * 64, HEALTH, parameters=False, age=age, new=new).standing == standing
