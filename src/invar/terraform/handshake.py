"""How Terraform starts a plugin: the magic cookie, the line on standard output, and the certificate of the connection.

Source: hashicorp/go-plugin, `docs/internals.md`. The line is `CORE|PROTOCOL|unix|SOCKET|grpc|CERTIFICATE`, the
certificate DER in base64 without padding. Terraform trusts just this one; the socket lies in a directory of mode 0700.
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from invar.core.errors import ExitCode, InvarError

COOKIE = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
CORE_PROTOCOL = 1
PLUGIN_PROTOCOL = 6
LIFETIME = timedelta(days=3650)
LEAST_LEFT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A key and its self-signed certificate, both PEM."""

    key: bytes
    certificate: bytes

    @property
    def encoded(self) -> str:
        """The certificate as the handshake carries it."""
        body = b"".join(line for line in self.certificate.splitlines() if not line.startswith(b"-----"))
        return base64.b64encode(base64.b64decode(body)).decode().rstrip("=")


def check_started_by_terraform(environment: Mapping[str, str]) -> None:
    """Raises InvarError when nobody who speaks the protocol has started this process."""
    name, value = COOKIE
    if environment.get(name) != value:
        raise InvarError(
            "this is a Terraform provider, and Terraform starts it by itself",
            hint="`invar terraform install` puts it into a project; then run `terraform init` there",
            exit_code=ExitCode.USAGE,
        )
    versions = environment.get("PLUGIN_PROTOCOL_VERSIONS", "")
    if str(PLUGIN_PROTOCOL) not in versions.split(","):
        raise InvarError(
            f"this Terraform speaks plugin protocol {versions or '?'}, the provider {PLUGIN_PROTOCOL}",
            hint="Terraform 1.0 or newer is needed",
        )


def handshake_line(socket: Path, certificate: Certificate) -> str:
    """What the plugin says on standard output once it listens."""
    return f"{CORE_PROTOCOL}|{PLUGIN_PROTOCOL}|unix|{socket}|grpc|{certificate.encoded}"


def own_certificate(directory: Path, *, now: datetime | None = None) -> Certificate:
    """This user's certificate for local connections, made once and renewed before it ends."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / "terraform-provider.pem"
    today = now or datetime.now(UTC)
    with (directory / ".terraform-provider.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists() and _good_until(path) > (today + LEAST_LEFT).timestamp():
            return _split(path.read_bytes())
        made = _make(today)
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(made.key + made.certificate)
        end = (today + LIFETIME).timestamp()
        os.utime(temporary, (end, end))
        temporary.replace(path)
        return made


def _good_until(path: Path) -> float:
    """Kept as the file's time, so that a start need not parse X.509."""
    return path.stat().st_mtime


def _split(pem: bytes) -> Certificate:
    head, marker, rest = pem.partition(b"-----BEGIN CERTIFICATE-----")
    return Certificate(head, marker + rest)


def _make(today: datetime) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(private, certificate.public_bytes(serialization.Encoding.PEM))
