"""Keys and signed provenance: what is accepted, and what each kind of damage is called."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from invar.core.errors import InvarError
from invar.fleet.keys import Kind, generate_key, read_private_key, read_public_keys
from invar.fleet.signature import pre_authentication_encoding, sign, verify_signature
from invar.image.provenance import check_statement, encode, read_statement, subject, with_disk

STATEMENT = encode(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject("system", "1" * 64), subject("packages", "2" * 64)],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    }
)


@pytest.fixture(params=["ed25519", "p256"])
def key(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A private key of each kind, its public key beside it."""
    kind: Kind = request.param
    path = tmp_path / "signing.key"
    generate_key(path, kind)
    return path


def public(key: Path) -> Path:
    """The public key's file."""
    return key.with_name(f"{key.name}.pub")


def test_what_is_signed_is_accepted_and_is_the_statement(key: Path) -> None:
    envelope = sign(STATEMENT, read_private_key(key))
    assert verify_signature(envelope, read_public_keys(public(key)), "here") == json.loads(STATEMENT)


def test_a_private_key_is_its_owners_alone_and_never_overwritten(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    with pytest.raises(InvarError, match="exists"):
        generate_key(key, "ed25519")
    assert key.read_bytes() == before


def test_signatures_of_ed25519_are_always_the_same(tmp_path: Path) -> None:
    generate_key(tmp_path / "key", "ed25519")
    key = read_private_key(tmp_path / "key")
    assert sign(STATEMENT, key) == sign(STATEMENT, key)


def test_another_implementation_accepts_the_signature(key: Path, tmp_path: Path) -> None:
    envelope = json.loads(sign(STATEMENT, read_private_key(key)))
    pem = tmp_path / "public.pem"
    openssl("pkey", "-in", key, "-pubout", "-out", pem)
    message, signature = tmp_path / "message", tmp_path / "signature"
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    message.write_bytes(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    signature.write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    raw = ["-rawin"] if b"ed25519:" in public(key).read_bytes() else ["-rawin", "-digest", "sha256"]
    openssl("pkeyutl", "-verify", "-pubin", "-inkey", pem, *raw, "-in", message, "-sigfile", signature)
    assert verify_signature(json.dumps(envelope).encode(), read_public_keys(pem), "here")


def openssl(*arguments: str | Path) -> None:
    """Run openssl, or skip where there is none."""
    try:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")


def test_keys_that_openssl_made_can_sign(tmp_path: Path) -> None:
    for algorithm in (["ED25519"], ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]):
        openssl("genpkey", "-algorithm", *algorithm, "-out", tmp_path / "key.pem")
        key = read_private_key(tmp_path / "key.pem")
        assert verify_signature(sign(STATEMENT, key), [key.public], "here")


def altered(envelope: bytes, **fields: Any) -> bytes:
    """An envelope with other fields."""
    return json.dumps({**json.loads(envelope), **fields}).encode()


def test_every_damage_has_its_name(key: Path, tmp_path: Path) -> None:
    envelope = sign(STATEMENT, read_private_key(key))
    keys = read_public_keys(public(key))
    other = STATEMENT.replace(b"1" * 64, b"3" * 64)
    cases = [
        (b"x", "no JSON"),
        (altered(envelope, payloadType="text/plain"), "no signed provenance"),
        (altered(envelope, payload="?"), "damaged"),
        (altered(envelope, signatures=[{}]), "damaged"),
        (altered(envelope, signatures=[]), "signed by nobody"),
        (altered(envelope, payload=base64.b64encode(other).decode()), "it was altered"),
        (sign(b'{"_type": "x"}', read_private_key(key)), "no provenance"),
    ]
    for damaged, said in cases:
        with pytest.raises(InvarError) as caught:
            verify_signature(damaged, keys, "the record of ami-1")
        assert said in str(caught.value)
        assert "the record of ami-1" in str(caught.value)
    generate_key(tmp_path / "other", "ed25519")
    with pytest.raises(InvarError) as caught:
        verify_signature(envelope, read_public_keys(tmp_path / "other.pub"), "here")
    assert keys[0].id[:16] in str(caught.value)


def test_every_byte_of_the_payload_counts(key: Path) -> None:
    envelope = json.loads(sign(STATEMENT, read_private_key(key)))
    keys = read_public_keys(public(key))
    for at in range(0, len(STATEMENT), 37):
        payload = bytearray(STATEMENT)
        payload[at] ^= 1
        damaged = {**envelope, "payload": base64.b64encode(payload).decode()}
        with pytest.raises(InvarError):
            verify_signature(json.dumps(damaged).encode(), keys, "here")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no public key in the file"),
        ("ed25519:AAAA\n", "a public key has 32 bytes, this one 3"),
        ("# comment\nssh-ed25519 AAAA\n", "key:2"),
        ("ed25519:!!!!\n", "cannot be read"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "this is a private key"),
    ],
)
def test_what_is_no_public_key(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(InvarError) as caught:
        read_public_keys(tmp_path / "key")
    assert said in str(caught.value)


def test_several_keys_may_be_trusted(tmp_path: Path) -> None:
    for name in ("one", "two"):
        generate_key(tmp_path / name, "ed25519")
    trusted = tmp_path / "trusted"
    trusted.write_text("# ours\n" + "".join((tmp_path / f"{name}.pub").read_text() for name in ("one", "two")))
    for name in ("one", "two"):
        envelope = sign(STATEMENT, read_private_key(tmp_path / name))
        assert verify_signature(envelope, read_public_keys(trusted), "here")


def test_an_encrypted_key_needs_its_passphrase(key: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    openssl("pkcs8", "-topk8", "-in", key, "-out", locked, "-passout", "pass:open sesame")
    assert read_private_key(locked, "open sesame").public.id == read_private_key(key).public.id
    for passphrase, said in ((None, "INVAR_KEY_PASSPHRASE"), ("wrong", "passphrase is another one")):
        with pytest.raises(InvarError) as caught:
            read_private_key(locked, passphrase)
        assert said in str(caught.value)


def test_the_encoding_is_that_of_the_specification() -> None:
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_the_subjects_of_a_statement_are_compared_by_name() -> None:
    found = read_statement(with_disk(STATEMENT, "4" * 64), "here")
    check_statement(found, {"system": "1" * 64, "packages": "2" * 64, "disk": "4" * 64}, "here")
    with pytest.raises(InvarError) as caught:
        check_statement(found, {"system": "1" * 64, "packages": "5" * 64, "kernel": "6" * 64}, "here")
    assert caught.value.why == (
        f"packages: the provenance says {'2' * 64}, found {'5' * 64}\n"
        f"kernel: the provenance says nothing, found {'6' * 64}"
    )
    assert with_disk(with_disk(STATEMENT, "5" * 64), "4" * 64) == with_disk(STATEMENT, "4" * 64)
