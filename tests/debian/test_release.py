"""An index counts only if the archive signed it, as it is, for this suite, and not too long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from debian_archive import DATE, ArchiveBuilder
from pysequoia import SignatureMode, Tsk, sign

from invar.core.errors import InvarError
from invar.debian.release import check_fresh, load_keyring, read_release

WHERE = "https://mirror.example/debian/dists/trixie/InRelease"


def signed(archive: ArchiveBuilder, key: Tsk | None = None, **arguments: object) -> bytes:
    text = archive.release("trixie", **arguments).encode()  # type: ignore[arg-type]
    return sign((key or archive.key).signer(), text, mode=SignatureMode.CLEAR)


def refused(text: bytes, archive: ArchiveBuilder, keyring: tuple[object, ...] | None = None) -> InvarError:
    with pytest.raises(InvarError) as caught:
        read_release(text, archive.keyring if keyring is None else keyring, suite="trixie", where=WHERE)  # type: ignore[arg-type]
    assert caught.value.where == WHERE
    return caught.value


def test_signed_index_is_read(archive: ArchiveBuilder) -> None:
    release = read_release(signed(archive), archive.keyring, suite="trixie", where=WHERE)
    assert release.date == DATE
    assert release.by_hash
    assert release.architectures == ("all", "amd64")
    assert list(release.files) == ["main/binary-amd64/Packages.xz"]


def test_altered_text_is_refused(archive: ArchiveBuilder) -> None:
    assert "altered" in refused(signed(archive).replace(b"Origin: Test", b"Origin: Evil"), archive).what


def test_unknown_key_is_refused_and_named(archive: ArchiveBuilder) -> None:
    stranger = Tsk.generate("stranger <stranger@example.org>")
    error = refused(signed(archive, stranger), archive)
    assert "key that Invar does not know" in error.what
    assert error.why is not None and "signed by" in error.why


def test_expired_key_is_refused(archive: ArchiveBuilder) -> None:
    text = signed(archive)
    (cert,) = archive.keyring
    expired = cert.set_expiration(datetime.now(UTC) - timedelta(seconds=30), archive.key.certifier())
    error = refused(text, archive, (expired,))
    assert "expired" in error.what
    assert "key" in error.what


@pytest.mark.parametrize("text", [b"", b"Codename: trixie\n", b"<html>not found</html>"])
def test_unsigned_answer_is_refused(archive: ArchiveBuilder, text: bytes) -> None:
    assert "not signed" in refused(text, archive).what


def test_truncated_answer_is_refused(archive: ArchiveBuilder) -> None:
    refused(signed(archive)[:400], archive)


def test_text_outside_of_the_signature_is_not_read(archive: ArchiveBuilder) -> None:
    text = b"Codename: sid\nEvil: yes\n\n" + signed(archive) + b"\nCodename: sid\n"
    try:
        release = read_release(text, archive.keyring, suite="trixie", where=WHERE)
    except InvarError:
        return
    assert release.codename == "trixie"


def test_other_suite_is_refused(archive: ArchiveBuilder) -> None:
    text = sign(archive.key.signer(), archive.release("bookworm").encode(), mode=SignatureMode.CLEAR)
    assert "gives bookworm where trixie was asked for" in refused(text, archive).what


def test_index_without_its_fields_is_malformed(archive: ArchiveBuilder) -> None:
    text = sign(archive.key.signer(), b"Codename: trixie\n", mode=SignatureMode.CLEAR)
    assert "malformed" in refused(text, archive).what


def test_expiry_is_relative_to_the_given_time(archive: ArchiveBuilder) -> None:
    until = DATE + timedelta(days=7)
    release = read_release(signed(archive, valid_until=until), archive.keyring, suite="trixie", where=WHERE)
    check_fresh(release, until - timedelta(seconds=1), where=WHERE)
    with pytest.raises(InvarError, match="has expired") as caught:
        check_fresh(release, until + timedelta(seconds=1), where=WHERE)
    assert caught.value.why is not None and f"{until:%Y-%m-%d}" in caught.value.why


def test_index_from_the_future_is_refused(archive: ArchiveBuilder) -> None:
    release = read_release(signed(archive), archive.keyring, suite="trixie", where=WHERE)
    with pytest.raises(InvarError, match="from the future"):
        check_fresh(release, DATE - timedelta(days=2), where=WHERE)


def test_shipped_keys_are_public_and_of_two_releases() -> None:
    keyring = load_keyring()
    assert len(keyring) == 6
    names = [str(user) for cert in keyring for user in cert.user_ids]
    assert sum("12/bookworm" in name for name in names) == 3
    assert sum("13/trixie" in name for name in names) == 3
    assert all(b"PRIVATE" not in str(cert).encode() for cert in keyring)
