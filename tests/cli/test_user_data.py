"""`invar user-data` as a user runs it."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from command import copy_example, invar, succeed
from invar.core.home import Home


@pytest.fixture
def project(repository: Path, tmp_path: Path) -> Path:
    return copy_example(repository, tmp_path / "web")


def test_a_signed_configuration_is_made_and_checked(project: Path, home: Home, tmp_path: Path) -> None:
    made = succeed("key", "generate", tmp_path / "fleet.key", "--json", home=home).json()
    public = (tmp_path / "fleet.key.pub").read_text().strip()
    source = tmp_path / "web.nix"
    source.write_text('{ lib, ... }: { imports = [ ./configuration.nix ]; networking.hostName = lib.mkForce "b"; }')
    signed = tmp_path / "signed"
    succeed(
        "user-data", "sign", source, "--key", tmp_path / "fleet.key", "--compress", "gzip", "--out", signed, home=home
    )
    assert gzip.decompress(signed.read_bytes()).startswith(source.read_bytes())
    told = succeed("user-data", "check", signed, "--image", project, "--trust", public, "--json", home=home).json()
    assert (told["kind"], told["signed_by"], told["bytes"]) == (
        "configuration",
        told["signed_by"],
        len(signed.read_bytes()),
    )
    assert told["spec_digest"] and made["id"].startswith(told["signed_by"])
    altered = tmp_path / "altered"
    altered.write_bytes(gzip.decompress(signed.read_bytes()).replace(b'"b"', b'"c"'))
    refused = invar("user-data", "check", altered, "--trust", public, home=home)
    assert refused.code == 1 and "was altered" in refused.err


def test_keys_that_instances_cannot_check_sign_nothing(home: Home, tmp_path: Path) -> None:
    succeed("key", "generate", tmp_path / "k", "--type", "p256", home=home)
    (tmp_path / "data").write_text("{ }")
    refused = invar("user-data", "sign", tmp_path / "data", "--key", tmp_path / "k", home=home)
    assert refused.code == 1 and "Ed25519 only" in refused.err


def test_parameters_are_evaluated_beside_the_image(project: Path, home: Home, tmp_path: Path) -> None:
    made = succeed("user-data", "make", "--parameter", "role=web", "--parameter", "n=3", home=home)
    assert json.loads(made.out) == {"invar": {"parameters": {"role": "web", "n": 3}}}
    (tmp_path / "data").write_text(made.out)
    told = succeed("user-data", "check", tmp_path / "data", "--image", project, "--json", home=home).json()
    assert told["kind"] == "parameters" and told["spec_digest"]


def test_standard_input_is_signed_too(home: Home, tmp_path: Path) -> None:
    succeed("key", "generate", tmp_path / "k", home=home)
    command = [sys.executable, "-I", "-m", "invar", "user-data", "sign", "-", "--key", str(tmp_path / "k")]
    done = subprocess.run(command, input=b"#!/bin/sh\ntrue", capture_output=True, check=True)
    assert done.stdout.startswith(b"#!/bin/sh\ntrue\n# invar-signature: ed25519:")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{ networking.hostname = 3; }", "hostName"),
        ("{ imports = [ ./absent.nix ]; }", "absent.nix"),
        ('{"role": "web"}', "not for Invar"),
        ("#cloud-config\n", "cloud-init"),
        ("#" * 17000, "EC2 takes 16384"),
    ],
)
def test_what_an_instance_would_refuse_is_refused_here(
    project: Path, home: Home, tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "data").write_text(text)
    refused = invar("user-data", "check", tmp_path / "data", "--image", project, home=home)
    assert refused.code == 1 and why in refused.err


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("make",), 2, "either parameters or --generation"),
        (("make", "--parameter", "role"), 2, "NAME=VALUE"),
        (("make", "--generation", "abc"), 1, "no system digest"),
        (("sign", "/dev/null", "--key", "/nonexistent/key"), 1, "cannot read the key"),
        (("check", "/nonexistent/data"), 2, "No such file"),
    ],
)
def test_wrong_use_is_told(home: Home, arguments: tuple[str, ...], code: int, why: str) -> None:
    refused = invar("user-data", *arguments, home=home)
    assert refused.code == code and why in refused.err
