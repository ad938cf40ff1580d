"""Keys that sign provenance: Ed25519 or ECDSA on P-256, as PEM files, or as one line with a raw Ed25519 public key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from invar.core.errors import ExitCode, InvarError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Kind = Literal["ed25519", "p256"]
PREFIX = "ed25519:"
"""Before the base64 of the raw 32 bytes of an Ed25519 public key (RFC 8032): the form that instances read."""

PASSPHRASE = "INVAR_KEY_PASSPHRASE"
"""The environment variable with the passphrase of an encrypted private key."""

_RAW_BYTES = 32
_PEM = "-----BEGIN "


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key to check signatures with. `id` is the SHA-256 (hex) of its SubjectPublicKeyInfo in DER (RFC 5280)."""

    kind: Kind
    id: str
    key: Ed25519PublicKey | EllipticCurvePublicKey

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature is this key's on the message. ECDSA is with SHA-256, the signature in DER."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            if isinstance(self.key, EllipticCurvePublicKey):
                self.key.verify(signature, message, ECDSA(SHA256()))
            else:
                self.key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def text(self) -> str:
        """The key's file: one line for Ed25519, PEM for P-256."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        if self.kind == "ed25519":
            raw = self.key.public_bytes(Encoding.Raw, PublicFormat.Raw)
            return f"{PREFIX}{base64.b64encode(raw).decode()}\n"
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key to sign with."""

    public: PublicKey
    key: Ed25519PrivateKey | EllipticCurvePrivateKey

    def sign(self, message: bytes) -> bytes:
        """The signature of a message: of Ed25519 always the same, of ECDSA (DER, SHA-256) another one each time."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256

        if isinstance(self.key, EllipticCurvePrivateKey):
            return self.key.sign(message, ECDSA(SHA256()))
        return self.key.sign(message)


def generate_key(path: Path, kind: Kind) -> PublicKey:
    """Make a key pair: PKCS #8 in PEM at `path`, readable by its owner only, and the public key at `path`.pub.

    Nothing is overwritten. Raises InvarError.
    """
    _require()
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    public = _public(key.public_key(), str(path))
    _create(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    _create(path.with_name(f"{path.name}.pub"), public.text().encode(), 0o644)
    return public


def read_private_key(path: Path, passphrase: str | None = None) -> PrivateKey:
    """A private key out of a PEM file (PKCS #8, SEC 1 or OpenSSH). Raises InvarError, never with any of its content."""
    _require()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    data = _read(path)
    password = passphrase.encode() if passphrase else None
    load = load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in data else load_pem_private_key
    try:
        key = load(data, password)
    except TypeError as error:
        raise InvarError(
            "the private key and the passphrase do not go together",
            where=str(path),
            why="it is encrypted" if password is None else "it is not encrypted",
            hint=f"put its passphrase into {PASSPHRASE}" if password is None else f"unset {PASSPHRASE}",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        public = data.decode(errors="replace").startswith(PREFIX) or b"PUBLIC KEY" in data
        why = "it is a public key" if public else "it is no private key in PEM, or its passphrase is another one"
        raise InvarError("the private key cannot be read", where=str(path), why=why) from error
    if isinstance(key, (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey)):
        return PrivateKey(_public(key.public_key(), str(path)), key)
    raise _unsupported(type(key).__name__, str(path))


def read_public_keys(path: Path) -> tuple[PublicKey, ...]:
    """The public keys in a file: lines of the `ed25519:` form (`#` begins a comment), or PEM. Raises InvarError."""
    _require()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = _read(path).decode(errors="replace")
    keys = []
    try:
        if "PRIVATE KEY" in text:
            raise InvarError(
                "this is a private key", where=str(path), hint="name the public key: `invar key public` prints it"
            )
        if _PEM in text:
            for block in text.split(_PEM)[1:]:
                keys.append(_public(load_pem_public_key((_PEM + block).encode()), str(path)))
        for number, line in enumerate(() if _PEM in text else text.splitlines(), 1):
            line = line.partition("#")[0].strip()
            if not line:
                continue
            place = f"{path}:{number}"
            if not line.startswith(PREFIX):
                raise InvarError(f"this line is no public key of the form {PREFIX}BASE64", where=place)
            raw = base64.b64decode(line.removeprefix(PREFIX), validate=True)
            if len(raw) != _RAW_BYTES:
                raise InvarError(f"a public key has {_RAW_BYTES} bytes, this one {len(raw)}", where=place)
            keys.append(_public(Ed25519PublicKey.from_public_bytes(raw), place))
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise InvarError("the public key cannot be read", where=str(path), why=str(error)) from error
    if not keys:
        raise InvarError("there is no public key in the file", where=str(path))
    return tuple(keys)


def _public(key: object, where: str) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        kind: Kind = "p256"
    elif isinstance(key, ed25519.Ed25519PublicKey):
        kind = "ed25519"
    else:
        raise _unsupported(type(key).__name__, where)
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(kind, hashlib.sha256(der).hexdigest(), key)


def _unsupported(name: str, where: str) -> InvarError:
    return InvarError(
        f"keys of this kind do not sign here: {name}",
        where=where,
        hint="make an Ed25519 key: invar key generate FILE",
    )


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise InvarError(f"{path} exists", hint="name another file, or delete it", exit_code=ExitCode.USAGE) from None
    except OSError as error:
        raise InvarError(f"cannot write {path}", why=error.strerror) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvarError("cannot read the key", where=str(path), why=error.strerror) from error


def _require() -> None:
    try:
        import cryptography  # noqa: F401  # it is optional, and told of in one place
    except ImportError as error:
        raise InvarError(
            "signatures need the Python package cryptography", hint="pip install invar[signing]"
        ) from error
