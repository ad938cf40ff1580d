"""The size, the envelope and the signature of user data, as both ends see them."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.system.user_data import (
    LIMIT,
    PublicKey,
    Signature,
    check_size,
    generation_document,
    message_to_sign,
    parameters_document,
    split_signature,
    verified,
    with_signature,
)

SECRET = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
KEY = PublicKey(SECRET.public_key().public_bytes_raw())
OTHER = PublicKey(Ed25519PrivateKey.from_private_bytes(b"\x08" * 32).public_key().public_bytes_raw())


def signed(content: bytes) -> bytes:
    return with_signature(content, Signature(KEY.id, SECRET.sign(message_to_sign(content))))


def test_the_limit_is_ec2s() -> None:
    check_size(b"x" * LIMIT)
    with pytest.raises(InvarError, match="16385 bytes"):
        check_size(b"x" * (LIMIT + 1), where="web.nix")


def test_documents_are_the_envelope() -> None:
    assert json.loads(parameters_document({"role": "web"})) == {"invar": {"parameters": {"role": "web"}}}
    assert json.loads(generation_document("ab" * 32)) == {"invar": {"generation": "ab" * 32}}
    assert json.loads(generation_document("ab" * 32, "https://c"))["invar"]["cache"] == "https://c"


@settings(max_examples=20)
@given(st.binary(max_size=200).map(lambda data: data + b"\n"))
def test_what_was_signed_comes_back(content: bytes) -> None:
    assert verified(signed(content), [OTHER, KEY]) == content
    assert split_signature(signed(content))[0] == content


@pytest.mark.parametrize(
    ("data", "trusted", "why"),
    [
        (b"{ }\n", [KEY], "not signed"),
        (b"", [KEY], "not signed"),
        (signed(b"{ }\n"), [OTHER], "a key that this image does not trust"),
        (signed(b"{ }\n").replace(b"{ }", b"{  }"), [KEY], "was altered"),
        (b"# before\n" + signed(b"{ }\n"), [KEY], "was altered"),
        (signed(b"{ }\n") + b"{ evil = true; }\n", [KEY], "not signed"),
        (signed(signed(b"{ }\n"))[:-3] + b"\n", [KEY], "malformed"),
        (b"{ }\n# invar-signature: none\n", [KEY], "malformed"),
        (signed(b"{ }\n").replace(KEY.id.encode(), OTHER.id.encode()), [KEY, OTHER], "was altered"),
    ],
)
def test_anything_else_is_refused(data: bytes, trusted: list[PublicKey], why: str) -> None:
    with pytest.raises(InvarError) as refused:
        verified(data, trusted)
    assert why in str(refused.value)


def test_the_line_is_a_comment_with_nothing_behind_it() -> None:
    text = signed(b"#!/bin/sh\ntrue\n").decode()
    assert text.splitlines()[-1].startswith("# invar-signature: ed25519:") and text.endswith("==\n")
    assert split_signature(b"{ }") == (b"{ }", None)


def test_keys_are_read_as_they_are_written() -> None:
    assert PublicKey.parse(str(KEY)) == KEY
    for wrong in ("", "ed25519:", "ed25519:AAAA", "rsa:" + str(KEY)[8:], str(KEY) + "x"):
        with pytest.raises(InvarError, match="no public key"):
            PublicKey.parse(wrong)
