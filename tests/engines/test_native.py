"""The native engine on the example: lock, build, build again, change a line, another package."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from command import copy_example, invar, succeed
from invar.core.home import Home
from invar.image.publication import initrd_path, kernel_path, read_publication
from invar.image.verity import verify
from invar.system.user_data import PublicKey, verified

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def project(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example."""
    return copy_example(repository, tmp_path_factory.mktemp("native") / "production-web")


@pytest.fixture(scope="module")
def built(project: Path, home: Home) -> dict[str, object]:
    """What `invar build --json` says of it."""
    result = succeed("build", project, "--json", home=home).json()
    assert isinstance(result, dict)
    return result


def test_a_build_tells_digests_sizes_and_times(built: dict[str, object], project: Path) -> None:
    assert {"system_digest", "spec_digest", "image", "format", "bytes", "layers", "seconds", "cached"} <= built.keys()
    image = Path(str(built["image"]))
    assert image.stat().st_size == built["bytes"]
    info = json.loads((image.parent / "image-info.json").read_text())
    assert info["system_digest"] == built["system_digest"]
    assert info["boot_mode"] == "uefi"
    assert (project / "invar.lock").is_file()


def test_a_second_build_does_nothing(built: dict[str, object], project: Path, home: Home) -> None:
    again = succeed("build", project, "--json", home=home).json()
    assert again["system_digest"] == built["system_digest"]
    assert again["image"] == built["image"]


def test_what_is_built_goes_into_a_cache_whose_names_prove_it(
    built: dict[str, object], project: Path, home: Home, tmp_path: Path
) -> None:
    cache, digest = tmp_path / "cache", str(built["system_digest"])
    assert succeed("build", project, "--export-cache", cache, "--json", home=home).json()["system_digest"] == digest
    found = read_publication((cache / f"systems/{digest}.json").read_bytes(), digest, "the cache")
    for layer in (found.packages, found.config):
        verify(cache / layer.path, layer.root_hash, layer.salt, layer.data_blocks)
        assert (cache / layer.path).stat().st_size == layer.bytes
    for path, file in ((kernel_path(found.kernel), found.kernel), (initrd_path(found.initrd), found.initrd)):
        content = (cache / path).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (file.sha256, file.bytes)
    again = succeed("cache", "export", cache, project, "--json", home=home).json()
    assert (again["system_digest"], again["written"], again["bytes"]) == (digest, [], 0)
    assert {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()} == set(again["files"])
    succeed("key", "generate", tmp_path / "fleet.key", home=home)
    signed = succeed("cache", "export", cache, project, "--key", tmp_path / "fleet.key", "--json", home=home).json()
    assert signed["written"] == [name for name in again["files"] if name.startswith("configurations/")]
    answer = (cache / signed["written"][0]).read_bytes()
    key = PublicKey.parse((tmp_path / "fleet.key.pub").read_text())
    assert verified(answer, [key]).split()[2].decode() == digest
    assert succeed("cache", "export", cache, project, "--json", home=home).json()["written"] == []


def test_amazon_image_format_chooses_what_a_build_writes(built: dict[str, object], project: Path, home: Home) -> None:
    configuration = project / "configuration.nix"
    before = configuration.read_text()
    body, brace, _ = before.rpartition("}")
    try:
        configuration.write_text(f'{body}  amazonImage.format = "qcow2";\n{brace}\n')
        chosen = succeed("build", project, "--json", home=home).json()
        asked = succeed("build", project, "--format", "amazon", "--json", home=home).json()
    finally:
        configuration.write_text(before)
    assert chosen["format"] == "qcow2" and Path(chosen["image"]).read_bytes()[:4] == b"QFI\xfb"
    assert asked["format"] == "amazon" and asked["system_digest"] == chosen["system_digest"]


def test_a_changed_line_leaves_the_packages_layer_alone(built: dict[str, object], project: Path, home: Home) -> None:
    configuration = project / "configuration.nix"
    before = configuration.read_text()
    try:
        configuration.write_text(before.replace("production-web-01", "production-web-02"))
        other = succeed("build", project, "--json", home=home).json()
    finally:
        configuration.write_text(before)
    layers, others = built["layers"], other["layers"]
    assert isinstance(layers, dict)
    assert others["packages"] == layers["packages"]
    assert others["config"]["root_hash"] != layers["config"]["root_hash"]
    assert other["system_digest"] != built["system_digest"]
    assert changed_blocks(Path(str(built["image"])), Path(other["image"])) * 512 * 1024 < 0.1 * int(
        str(built["allocated_bytes"])
    )


def changed_blocks(one: Path, two: Path, block: int = 512 * 1024) -> int:
    """How many of EBS's blocks differ between two disks."""
    with one.open("rb") as left, two.open("rb") as right:
        differing = 0
        while (a := left.read(block)) and (b := right.read(block)):
            differing += a != b
    return differing


def test_qcow2_holds_the_same_disk(built: dict[str, object], project: Path, home: Home, tmp_path: Path) -> None:
    out = tmp_path / "web.qcow2"
    result = succeed("build", project, "--format", "qcow2", "--out", out, "--json", home=home).json()
    assert result["system_digest"] == built["system_digest"]
    assert out.read_bytes()[:4] == b"QFI\xfb"


def test_a_package_that_is_not_locked_is_refused_with_the_way_out(
    built: dict[str, object], project: Path, home: Home
) -> None:
    configuration = project / "configuration.nix"
    before = configuration.read_text()
    try:
        configuration.write_text(before.replace("nginx postgresql awscli2", "nginx postgresql awscli2 jq"))
        refused = invar("build", project, home=home)
        dry = invar("lock", project, "--dry-run", "--json", home=home)
    finally:
        configuration.write_text(before)
    assert refused.code == 1
    assert "jq" in refused.err and "invar lock" in refused.err
    assert dry.code == 3
    changes = {change["name"]: change["kind"] for change in dry.json()["changes"]}
    assert changes["jq"] == "added"
    assert set(changes.values()) == {"added"}


def test_a_package_whose_hash_differs_is_refused(
    built: dict[str, object], project: Path, home: Home, tmp_path: Path
) -> None:
    lock = json.loads((project / "invar.lock").read_text())
    name = "nginx-common"
    right = lock["packages"][name]["sha256"]
    before = (project / "invar.lock").read_text()
    try:
        (project / "invar.lock").write_text(before.replace(right, hashlib.sha256(b"other").hexdigest()))
        done = invar("build", project, home=home)
    finally:
        (project / "invar.lock").write_text(before)
    assert done.code == 1
    assert name in done.err
