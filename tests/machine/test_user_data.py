"""Every form of user data, right and wrong, by tables."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.machine.user_data import (
    MAX_TEXT,
    Configuration,
    Form,
    HostKey,
    Nothing,
    Parameters,
    Pointer,
    Script,
    classify,
    host_keys,
    unpacked,
)

DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", Nothing()),
        ("\n  \n", Nothing()),
        ("# only a comment\n### https://channels.example.org/x nixos\n", Nothing()),
        ("SSH_HOST_ED25519_KEY:a|b\nSSH_HOST_ED25519_KEY_PUB:c\n", Nothing()),
        ("#!/bin/sh\necho hello\n", Script("#!/bin/sh\necho hello\n")),
        ("{ }", Configuration("{ }\n")),
        ("{}", Configuration("{}\n")),
        ("{ services.nginx.enable = true; }\n", Configuration("{ services.nginx.enable = true; }\n")),
        ("#include the web\n{ a = 1; }\n", Configuration("#include the web\n{ a = 1; }\n")),
        (
            "### https://nixos.org/channels/nixos-25.05 nixos\n# a comment\nSSH_HOST_RSA_KEY:x\n{ a = 1; }\n",
            Configuration(
                "### https://nixos.org/channels/nixos-25.05 nixos\n# a comment\n\n{ a = 1; }\n",
                ("https://nixos.org/channels/nixos-25.05 nixos",),
            ),
        ),
        ('{"invar": {"parameters": {"role": "web", "n": 3}}}', Parameters({"role": "web", "n": 3})),
        ('# why\n{"invar":\n {"parameters": {}}}\nSSH_HOST_RSA_KEY:x\n', Parameters({})),
        (f'{{"invar": {{"generation": "{DIGEST}"}}}}', Pointer(DIGEST, None)),
        (f'{{"invar": {{"generation": "{DIGEST}", "cache": "https://c/"}}}}', Pointer(DIGEST, "https://c/")),
    ],
)
def test_forms(text: str, form: Form) -> None:
    assert classify(text.encode()) == form


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe\x00", "neither text nor compressed"),
        (b"#cloud-config\nusers: []\n", "cloud-init"),
        (b"#include\nhttps://x\n", "cloud-init"),
        (b"Content-Type: multipart/mixed; boundary=x\n", "cloud-init"),
        (b'{"role": "web"}', "not for Invar"),
        (b'{"invar": {}, "other": 1}', "not for Invar"),
        (b'{"invar": 3}', "not for Invar"),
        (b'{"invar": {}}', "nothing in it that is understood"),
        (b'{"invar": {"parameters": [1]}}', "nothing in it that is understood"),
        (b'{"invar": {"parameters": {}, "generation": "x"}}', "nothing in it that is understood"),
        (b'{"invar": {"generation": "abc"}}', "no system digest"),
        (f'{{"invar": {{"generation": "{DIGEST}", "cache": 3}}}}'.encode(), "no address"),
        (f'{{"invar": {{"generation": "{DIGEST.upper()}"}}}}'.encode(), "no system digest"),
    ],
)
def test_what_is_no_form_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(InvarError) as refused:
        classify(content)
    assert why in str(refused.value)


@given(st.text())
def test_any_text_is_a_form_or_refused(text: str) -> None:
    try:
        form = classify(text.encode("utf-8", errors="surrogatepass"))
    except InvarError:
        return
    if isinstance(form, Configuration):
        assert "SSH_HOST_" not in "".join(line[:9] for line in form.text.splitlines())


def zstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        pytest.skip("no zstd on this computer")
    return subprocess.run(["zstd", "--stdout", "--quiet"], input=data, capture_output=True, check=True).stdout


PACKERS = [gzip.compress, lzma.compress, zstd]


@pytest.mark.parametrize("pack", PACKERS)
def test_compressed_is_unpacked(pack) -> None:
    text = b'{ networking.hostName = "web"; }\n'
    assert unpacked(pack(text)) == text
    assert unpacked(text) == text


@pytest.mark.parametrize("pack", PACKERS)
def test_broken_and_bombs_are_refused(pack) -> None:
    packed = pack(bytes(range(256)) * 40)
    for broken in (packed[:-9], packed[: len(packed) // 2], packed[:6] + b"\0" * 30):
        with pytest.raises(InvarError, match="cannot be unpacked"):
            unpacked(broken)
    with pytest.raises(InvarError, match=f"more than {MAX_TEXT}"):
        unpacked(pack(b"\0" * (8 * MAX_TEXT)))


def test_without_zstd_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(InvarError, match="no zstd"):
        unpacked(b"\x28\xb5\x2f\xfd....")


def test_host_keys_come_in_pairs() -> None:
    content = (
        b"{ }\nSSH_HOST_ED25519_KEY:-----BEGIN|body|-----END|\nSSH_HOST_ED25519_KEY_PUB:ssh-ed25519 AAAA\n"
        b"SSH_HOST_RSA_KEY:alone\nSSH_HOST_ECDSA_KEY_PUB:alone too\n"
    )
    (key,) = host_keys(content)
    assert key == HostKey("ed25519", "-----BEGIN\nbody\n-----END\n", "ssh-ed25519 AAAA\n")
    assert "body" not in repr(key)
    assert host_keys(b"\xff") == ()
