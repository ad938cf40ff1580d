"""Ed25519 against RFC 8032's vectors and against `cryptography`."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.core.ed25519 import verify

ORDER = 2**252 + 27742317777372353535851937790883648493

# Section 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_vectors_of_the_rfc(key: str, message: str, signature: str) -> None:
    public, content, signed = (bytes.fromhex(text) for text in (key, message, signature))
    assert verify(public, content, signed)
    assert not verify(public, content + b"x", signed)


@settings(max_examples=25)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=300), bit=st.integers(0, 511))
def test_agrees_with_cryptography(seed: bytes, message: bytes, bit: int) -> None:
    secret = Ed25519PrivateKey.from_private_bytes(seed)
    public = secret.public_key().public_bytes_raw()
    signature = secret.sign(message)
    assert verify(public, message, signature)
    altered = bytearray(signature)
    altered[bit // 8] ^= 1 << bit % 8
    assert verify(public, message, bytes(altered)) == accepts(public, message, bytes(altered)) is False


def test_a_scalar_that_is_not_reduced_is_no_signature() -> None:
    secret = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
    signature = secret.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not verify(
        secret.public_key().public_bytes_raw(), b"message", signature[:32] + scalar.to_bytes(32, "little")
    )


@pytest.mark.parametrize("key", ["01" + "00" * 31, "00" * 32, "ec" + "ff" * 30 + "7f"])
def test_keys_that_fit_every_message_are_refused(key: str) -> None:
    identity = bytes.fromhex("01" + "00" * 31)
    assert not verify(bytes.fromhex(key), b"anything", identity + b"\0" * 32)


@pytest.mark.parametrize(
    ("key", "signature"),
    [(b"", b"\0" * 64), (b"\0" * 31, b"\0" * 64), (b"\xff" * 32, b"\xff" * 64), (b"\x02" + b"\0" * 31, b"")],
)
def test_wrong_shapes_are_no_signatures(key: bytes, signature: bytes) -> None:
    assert not verify(key, b"", signature)


def accepts(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True
