"""The boot-time walk where it needs no machine: what to do with user data, and what is written where."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from invar.core.errors import InvarError
from invar.machine.apply import (
    Remembered,
    keep_image_configuration,
    next_step,
    recall,
    write_project,
)
from invar.machine.init import authorize, content_of, keep, place_host_keys
from invar.machine.instance import Instance
from invar.machine.metadata import Facts
from invar.machine.user_data import Configuration, HostKey, Parameters
from invar.system.user_data import PublicKey, Signature, message_to_sign, with_signature

SECRET = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
KEY = PublicKey(SECRET.public_key().public_bytes_raw())


def remembered(outcome: str, *, instance: str = "i-1", sha256: str = "aa", digest: str = "d1") -> Remembered:
    return Remembered(instance, sha256, outcome, digest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("last", "active", "step"),
    [
        (None, "d1", "apply"),
        (remembered("applied"), "d1", "skip"),
        (remembered("applied"), "d2", "skip"),  # somebody has switched since: a restart keeps that
        (remembered("ran"), "d1", "skip"),
        (remembered("nothing"), "d1", "skip"),
        (remembered("refused"), "d1", "apply"),
        (remembered("refused"), "d2", "skip"),
        (remembered("booting", digest="d2"), "d2", "arrived"),
        (remembered("booting", digest="d2"), "d1", "fell-back"),
        (remembered("fell-back"), "d1", "skip"),
        (remembered("applied", sha256="bb"), "d1", "apply"),
        (remembered("applied", instance="i-2"), "d1", "apply"),
    ],
)
def test_user_data_is_dealt_with_once(last: Remembered | None, active: str, step: str) -> None:
    assert next_step(last, "i-1", "aa", active) == step


def test_what_is_remembered_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "user-data.json"
    assert recall(path) is None
    path.write_text('{"instance_id": "i-1", "sha256": "aa", "outcome": "refused", "digest": "d1", "why": "no"}')
    assert recall(path) == Remembered("i-1", "aa", "refused", "d1", "no")
    path.write_text('{"outcome": "other"}')
    with pytest.raises(InvarError):
        recall(path)


def test_user_data_lies_beside_the_images_own_files(tmp_path: Path) -> None:
    baked, project = tmp_path / "baked", tmp_path / "project"
    (baked / "modules").mkdir(parents=True)
    (baked / "configuration.nix").write_text("{ }")
    (baked / "modules" / "web.nix").write_text("{ }")
    project.mkdir()
    (project / "left-over.nix").write_text("{")
    entry = write_project(Configuration("{ imports = [ ./configuration.nix ]; }\n"), baked, project)
    assert entry == project / "user-data.nix" and "./configuration.nix" in entry.read_text()
    assert sorted(str(path.relative_to(project)) for path in project.rglob("*.nix")) == [
        "configuration.nix",
        "modules/web.nix",
        "user-data.nix",
    ]
    entry = write_project(Parameters({"role": "web"}), baked, project)
    assert json.loads((project / "user-data.json").read_text()) == {"role": "web"}
    assert "invar.parameters" in entry.read_text()


def test_the_images_configuration_is_kept_from_the_first_boot(tmp_path: Path) -> None:
    booted, kept = tmp_path / "booted", tmp_path / "kept"
    keep_image_configuration(booted, kept)
    assert not kept.exists()
    booted.mkdir()
    (booted / "configuration.nix").write_text("first")
    keep_image_configuration(booted, kept)
    (booted / "configuration.nix").write_text("second")
    keep_image_configuration(booted, kept)
    assert (kept / "configuration.nix").read_text() == "first"


def instance(*keys: PublicKey) -> Instance:
    return Instance(True, tuple(map(str, keys)), {}, None, None)


def test_trusted_keys_decide_over_what_is_inside_the_compression() -> None:
    content = b"{ }\n"
    signed = with_signature(content, Signature(KEY.id, SECRET.sign(message_to_sign(content))))
    assert content_of(gzip.compress(signed), instance(KEY)) == content
    assert content_of(signed, instance()) == content
    assert content_of(content, instance()) == content
    with pytest.raises(InvarError, match="not signed"):
        content_of(gzip.compress(content), instance(KEY))


def test_facts_are_files_that_only_root_reads(tmp_path: Path) -> None:
    facts = Facts("i-1", "ip-1.ec2.internal", "us-east-1", ("ssh-ed25519 A",), {"Name": "web"}, b"\x00secret")
    keep(facts, tmp_path / "found")
    found = tmp_path / "found"
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in found.iterdir()} == dict.fromkeys(
        ("instance-id", "hostname", "region", "public-keys", "tags.json", "user-data"), 0o600
    )
    assert (found / "user-data").read_bytes() == b"\x00secret"
    keep(Facts("i-1", None, None, (), {}, None), found)
    assert sorted(path.name for path in found.iterdir()) == ["instance-id", "tags.json"]


def test_keys_that_are_there_stay(tmp_path: Path) -> None:
    path = tmp_path / ".ssh" / "authorized_keys"
    assert authorize(("ssh-ed25519 A", "ssh-ed25519 B"), path)
    assert not authorize(("ssh-ed25519 C",), path)
    assert path.read_text() == "ssh-ed25519 A\nssh-ed25519 B\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_host_keys_are_replaced_once(tmp_path: Path) -> None:
    key = HostKey("ed25519", "PRIVATE\n", "ssh-ed25519 A\n")
    assert place_host_keys((key,), tmp_path)
    assert not place_host_keys((key,), tmp_path)
    private = tmp_path / "ssh_host_ed25519_key"
    assert private.read_text() == "PRIVATE\n" and stat.S_IMODE(private.stat().st_mode) == 0o600
    assert (tmp_path / "ssh_host_ed25519_key.pub").read_text() == "ssh-ed25519 A\n"
