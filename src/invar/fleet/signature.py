"""Signed provenance: a DSSE envelope around an in-toto statement (github.com/secure-systems-lab/dsse, v1.0)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from invar.core.canonical import canonical_json
from invar.core.errors import InvarError
from invar.fleet.keys import PrivateKey, PublicKey
from invar.image.documents import json_object
from invar.image.provenance import read_statement

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def sign(statement: bytes, key: PrivateKey) -> bytes:
    """The envelope with the statement and one signature, as canonical JSON with a final line break."""
    envelope = {
        "payload": base64.b64encode(statement).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {
                "keyid": key.public.id,
                "sig": base64.b64encode(key.sign(pre_authentication_encoding(PAYLOAD_TYPE, statement))).decode(),
            }
        ],
    }
    return canonical_json(envelope) + b"\n"


def verify_signature(envelope: bytes, keys: Sequence[PublicKey], where: str) -> dict[str, Any]:
    """The statement in an envelope that one of the keys signed. Its subjects are not compared with anything here.

    Raises InvarError that says what does not fit: no envelope, another payload, no signature by these keys, or one that
    is not of this payload.
    """
    found = json_object(envelope, where)
    kind = found.get("payloadType")
    if kind != PAYLOAD_TYPE:
        raise InvarError(
            "this is no signed provenance", where=where, why=f"payloadType is {kind!r}, not {PAYLOAD_TYPE}"
        )
    try:
        payload = base64.b64decode(found["payload"], validate=True)
        signatures = [(str(one.get("keyid", "")), base64.b64decode(one["sig"])) for one in found["signatures"]]
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error) as error:
        raise InvarError("the signed provenance is damaged", where=where, why=str(error)) from error
    message = pre_authentication_encoding(PAYLOAD_TYPE, payload)
    if any(key.verifies(signature, message) for _, signature in signatures for key in keys):
        return read_statement(payload, where)
    raise InvarError("the provenance is not signed by this key", where=where, why=_why(signatures, keys))


def pre_authentication_encoding(kind: str, payload: bytes) -> bytes:
    """What is signed: DSSE's PAE over the payload's type and the payload."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def _why(signatures: Sequence[tuple[str, bytes]], keys: Sequence[PublicKey]) -> str:
    wanted = {key.id for key in keys}
    if any(keyid in wanted for keyid, _ in signatures):
        return "there is a signature by the key, but of other content: it was altered"
    signers = ", ".join(keyid[:16] for keyid, _ in signatures) or "nobody"
    return f"signed by {signers}; trusted: {', '.join(sorted(key.id[:16] for key in keys))}"
