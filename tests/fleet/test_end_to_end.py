"""The whole way with the example, by commands alone: build, publish, verify, change a line, publish, alter, verify, gc.

INVAR_TEST_AWS=REGION[,REGION...] points it at the real AWS that the environment's credentials give; it publishes the
example there under a name of its own, deletes it in the end, and leaves out what only the local cloud can do (altering
a stored block).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from command import Done, copy_example, invar, succeed
from invar.aws.client import Cloud
from invar.aws.parameters import delete_parameter
from invar.core.events import Report
from invar.core.home import Home
from invar.fleet.gc import survey, sweep
from invar.fleet.gc_choice import Rules
from invar.fleet.publish import parameter_name
from invar.localcloud.process import control, start, stop
from invar.localcloud.record import CloudRecord

pytestmark = pytest.mark.build

NAME = "invar-end-to-end"
REAL = os.environ.get("INVAR_TEST_AWS", "")
REGIONS = REAL.split(",") if REAL else ["us-east-1", "eu-west-1", "ap-southeast-2"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where it plays: a repository with the example, an AWS, a home."""

    project: Path
    home: Home
    record: CloudRecord | None
    environment: dict[str, str]

    def run(self, *arguments: str) -> Done:
        return invar(*arguments, home=self.home, cwd=self.project, environment=self.environment)

    def publish(self, *more: str) -> dict[str, Any]:
        done = self.run("publish", ".", "--region", ",".join(REGIONS), "--json", *more)
        assert done.code == 0, done.err
        return dict(done.json())

    def commit(self, message: str) -> None:
        for arguments in (("add", "--all"), ("commit", "--quiet", "--message", message)):
            argv = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
            subprocess.run(argv, cwd=self.project, check=True)


