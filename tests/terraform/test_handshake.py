"""How the provider comes up: only for Terraform, with a certificate of its own."""

from __future__ import annotations

import ssl
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command import invar
from invar import __version__
from invar.core.errors import InvarError
from invar.core.home import Home
from invar.terraform.handshake import COOKIE, check_started_by_terraform, handshake_line, own_certificate


def test_the_certificate_is_made_once_readable_by_its_user_only(tmp_path: Path) -> None:
    first = own_certificate(tmp_path)
    assert own_certificate(tmp_path) == first
    assert (tmp_path / "terraform-provider.pem").stat().st_mode & 0o777 == 0o600
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "terraform-provider.pem")


def test_a_certificate_is_renewed_before_it_ends(tmp_path: Path) -> None:
    first = own_certificate(tmp_path)
    later = datetime.now(UTC) + timedelta(days=3640)
    assert own_certificate(tmp_path, now=later) != first


def test_the_line_has_the_six_fields_of_go_plugin(tmp_path: Path) -> None:
    certificate = own_certificate(tmp_path)
    core, protocol, network, address, kind, encoded = handshake_line(Path("/run/x/provider"), certificate).split("|")
    assert (core, protocol, network, address, kind) == ("1", "6", "unix", "/run/x/provider", "grpc")
    assert not encoded.endswith("=")
    padded = encoded + "=" * (-len(encoded) % 4)
    assert ssl.DER_cert_to_PEM_cert(b64decode(padded)).split() == certificate.certificate.decode().split()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "Terraform starts it"),
        ({COOKIE[0]: "other"}, "Terraform starts it"),
        ({COOKIE[0]: COOKIE[1], "PLUGIN_PROTOCOL_VERSIONS": "5"}, "speaks plugin protocol 5"),
    ],
)
def test_nobody_else_starts_it(environment: dict[str, str], said: str) -> None:
    with pytest.raises(InvarError, match=said):
        check_started_by_terraform(environment)


def test_started_by_hand_it_says_what_to_do(home: Home) -> None:
    done = invar("terraform", "serve", __version__, home=home)
    assert done.code == 2 and "invar terraform install" in done.out


def test_another_version_than_the_launchers_says_so(home: Home) -> None:
    done = invar("terraform", "serve", "0.0.1", home=home)
    assert done.code == 1 and "0.0.1" in done.out and "init -upgrade" in done.out
