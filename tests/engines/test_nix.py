"""The nix engine: real Nix builds a small disk, which becomes an AMI of the local cloud and is read back by blocks."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from cloud_fixtures import cloud, cloud_root, record, running  # noqa: F401 (fixtures)
from command import Done, invar
from invar.aws.blocks import map_blocks
from invar.aws.client import Cloud
from invar.aws.images import Registration, RootVolume, find_images, register_image
from invar.aws.snapshot_read import read_back
from invar.aws.snapshot_start import Upload
from invar.aws.snapshot_upload import upload
from invar.core.events import Report
from invar.core.home import Home
from invar.debian.lock import Lock, LockedPackage
from invar.fleet.tags import COMMIT, CONFIGURATION, ENGINE, OUTPUT, SOURCE, SYSTEM
from invar.image.disk_reader import write_raw
from invar.image.documents import RECORD_FILE, BuildRecord
from invar.localcloud.record import CloudRecord
from nix_flake import EXPRESSION, FLAKE, nix_environment
from small_disk import flip
from systems import system

REGION = "eu-west-1"
Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("build", ...)`: the command, with a store of Nix and a home of Invar of their own."""
    if shutil.which("nix") is None:
        pytest.skip("nix is not installed here")
    environment = nix_environment(tmp_path)

    def call(*arguments: str | Path, more: dict[str, str] | None = None) -> Done:
        return invar(*arguments, home=Home(tmp_path / "home"), environment={**environment, **(more or {})})

    return call


@pytest.fixture
def flake(tmp_path: Path) -> Path:
    """A flake whose images real Nix can build offline."""
    directory = tmp_path / "flake"
    directory.mkdir()
    (directory / "flake.nix").write_text(FLAKE)
    return directory


def native_image(directory: Path, versions: dict[str, str]) -> Path:
    """The documents of an image of the native engine with these packages."""
    packages = {
        name: LockedPackage(name, version, "amd64", f"pool/{name}.deb", name.encode().hex().ljust(64, "0"), 1, "trixie")
        for name, version in versions.items()
    }
    lock = Lock("amd64", "2025-11-01T00:00:00Z", (), (), (), tuple(sorted(packages)), (), packages)
    made = BuildRecord(system(), lock, {})
    directory.mkdir()
    (directory / RECORD_FILE).write_bytes(made.encode())
    info = {"file": "disk.raw", "spec_digest": made.system.spec_digest, "system_digest": "0" * 64}
    (directory / "image-info.json").write_text(json.dumps(info))
    return directory


def built(run: Run, *arguments: str | Path, more: dict[str, str] | None = None) -> dict[str, Any]:
    done = run("build", *arguments, "--json", more=more)
    assert done.code == 0, done.err
    result = done.json()
    assert isinstance(result, dict)
    return result


def test_an_output_of_a_flake_is_built_and_its_disk_taken_as_it_is(run: Run, flake: Path, tmp_path: Path) -> None:
    done = run("build", f"{flake}#amazonImage", "--json")
    result = done.json()
    disk = Path(result["image"])
    assert disk.parent == Path(result["output"]) and disk.read_bytes().endswith(b"\0") and result["bytes"] == 4 << 20
    assert "building nixos-amazon-image" in done.err
    assert Path(result["toplevel"]).name.endswith("-nixos-system-web-25.11")
    assert {(one["name"], one["version"]) for one in result["closure"]} == {
        ("nixos-system-web", "25.11"),
        ("zlib", "1.3.1"),
    }
    again = built(run, f"{flake}#packages.x86_64-linux.amazonImage")
    assert [again[key] for key in ("system_digest", "spec_digest")] == [
        result[key] for key in ("system_digest", "spec_digest")
    ]
    out = tmp_path / "out.raw"
    assert built(run, f"{flake}#amazonImage", "--out", out)["image"] == str(out)
    assert out.read_bytes() == disk.read_bytes() and out.stat().st_blocks * 512 < 1 << 20
    assert json.loads((tmp_path / "image-info.json").read_text())["engine"] == "nix"


@pytest.mark.parametrize("fragment", ["nixosConfigurations.web", "web"])
def test_a_configuration_s_image_is_found(fragment: str, run: Run, flake: Path) -> None:
    result = built(run, f"{flake}#{fragment}", "--engine", "nix")
    assert result["name"] == "web" and result["toplevel"].endswith("nixos-system-web-25.11")
    assert Path(result["image"]).read_bytes().rstrip(b"\0").startswith(result["toplevel"].encode() + b" two")


