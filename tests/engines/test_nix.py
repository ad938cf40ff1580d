"""The nix engine: real Nix builds a small disk, which becomes an AMI of the local cloud and is read back by blocks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud_fixtures import cloud, cloud_root, record, running  # noqa: F401 (fixtures)
from command import Done, invar
from invar.aws.blocks import map_blocks
from invar.aws.client import Cloud
from invar.aws.images import find_images
from invar.aws.snapshot_read import read_back
from invar.core.events import Report
from invar.core.home import Home
from invar.fleet.tags import CONFIGURATION, SYSTEM
from invar.localcloud.record import CloudRecord

REGION = "eu-west-1"
EXPRESSION = """
  image = name: text: derivation {
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    inherit toplevel;
    args = [ "-c" ''
      mkdir -p $out/nix-support
      echo making the disk of $toplevel
      printf '%s' "$toplevel ${text}" > $out/disk.raw
      truncate -s 3M $out/disk.raw
      printf tail >> $out/disk.raw
      truncate -s 4M $out/disk.raw
      cd $out/nix-support
      file="$out/disk.raw"
      echo "{\\"label\\": \\"test\\", \\"system\\": \\"x86_64-linux\\", \\"file\\": \\"$file\\"}" > image-info.json
    '' ];
  };
  library = derivation {
    name = "zlib-1.3.1"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo lib > $out" ];
  };
  toplevel = derivation {
    name = "nixos-system-web-25.11"; system = "x86_64-linux"; builder = "/bin/sh";
    inherit library;
    args = [ "-c" "echo $library > $out" ];
  };
"""
FLAKE = f"""{{
  outputs = {{ self }}: let {EXPRESSION} in {{
    packages.x86_64-linux.amazonImage = image "nixos-amazon-image" "one";
    nixosConfigurations.web = {{ options = {{ }}; config.system.build = {{
      inherit toplevel; images.amazon = image "nixos-image-amazon" "two";
    }}; }};
    nixosConfigurations.bare = {{ options = {{ }}; config.system.build = {{ inherit toplevel; }}; }};
    packages.x86_64-linux.broken = derivation {{
      name = "broken"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo it is the disk; exit 3" ];
    }};
    packages.x86_64-linux.empty = derivation {{
      name = "empty"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "/bin/mkdir $out" ];
    }};
    invar.engine = "nix";
  }};
}}
"""

Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("build", ...)`: the command, with a store of Nix and a home of Invar of their own."""
    if shutil.which("nix") is None:
        pytest.skip("nix is not installed here")
    state = tmp_path / "nix"
    environment = {
        "NIX_CONFIG": "build-users-group =\nsandbox = false\nsubstitute = false\n",
        "NIX_STORE_DIR": str(state / "store"),
        "NIX_STATE_DIR": str(state / "var"),
        "NIX_LOG_DIR": str(state / "log"),
        "NIX_CONF_DIR": str(state / "etc"),
        "HOME": str(tmp_path),
    }

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


def test_it_becomes_an_ami_whose_blocks_are_those_of_the_disk(
    run: Run,
    flake: Path,
    cloud: Cloud,  # noqa: F811
    record: CloudRecord,  # noqa: F811
) -> None:
    account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    arguments = ("publish", f"{flake}#amazonImage", "--region", REGION, "--endpoint-url", record.url, "--json")
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