@pytest.fixture(scope="module")
def stage(repository: Path, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("end-to-end")
    project = copy_example(repository, directory / "production-web")
    configuration = project / "configuration.nix"
    configuration.write_text(configuration.read_text().replace("production-web-01", NAME))
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    if REAL:
        yield Stage(project, home, None, {})
        clean_up()
        return
    record = start(directory / "cloud")
    environment = {
        "AWS_ENDPOINT_URL": record.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGIONS[0],
        "AWS_DEFAULT_REGION": REGIONS[0],
    }
    try:
        yield Stage(project, home, record, environment)
    finally:
        stop(directory / "cloud")


def clean_up() -> None:
    """Delete everything of this test's configuration out of a real account."""
    cloud = Cloud()
    rules = Rules(orphans_younger=0.0)
    choice = survey(cloud, REGIONS, [NAME], rules, time.time(), Report())
    doomed = (*choice.doomed, *(kept.generation for kept in choice.kept))
    for region in REGIONS:
        delete_parameter(cloud, region, parameter_name(NAME))
    assert sweep(cloud, replace(choice, doomed=doomed), Report()).failed == {}


@pytest.fixture(scope="module")
def first(stage: Stage) -> dict[str, Any]:
    """The example, its lock committed, published to all regions."""
    succeed("lock", stage.project, home=stage.home)
    stage.commit("one")
    return stage.publish("--tfvars", "images.auto.tfvars.json")


@pytest.fixture(scope="module")
def second(stage: Stage, first: dict[str, Any]) -> dict[str, Any]:
    """The same with one line changed, signed."""
    configuration = stage.project / "configuration.nix"
    text = configuration.read_text()
    assert "wheelNeedsPassword = false" in text
    configuration.write_text(text.replace("wheelNeedsPassword = false", "wheelNeedsPassword = true"))
    stage.commit("two")
    succeed("key", "generate", stage.project.parent / "release.key", home=stage.home)
    return stage.publish("--sign-key", str(stage.project.parent / "release.key"))


def test_the_first_generation_is_in_every_region(stage: Stage, first: dict[str, Any]) -> None:
    assert (first["generation"], first["failed"], list(first["images"])) == (1, {}, REGIONS)
    told = json.loads((stage.project / "images.auto.tfvars.json").read_text())["invar_images"]
    assert told[first["configuration"]]["amis"] == first["images"]


@pytest.mark.parametrize("region", REGIONS)
def test_what_was_published_is_what_was_built(stage: Stage, first: dict[str, Any], region: str) -> None:
    done = stage.run("verify", first["images"][region], "--region", region, "--json")
    assert done.code == 0, done.out
    assert {part["sound"] for part in done.json()["parts"]} == {True}


def test_a_changed_line_is_a_small_upload_and_the_next_generation(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert second["generation"] == 2
    assert second["uploaded"]["parent"] == first["uploaded"]["snapshot"]
    assert second["uploaded"]["bytes_sent"] < 0.02 * first["uploaded"]["bytes_sent"]
    assert second["system_digest"] != first["system_digest"]


def test_it_is_what_the_commit_gives_and_what_the_key_signed(stage: Stage, second: dict[str, Any]) -> None:
    key = str(stage.project.parent / "release.key.pub")
    image = second["images"][REGIONS[-1]]
    done = stage.run("verify", image, "--region", REGIONS[-1], "--rebuild", "--key", key, "--json")
    assert done.code == 0, done.out + done.err
    parts = {part["name"]: part["sound"] for part in done.json()["parts"]}
    assert parts["rebuild"] and parts["signature"]


def test_publishing_again_sends_nothing(stage: Stage, second: dict[str, Any]) -> None:
    again = stage.publish()
    assert (again["images"], again["uploaded"]) == (second["images"], None)


def test_images_tells_both_generations(stage: Stage, second: dict[str, Any]) -> None:
    done = stage.run("images", second["configuration"], "--region", ",".join(REGIONS), "--json")
    found = {one["generation"]: set(one["images"]) for one in done.json()["generations"]}
    assert found == {1: set(REGIONS), 2: set(REGIONS)}


def test_the_unmodified_aws_cli_reads_a_block_of_it(stage: Stage, second: dict[str, Any], tmp_path: Path) -> None:
    aws = shutil.which("aws")
    if aws is None:
        pytest.skip("the AWS CLI is not installed")
    environment = {**os.environ, **stage.environment, "AWS_PAGER": ""}

    def run(*arguments: str) -> str:
        argv = [aws, "--region", REGIONS[0], "--output", "text", *arguments]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    image, snapshot = second["images"][REGIONS[0]], second["snapshots"][REGIONS[0]]
    query = "Images[0].[BootMode,TpmSupport,ImdsSupport,BlockDeviceMappings[0].Ebs.SnapshotId]"
    assert run("ec2", "describe-images", "--image-ids", image, "--query", query).split() == [
        "uefi", "v2.0", "v2.0", snapshot,
    ]  # fmt: skip
    token = run("ebs", "list-snapshot-blocks", "--snapshot-id", snapshot, "--query", "Blocks[0].BlockToken")
    block = tmp_path / "block"
    get = ("ebs", "get-snapshot-block", "--snapshot-id", snapshot, "--block-index", "0", "--block-token", token)
    run(*get, str(block))
    built = stage.run("build", ".", "--json").json()
    image_file = Path(built["image"])
    with image_file.open("rb") as file:
        assert block.read_bytes() == file.read(512 * 1024)


@pytest.fixture
def alter(stage: Stage, second: dict[str, Any]) -> Iterator[Callable[[str], None]]:
    """Flips a byte of a part of the second generation's snapshot in the second region, and flips it back after."""
    if stage.record is None:
        pytest.skip("a stored block can only be altered in the local cloud")
    built = stage.run("build", ".", "--json").json()
    partitions = json.loads(Path(built["info"]).read_text())["partitions"]
    places = {one["label"]: one["offset"] for one in partitions}
    altered: list[dict[str, Any]] = []

    def flip(label: str) -> None:
        body = {"snapshot": second["snapshots"][REGIONS[1]], "block": places[label] // (512 * 1024), "offset": 4000}
        altered.append(body)
        control(stage.record, "POST", "alter", body)  # type: ignore[arg-type]

    yield flip
    for body in altered:
        control(stage.record, "POST", "alter", body)


@pytest.mark.parametrize(
    ("label", "part"),
    [("ESP", "ESP"), ("invar-packages", "packages layer"), ("invar-config", "config layer"), ("invar-var", "/var")],
)
def test_one_altered_block_fails_and_names_its_part(
    stage: Stage, second: dict[str, Any], alter: Callable[[str], None], label: str, part: str
) -> None:
    alter(label)
    done = stage.run("verify", second["images"][REGIONS[1]], "--region", REGIONS[1])
    assert done.code == 3, done.err
    wrong = [line for line in done.out.splitlines() if line.startswith("✗")]
    named = [line for line in wrong if not line.startswith(("✗ system digest", "✗ blocks"))]
    assert len(named) == 1 and named[0].startswith(f"✗ {part} ")


def test_gc_keeps_what_terraform_names_and_deletes_the_rest(stage: Stage, second: dict[str, Any]) -> None:
    arguments = ("gc", ".", "--region", ",".join(REGIONS), "--keep-generations", "1", "--json")
    kept = stage.run(*arguments).json()
    assert (kept["doomed"], kept["applied"]) == ([], False)
    assert any("images.auto.tfvars.json" in reason for one in kept["kept"] for reason in one["reasons"])
    (stage.project / "images.auto.tfvars.json").unlink()
    done = stage.run(*arguments, "--apply").json()
    assert [one["generation"] for one in done["doomed"]] == [1]
    assert {region: len(images) for region, images in done["deleted"]["images"].items()} == dict.fromkeys(REGIONS, 1)
    found = stage.run("images", second["configuration"], "--region", ",".join(REGIONS), "--json").json()
    assert [one["generation"] for one in found["generations"]] == [2]
    assert stage.run("verify", second["images"][REGIONS[0]], "--region", REGIONS[0]).code == 0