def test_a_classic_configuration_is_built_by_the_search_path(run: Run, tmp_path: Path) -> None:
    nixpkgs = tmp_path / "nixpkgs" / "nixos"
    nixpkgs.mkdir(parents=True)
    image = 'config.system.build.amazonImage = image (import configuration).name "c";'
    (nixpkgs / "default.nix").write_text(f"{{ configuration }}: let {EXPRESSION} in {{ {image} }}")
    project = tmp_path / "project"
    project.mkdir()
    (project / "configuration.nix").write_text('{ name = "classic"; }')
    result = built(run, project, "--engine", "nix", more={"NIX_PATH": f"nixpkgs={tmp_path / 'nixpkgs'}"})
    assert result["name"] == "project" and result["output"].endswith("-classic")
    (project / "image.nix").write_text(f'let {EXPRESSION} in {{ mine = image "mine" "d"; }}')
    assert built(run, project / "image.nix", "--attr", "mine")["output"].endswith("-mine")
    done = run("build", project, "--engine", "nix", more={"NIX_PATH": ""})
    assert done.code == 1 and "NIX_PATH" in done.err


@pytest.mark.parametrize(
    ("fragment", "said"),
    [
        ("amazonImag", ["does not provide attribute", "nix flake show"]),
        ("bare", ["neither a derivation nor", "amazon-image.nix"]),
        ("broken", ["broken", "it is the disk"]),
        ("empty", ["is no disk image", "no disk"]),
    ],
)
def test_what_nix_cannot_do_is_told(fragment: str, said: list[str], run: Run, flake: Path) -> None:
    done = run("build", f"{flake}#{fragment}")
    assert done.code in (1, 2)
    for part in said:
        assert part in done.err


