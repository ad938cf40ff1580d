"""Secrets are found in texts that go into a layer, and told without being repeated."""

from __future__ import annotations

import pytest

from invar.core.errors import InvarError
from invar.system.secrets import find_secrets, refuse_secrets, without_secrets

DASHES = "-" * 5

SECRETS = {
    "openssh": f"{DASHES}BEGIN OPENSSH PRIVATE KEY{DASHES}\nb3BlbnNzaC1rZXktdjEAAAAA\n",
    "pkcs8": f"{DASHES}BEGIN PRIVATE KEY{DASHES}\nMIIEvQ\n",
    "pkcs8-encrypted": f"{DASHES}BEGIN ENCRYPTED PRIVATE KEY{DASHES}\n",
    "rsa": f"{DASHES}BEGIN RSA PRIVATE KEY{DASHES}\n",
    "pgp": f"{DASHES}BEGIN PGP PRIVATE KEY BLOCK{DASHES}\n",
    "aws-id": "aws_access_key_id = AKIA" + "ABCDEFGHIJKLMNOP",
    "aws-secret": "aws_secret_access_key = " + "a" * 40,
    "aws-json": '"aws_secret_access_key": "' + "b/" * 20 + '"',
    "age": "AGE-SECRET-KEY-1" + "Q" * 58,
    "github": "token: ghp_" + "a" * 36,
    "wireguard": "[Interface]\nPrivateKey = " + "A" * 42 + "E=\n",
    "slack": "xoxb-" + "1234567890-abcdefghijkl",
    "google": "AIza" + "a" * 35,
}

HARMLESS = {
    "public key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ deploy@laptop",
    "certificate": f"{DASHES}BEGIN CERTIFICATE{DASHES}\nMIIB\n",
    "public pem": f"{DASHES}BEGIN PUBLIC KEY{DASHES}\n",
    "path to a key": "PrivateKey = /run/secrets/wg0\nIdentityFile /var/lib/ssh/id_ed25519",
    "a variable": "aws_secret_access_key = $AWS_SECRET_ACCESS_KEY",
    "store path": "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-AKIAfoo",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found_in_its_line(name: str) -> None:
    text = SECRETS[name]
    found = find_secrets("first\nsecond\n" + text, "/etc/x", "here")
    assert len({finding.kind for finding in found}) == 1
    assert 3 <= found[0].line <= 4


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_secret_passes(name: str) -> None:
    assert find_secrets(HARMLESS[name], "/etc/x", "here") == []


@pytest.mark.parametrize("text", ["0123456789abcdef" * 20_000, "\n" * 300_000, "token-" * 2_000])
def test_a_long_text_is_looked_through_at_once(text: str) -> None:
    """What took minutes: words are not tried from each of their letters, nor blank lines from each of them."""
    assert without_secrets(text) == text


def test_values_that_sound_secret_are_not_shown() -> None:
    told = without_secrets("a.b-api_key_c = hunter22, db_password: 'x1', password_file=/run/x\nuser=me")
    assert told == "a.b-api_key_c = (not shown), db_password: '(not shown)', password_file=/run/x\nuser=me"


def test_all_findings_are_told_at_once_and_none_is_repeated() -> None:
    findings = [
        *find_secrets(SECRETS["aws-secret"], "/etc/aws", 'environment.etc."aws"'),
        *find_secrets(SECRETS["rsa"], "/nix/store/x-key", "the configuration"),
    ]
    with pytest.raises(InvarError) as caught:
        refuse_secrets(findings)
    message = str(caught.value)
    assert "2 secrets" in message
    assert "/etc/aws, line 1" in message
    assert "/nix/store/x-key, line 1" in message
    assert "a" * 40 not in message


def test_nothing_found_is_nothing_told() -> None:
    refuse_secrets([])
