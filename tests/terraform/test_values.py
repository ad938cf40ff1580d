"""Terraform's values on the wire."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.terraform.values import UNKNOWN, decode_value, encode_value, is_known

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.just(UNKNOWN),
    lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(), of, max_size=3),
)


@given(VALUES)
def test_a_value_reads_back_as_it_was(value: object) -> None:
    assert decode_value({**encode_value(value), "json": b""}) == value


def test_a_refined_unknown_is_unknown() -> None:
    refined = msgpack.packb({"a": msgpack.ExtType(12, msgpack.packb({1: False}))})
    assert decode_value({"msgpack": refined, "json": b""}) == {"a": UNKNOWN}


def test_json_is_read_where_there_is_no_messagepack() -> None:
    assert decode_value({"msgpack": b"", "json": b'{"a": [1]}'}) == {"a": [1]}
    assert decode_value(None) is None


@pytest.mark.parametrize(
    ("value", "known"),
    [({"a": [1, None]}, True), ({"a": [UNKNOWN]}, False), ([{"b": UNKNOWN}], False), (UNKNOWN, False)],
)
def test_what_waits_for_apply_is_found_at_any_depth(value: object, known: bool) -> None:
    assert is_known(value) is known