def test_without_nix_the_way_out_is_named(run: Run, flake: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    done = run("build", f"{flake}#amazonImage", "--engine", "nix", more={"PATH": str(tmp_path / "bin")})
    assert done.code == 1 and "there is no Nix here" in done.err and "native engine" in done.err
    (tmp_path / "bin" / "nix").write_text("#!/bin/sh\necho 'nix (Nix) 2.3.16'\n")
    (tmp_path / "bin" / "nix").chmod(0o755)
    done = run("build", f"{flake}#amazonImage", "--engine", "nix", more={"PATH": str(tmp_path / "bin")})
    assert done.code == 1 and "too old" in done.err


def test_two_builds_are_compared_by_closure_and_disk(run: Run, flake: Path, tmp_path: Path) -> None:
    one, two = f"{flake}#amazonImage", f"{flake}#later"
    done = run("diff", one, two, "--json", "--exit-code")
    assert done.code == 3, done.err
    found = done.json()
    assert [(change["name"], change["kind"], change["old"], change["new"]) for change in found["packages"]] == [
        ("jq", "added", None, "1.8"),
        ("zlib", "upgraded", "1.3.1", "1.3.2"),
    ]
    assert found["rebuilt"] == 1 and found["toplevel"]["old"] != found["toplevel"]["new"]
    assert found["image"] == {"changed_blocks": 1, "blocks": 2, "bytes": 1 << 19}
    assert found["system"] is None and found["new"]["engine"] == "nix"
    text = run("diff", one, two).out
    assert "zlib  1.3.1 → 1.3.2" in text and "1 store paths of the same name" in text and "toplevel" in text
    assert run("diff", one, f"{flake}#packages.x86_64-linux.amazonImage", "--exit-code").code == 0
    out = tmp_path / "copy.raw"
    digest = built(run, two, "--out", out)["system_digest"]
    for other in (out, digest[:12]):
        again = run("diff", one, other, "--json").json()
        assert again["packages"] == found["packages"] and again["image"] == found["image"]


def test_against_an_image_of_the_native_engine_what_both_have_is_compared(
    run: Run, flake: Path, tmp_path: Path
) -> None:
    native = native_image(tmp_path / "native", {"zlib": "1:1.3.dfsg-3", "bash": "5.2-1"})
    found = run("diff", native, f"{flake}#amazonImage", "--json").json()
    assert [(change["name"], change["kind"], change["old"], change["new"]) for change in found["packages"]] == [
        ("zlib", "upgraded", "1.3", "1.3.1")
    ]
    assert found["alone"] == {"old": 1, "new": 1} and found["differs"] and found["options"] is None
    text = run("diff", native, f"{flake}#amazonImage").out
    assert "native → nix" in text and "1 are in the first alone" in text


def test_the_bill_of_materials_lists_the_closure(run: Run, flake: Path, tmp_path: Path) -> None:
    done = run("sbom", f"{flake}#amazonImage")
    assert done.code == 0, done.err
    spdx = tmp_path / "sbom.spdx.json"
    spdx.write_text(done.out)
    document = parse_file(str(spdx))
    assert validate_full_spdx_document(document) == []
    purls = {one.locator for package in document.packages for one in package.external_references}
    assert purls == {"pkg:nix/zlib@1.3.1", "pkg:nix/nixos-system-web@25.11"}
    cyclonedx = run("sbom", f"{flake}#amazonImage", "--format", "cyclonedx").out
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(cyclonedx) is None
    depends = {one["ref"]: one.get("dependsOn") for one in json.loads(cyclonedx)["dependencies"]}
    toplevel = next(ref for ref in depends if "nixos-system" in ref)
    assert depends[toplevel] == [ref for ref in depends if "zlib" in ref]


def test_it_becomes_an_ami_whose_blocks_are_those_of_the_disk(
    run: Run,
    flake: Path,
    cloud: Cloud,  # noqa: F811
    record: CloudRecord,  # noqa: F811
) -> None:
    account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    where = ("--region", REGION, "--endpoint-url", record.url, "--json")
    arguments = ("publish", f"{flake}#amazonImage", *where)
    first = run("plan", f"{flake}#amazonImage", *where, more=account)
    assert first.code == 3 and first.json()["generation"] == {"before": 0, "after": 1}
    done = run(*arguments, more=account)
    assert done.code == 0, done.err
    published = done.json()
    disk = map_blocks(Path(built(run, f"{flake}#amazonImage")["image"]), Report())
    assert len(disk.digests) == 2
    back = read_back(cloud, REGION, published["snapshots"][REGION], disk, Report())
    assert back.same and back.read == 2
    (image,) = find_images(cloud, REGION, tags={CONFIGURATION: "amazonImage"})
    assert image.id == published["images"][REGION] and image.tags[SYSTEM] == published["system_digest"]
    again = run(*arguments, more=account).json()
    assert again["images"] == published["images"] and again["generation"] == published["generation"]
    assert run("plan", f"{flake}#amazonImage", *where, more=account).code == 0
    assert run("diff", image.id, f"{flake}#amazonImage", "--exit-code", *where, more=account).code == 0

    text = (flake / "flake.nix").read_text()
    (flake / "flake.nix").write_text(text.replace('"nixos-amazon-image" "one"', '"nixos-amazon-image" "three"'))
    planned = run("plan", f"{flake}#amazonImage", *where, more=account)
    assert planned.code == 3, planned.err
    plan = planned.json()
    assert plan["comparison"]["image"]["changed_blocks"] == 1 and plan["comparison"]["packages"] == []
    (region,) = plan["regions"]
    assert (region["action"], region["parent"], region["blocks"]) == ("upload", published["snapshots"][REGION], 1)


def test_what_is_published_is_verified_and_one_altered_block_is_found(
    run: Run,
    flake: Path,
    cloud: Cloud,  # noqa: F811
    record: CloudRecord,  # noqa: F811
    tmp_path: Path,
) -> None:
    account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    where = ("--region", REGION, "--endpoint-url", record.url, "--json")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "one")):
        subprocess.run(["git", "-C", str(flake), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)
    published = run("publish", f"{flake}#web", *where, more=account).json()
    (image,) = find_images(cloud, REGION, tags={CONFIGURATION: "web"})
    assert (image.tags[SOURCE], image.tags[OUTPUT], image.tags[ENGINE]) == ("flake.nix", "web", "nix")
    assert image.boot_mode == "legacy-bios"
    done = run("verify", image.id, *where, more=account)
    assert done.code == 0, done.err + done.out
    parts = {part["name"]: part["sound"] for part in done.json()["parts"]}
    assert parts["blocks"] and parts["record"] and parts["tags"] and parts["registration"]

    (flake / "flake.nix").write_text("{ outputs = { self }: { }; }")
    again = run("verify", image.id, "--rebuild", "--repository", flake, *where, more=account)
    assert again.code == 0, again.err + again.out
    assert {part["name"]: part["sound"] for part in again.json()["parts"]}["rebuild"]

    disk = Path(built(run, f"git+file://{flake}?rev={image.tags[COMMIT]}#web", "--engine", "nix")["image"])
    altered = tmp_path / "altered.raw"
    write_raw(disk, altered)
    altered.chmod(0o644)
    flip(altered, 3 << 20)
    snapshot = upload(cloud, Upload(altered, map_blocks(altered, Report()), REGION, "x", tmp_path / "u", {}), Report())
    other = register_image(
        cloud,
        REGION,
        Registration("other", "other", "x86_64", RootVolume(snapshot.snapshot, 1), image.tags, "legacy-bios"),
    )
    done = run("verify", other, *where, more=account)
    assert done.code == 3, done.err + done.out
    wrong = [part for part in done.json()["parts"] if part["sound"] is False]
    assert {part["name"] for part in wrong} == {"space between partitions", "blocks"}
    assert published["snapshots"][REGION] != snapshot.snapshot
