"""Protocol buffers: the encoding guide's own bytes, every message back as it was, and damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.terraform.protobuf import Field, WireError, decode, encode

TABLES = {
    "Outer": (
        Field(1, "text", "string"),
        Field(2, "data", "bytes"),
        Field(3, "flag", "bool"),
        Field(4, "number", "int"),
        Field(5, "inner", "message", "Inner"),
        Field(6, "inners", "message", "Inner", repeated=True),
        Field(7, "texts", "map"),
        Field(200, "by_name", "map", "Inner"),
    ),
    "Inner": (Field(1, "name", "string"), Field(2, "values", "int", repeated=True)),
}
NUMBERS = st.integers(-(2**63), 2**63 - 1)
INNER = st.fixed_dictionaries({"name": st.text(), "values": st.lists(NUMBERS, max_size=3)})
OUTER = st.fixed_dictionaries(
    {
        "text": st.text(),
        "data": st.binary(),
        "flag": st.booleans(),
        "number": NUMBERS,
        "inner": st.none() | INNER,
        "inners": st.lists(INNER, max_size=3),
        "texts": st.dictionaries(st.text(), st.text(), max_size=3),
        "by_name": st.dictionaries(st.text(), INNER, max_size=3),
    }
)


@given(OUTER)
def test_a_message_reads_back_as_it_was(message: dict[str, object]) -> None:
    assert decode(TABLES, "Outer", encode(TABLES, "Outer", message)) == message


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ({}, ""),
        ({"number": 150}, "20 96 01"),
        ({"number": -1}, "20 ff ff ff ff ff ff ff ff ff 01"),
        ({"text": "testing"}, "0a 07 74 65 73 74 69 6e 67"),
        ({"flag": True}, "18 01"),
        ({"inner": {"name": "a"}}, "2a 03 0a 01 61"),
        ({"inners": [{}, {"name": "a"}]}, "32 00 32 03 0a 01 61"),
        ({"texts": {"k": "v"}}, "3a 06 0a 01 6b 12 01 76"),
        ({"by_name": {"k": {"name": "v"}}}, "c2 0c 08 0a 01 6b 12 03 0a 01 76"),
    ],
)
def test_the_bytes_are_those_of_the_encoding_guide(message: dict[str, object], data: str) -> None:
    assert encode(TABLES, "Outer", message) == bytes.fromhex(data)


def test_fields_of_a_later_protocol_are_passed_over() -> None:
    later = bytes.fromhex("f8 06 05 fa 06 01 00 f9 06 0102030405060708 fd 06 01020304 0a 01 61")
    assert decode(TABLES, "Outer", later)["text"] == "a"


@pytest.mark.parametrize("data", ["0a", "0a 05 61", "20 ff", "0a 01 ff", "2a 05 0a 09 61 61 61", "0b", "08 01"])
def test_damaged_bytes_are_refused(data: str) -> None:
    with pytest.raises(WireError):
        decode(TABLES, "Outer", bytes.fromhex(data))


@given(st.binary())
def test_anything_is_a_message_or_refused(data: bytes) -> None:
    try:
        decode(TABLES, "Outer", data)
    except WireError:
        return


def test_an_unknown_field_or_an_unfit_value_is_refused() -> None:
    with pytest.raises(WireError, match="no field nothing"):
        encode(TABLES, "Outer", {"nothing": 1})
    with pytest.raises(WireError, match="text"):
        encode(TABLES, "Outer", {"text": 1})
