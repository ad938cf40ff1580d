"""InRelease: the signed index of a suite, verified against the archive's public keys."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.resources import files

from pysequoia import Cert, Sig, verify
from pysequoia.packet import PacketPile

from invar.core.errors import InvarError
from invar.debian.stanza import parse_stanza

CLOCK_TOLERANCE = timedelta(hours=24)
_SIGNATURE = re.compile(rb"-----BEGIN PGP SIGNATURE-----.*?-----END PGP SIGNATURE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Release:
    """What the signed part of an InRelease file says.

    `files` maps a path relative to the suite's directory to (SHA-256, size in bytes). `sha256` is the InRelease file's
    own.
    """

    codename: str
    date: datetime
    valid_until: datetime | None
    architectures: tuple[str, ...]
    by_hash: bool
    files: Mapping[str, tuple[str, int]]
    sha256: str


def load_keyring() -> tuple[Cert, ...]:
    """The public keys of Debian's archive that Invar ships (bookworm and trixie: automatic, security, stable)."""
    keys = sorted(files("invar.debian").joinpath("keys").iterdir(), key=lambda path: path.name)
    return tuple(Cert.from_bytes(path.read_bytes()) for path in keys if path.name.endswith(".asc"))


def read_release(text: bytes, keyring: Sequence[Cert], *, suite: str, where: str) -> Release:
    """Verify an InRelease file and parse what is signed in it, and nothing else.

    Raises InvarError: no signature, an unknown key, an expired key or signature, altered text, or another suite than
    `suite`.
    """
    return _parse(_signed_text(text, keyring, where), hashlib.sha256(text).hexdigest(), suite, where)


def check_fresh(release: Release, now: datetime, *, where: str) -> None:
    """Raise InvarError if the index has expired at `now`, or lies more than a day in the future."""
    if release.valid_until is not None and now > release.valid_until:
        raise InvarError(
            f"the index of {release.codename} has expired",
            where=where,
            why=f"it was valid until {release.valid_until:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M} UTC",
            hint="the mirror is out of date: name another one with INVAR_MIRROR (or check this machine's clock)",
        )
    if release.date > now + CLOCK_TOLERANCE:
        raise InvarError(
            f"the index of {release.codename} is from the future",
            where=where,
            why=f"it is dated {release.date:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M} UTC",
            hint="check this machine's clock",
        )


def _signed_text(text: bytes, keyring: Sequence[Cert], where: str) -> bytes:
    asked: list[str] = []

    def certificates(key_ids: list[str]) -> list[Cert]:
        asked.extend(key_ids)
        return list(keyring)

    try:
        result = verify(bytes=text, store=certificates)
    except RuntimeError as error:
        raise _refusal(text, keyring, asked, str(error).partition("\n")[0], where) from None
    if result.bytes is None or not result.valid_sigs:
        raise _refusal(text, keyring, asked, "no valid signature", where)
    return result.bytes


def _refusal(text: bytes, keyring: Sequence[Cert], asked: Sequence[str], reason: str, where: str) -> InvarError:
    signatures = _signatures(text)
    if not signatures:
        return InvarError(
            "the index is not signed",
            where=where,
            why=reason,
            hint="this is no mirror, or something on the way replaces its answers; try another one (INVAR_MIRROR)",
        )
    known = _key_ids(keyring)
    issuers = set(asked) | {signature.issuer_fingerprint or signature.issuer_key_id or "?" for signature in signatures}
    if not any(issuer in known or issuer[-16:] in known for issuer in issuers):
        return InvarError(
            "the index is signed with a key that Invar does not know",
            where=where,
            why=f"signed by {', '.join(sorted(issuers))}",
            hint="only Debian's own archive is trusted; name a mirror of it with INVAR_MIRROR",
        )
    now = datetime.now(UTC)
    expired = [signature.expiration for signature in signatures if signature.expiration and signature.expiration < now]
    if len(expired) == len(signatures):
        return InvarError(
            "the signature of the index has expired",
            where=where,
            why=f"it was valid until {max(expired):%Y-%m-%d %H:%M} UTC",
            hint="the mirror is out of date: name another one with INVAR_MIRROR",
        )
    signers = [cert for cert in keyring if _key_ids([cert]) & {issuer[-16:] for issuer in issuers}]
    gone = [cert.expiration for cert in signers if cert.expiration and cert.expiration < now]
    if signers and len(gone) == len(signers):
        return InvarError(
            "the key that signed the index has expired",
            where=where,
            why=f"it was valid until {max(gone):%Y-%m-%d %H:%M} UTC",
            hint="use a newer Invar, which ships the archive's current keys (or check this machine's clock)",
        )
    return InvarError(
        "the index is not what its signature says: it was altered",
        where=where,
        why=reason,
        hint="do not trust this mirror or the way to it; name another one with INVAR_MIRROR",
    )


def _signatures(text: bytes) -> list[Sig]:
    match = _SIGNATURE.search(text)
    if match is None:
        return []
    try:
        return [Sig.from_bytes(bytes(packet)) for packet in PacketPile.from_bytes(match[0])]
    except RuntimeError:
        return []


def _key_ids(keyring: Sequence[Cert]) -> set[str]:
    """Fingerprints and 16-digit key ids of every key and subkey."""
    found = set()
    for cert in keyring:
        for packet in PacketPile.from_bytes(bytes(cert)):
            if packet.fingerprint:
                found |= {packet.fingerprint, packet.fingerprint[-16:]}
    return found


def _parse(text: bytes, sha256: str, suite: str, where: str) -> Release:
    try:
        fields = parse_stanza(text.decode("utf-8"))
        until = fields.get("Valid-Until")
        release = Release(
            codename=fields["Codename"],
            date=_date(fields["Date"]),
            valid_until=_date(until) if until else None,
            architectures=tuple(fields["Architectures"].split()),
            by_hash=fields.get("Acquire-By-Hash") == "yes",
            files=dict(_file(line) for line in fields["SHA256"].splitlines() if line.strip()),
            sha256=sha256,
        )
    except (KeyError, ValueError) as error:
        raise InvarError("the index is signed but malformed", where=where, why=repr(error)) from error
    if release.codename != suite:
        raise InvarError(
            f"the mirror gives {release.codename} where {suite} was asked for",
            where=where,
            hint="name another mirror with INVAR_MIRROR",
        )
    return release


def _file(line: str) -> tuple[str, tuple[str, int]]:
    sha256, size, path = line.split()
    return path, (sha256, int(size))


def _date(text: str) -> datetime:
    return parsedate_to_datetime(text.replace("UTC", "+0000")).astimezone(UTC)
