"""A published image is read back from the cloud and judged by tags, record and a rebuild."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invar.aws.blocks import map_blocks
from invar.aws.client import Cloud
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.fleet.keys import PublicKey, generate_key, read_private_key
from invar.fleet.publish import Artifact, Destination, Published, publish
from invar.fleet.signature import sign
from invar.fleet.tags import Identity
from invar.fleet.verify import Rebuild, Source, Verified, verify_ami, verify_file
from invar.image.provenance import PREDICATE, STATEMENT, encode, subject
from invar.store.objects import Store
from small_disk import flip, small_disk

REGION, OTHER = "us-east-1", "eu-west-1"
Control = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    disk = small_disk(tmp_path_factory.mktemp("disk") / "disk.raw")
    identity = Identity("web", disk.system_digest, "5" * 64, "7" * 64)
    info = json.dumps(disk.info).encode()
    blocks = map_blocks(disk.path, Report())
    return Artifact(disk.path, blocks, identity, "x86_64", {"image-info.json": info})


@pytest.fixture
def published(cloud: Cloud, artifact: Artifact, tmp_path: Path) -> Published:
    return send(cloud, artifact, tmp_path)


def send(cloud: Cloud, artifact: Artifact, tmp_path: Path, regions: tuple[str, ...] = (REGION, OTHER)) -> Published:
    store = Store(tmp_path / "publisher" / "store")
    return publish(cloud, artifact, Destination(regions), store, Report(), version="0.1.0")


@pytest.fixture
def check(cloud: Cloud, tmp_path: Path) -> Callable[..., Verified]:
    """Verifies with a store that knows nothing of the publisher's."""

    def verify(
        image: str, region: str = REGION, rebuild: Rebuild | None = None, keys: Sequence[PublicKey] = ()
    ) -> Verified:
        return verify_ami(cloud, region, image, Store(tmp_path / "verifier" / "store"), Report(), rebuild, keys)

    return verify


def unsound(done: Verified) -> set[str]:
    return {part.name for part in done.parts if part.sound is False}


@pytest.mark.parametrize("region", [REGION, OTHER])
def test_a_published_image_and_its_copy_are_what_was_built(
    published: Published, check: Callable[..., Verified], artifact: Artifact, region: str
) -> None:
    done = check(published.images[region].id, region)
    assert done.passed
    assert {part.sound for part in done.parts} == {True}
    assert done.documents.keys() == {"blocks.map", "image-info.json"}
    assert done.bytes_read == len(artifact.blocks.digests) * 512 * 1024


@pytest.mark.parametrize(("label", "part"), [("invar-packages", "packages layer"), ("invar-config", "config layer")])
def test_an_altered_block_fails_and_names_the_layer(
    published: Published,
    check: Callable[..., Verified],
    controlled: Control,
    artifact: Artifact,
    label: str,
    part: str,
) -> None:
    info = json.loads(artifact.documents["image-info.json"])
    offset = next(one["offset"] for one in info["partitions"] if one["label"] == label)
    image = published.images[OTHER]
    controlled("POST", "alter", {"snapshot": image.snapshots[0], "block": offset // (512 * 1024), "offset": 999})
    done = check(image.id, OTHER)
    assert not done.passed
    assert unsound(done) == {part, "system digest", "blocks"}
    assert check(published.images[REGION].id).passed


@pytest.mark.parametrize(
    ("tag", "part"),
    [
        ("invar:system", {"system digest", "tags"}),
        ("invar:spec", {"tags"}),
        ("invar:lock", {"tags"}),
        ("invar:record", {"record"}),
    ],
)
def test_tags_that_tell_something_else_are_noticed(
    cloud: Cloud, published: Published, check: Callable[..., Verified], tag: str, part: set[str]
) -> None:
    image = published.images[REGION]
    other = [{"Key": tag, "Value": "0" * 64}]
    cloud.ec2(REGION).create_tags(Resources=[image.id], Tags=other)  # type: ignore[arg-type]
    if tag == "invar:record":
        record = next(one["SnapshotId"] for one in snapshots(cloud) if "invar-record" in str(one["Tags"]))
        cloud.ec2(REGION).create_tags(Resources=[record], Tags=other)  # type: ignore[arg-type]
    done = check(image.id)
    assert unsound(done) == part
    assert not done.passed


def signed(artifact: Artifact, key: Path, **digests: str) -> Artifact:
    """The artifact with a signed statement about its digests, of which some are replaced."""
    layers = {one["kind"]: one["root_hash"] for one in json.loads(artifact.documents["image-info.json"])["layers"]}
    found = {"system": artifact.identity.system_digest, "disk": artifact.blocks.digest, **layers, **digests}
    info = hashlib.sha256(artifact.documents["image-info.json"]).hexdigest()
    byproducts = [{"name": "image-info.json", "digest": {"sha256": info}}]
    document = {
        "_type": STATEMENT,
        "predicateType": PREDICATE,
        "subject": [subject(name, value) for name, value in found.items()],
        "predicate": {"runDetails": {"byproducts": byproducts}},
    }
    envelope = sign(encode(document), read_private_key(key))
    return replace(artifact, documents={**artifact.documents, "provenance.dsse.json": envelope})


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "release.key"
    generate_key(path, "ed25519")
    return path


def test_a_key_asks_for_a_signed_provenance_of_these_bytes(
    cloud: Cloud, artifact: Artifact, check: Callable[..., Verified], key: Path, tmp_path: Path
) -> None:
    image = send(cloud, signed(artifact, key), tmp_path).images[OTHER].id
    own, other = read_private_key(key).public, generate_key(tmp_path / "other.key", "p256")
    assert check(image, OTHER, None, [other, own]).passed
    assert unsound(check(image, OTHER, None, [other])) == {"signature"}


@pytest.mark.parametrize("name", ["system", "disk", "config"])
def test_a_signature_of_other_bytes_does_not_do(
    cloud: Cloud, artifact: Artifact, check: Callable[..., Verified], key: Path, tmp_path: Path, name: str
) -> None:
    image = send(cloud, signed(artifact, key, **{name: "0" * 64}), tmp_path, (REGION,)).images[REGION].id
    done = check(image, REGION, None, [read_private_key(key).public])
    assert unsound(done) == {"signature"}
    assert any(name in part.why for part in done.parts if part.name == "signature")


def test_an_unsigned_image_is_signed_by_publishing_it_again(
    cloud: Cloud, controlled: Control, artifact: Artifact, check: Callable[..., Verified], key: Path, tmp_path: Path
) -> None:
    image = send(cloud, artifact, tmp_path).images[OTHER].id
    keys = [read_private_key(key).public]
    assert unsound(check(image, OTHER, None, keys)) == {"signature"}
    assert send(cloud, signed(artifact, key), tmp_path).uploaded is None
    assert check(image, OTHER, None, keys).passed
    assert len(controlled("GET", "state")["snapshots"]) == 4, "the records before are gone"
    send(cloud, artifact, tmp_path)
    assert check(image, OTHER, None, keys).passed, "publishing it unsigned takes nothing away"


def snapshots(cloud: Cloud) -> list[Any]:
    return list(cloud.ec2(REGION).describe_snapshots(OwnerIds=["self"])["Snapshots"])


def test_without_its_record_the_digest_is_still_judged(
    cloud: Cloud, published: Published, check: Callable[..., Verified]
) -> None:
    record = next(one["SnapshotId"] for one in snapshots(cloud) if "invar-record" in str(one["Tags"]))
    cloud.ec2(REGION).delete_snapshot(SnapshotId=record)
    done = check(published.images[REGION].id)
    assert done.passed
    assert {part.name for part in done.parts if part.sound is None} == {"/var", "blocks", "record"}


def test_what_is_not_there_or_not_ours_is_an_error(cloud: Cloud, check: Callable[..., Verified]) -> None:
    with pytest.raises(InvarError, match="no image"):
        check("ami-0123456789abcdef0")
    with pytest.raises(InvarError) as caught:
        check("ami-nothing")
    assert "ec2:DescribeImages" in (caught.value.where or "")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone with one committed configuration and its lock."""
    directory = tmp_path / "clone" / "web"
    directory.mkdir(parents=True)
    (directory / "configuration.nix").write_text("{ }\n")
    (directory / "invar.lock").write_text("{}\n")
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "one")):
        subprocess.run(
            ["git", "-C", str(directory.parent), "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True
        )
    return directory.parent


def committed(artifact: Artifact, repository: Path, **identity: Any) -> Artifact:
    argv = ["git", "-C", str(repository), "rev-parse", "HEAD"]
    commit = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    told = {"commit": commit, "source": "web/configuration.nix"} | identity
    return replace(artifact, identity=replace(artifact.identity, **told))


def test_a_rebuild_of_the_commit_must_give_the_same_bytes(
    cloud: Cloud, artifact: Artifact, repository: Path, check: Callable[..., Verified], tmp_path: Path
) -> None:
    """The engine is stood in for by disks that are there: what is tested is the checkout and the comparison."""
    image = send(cloud, committed(artifact, repository), tmp_path, (REGION,)).images[REGION].id
    built: list[str] = []
    (repository / "web" / "configuration.nix").write_text("{ changed = true; }\n")

    def same(source: Source) -> Artifact:
        assert (source.engine, source.attribute) == ("native", None)
        built.append(Path(source.place).read_text())
        return artifact

    def other(source: Source) -> Artifact:
        path = small_disk(tmp_path / "other.raw", config=2).path
        return replace(artifact, path=path, blocks=map_blocks(path, Report()))

    assert check(image, REGION, Rebuild(repository, same)).passed
    assert built == ["{ }\n"]
    done = check(image, REGION, Rebuild(repository, other))
    assert unsound(done) == {"rebuild"}


def test_a_flake_is_built_again_by_its_url_at_the_commit(
    cloud: Cloud, artifact: Artifact, repository: Path, check: Callable[..., Verified], tmp_path: Path
) -> None:
    (repository / "web" / "flake.nix").write_text("{ outputs = { self }: { }; }\n")
    for arguments in (("add", "."), ("commit", "--quiet", "-m", "two")):
        subprocess.run(
            ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True
        )
    told = committed(artifact, repository, source="web/flake.nix", output="hosts.web", engine="nix")
    published = send(cloud, told, tmp_path, (REGION,)).images[REGION]
    asked: list[Source] = []

    def same(source: Source) -> Artifact:
        asked.append(source)
        return artifact

    assert check(published.id, REGION, Rebuild(repository / "web", same)).passed
    url = f"git+file://{repository}?rev={told.identity.commit}&dir=web#hosts.web"
    assert asked == [Source(url, "nix", None)]


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ({"commit": None}, "no commit is recorded"),
        ({"commit": "0" * 40}, "--repository"),
        ({"commit": "--upload-pack=x"}, "is no commit"),
        ({"source": "../../etc/passwd"}, "out of the repository"),
        ({"source": "other/configuration.nix"}, "no configuration"),
    ],
)
def test_what_cannot_be_built_again_says_why(
    cloud: Cloud,
    artifact: Artifact,
    repository: Path,
    check: Callable[..., Verified],
    tmp_path: Path,
    identity: dict[str, Any],
    said: str,
) -> None:
    image = send(cloud, committed(artifact, repository, **identity), tmp_path, (REGION,)).images[REGION].id
    with pytest.raises(InvarError) as caught:
        check(image, REGION, Rebuild(repository, lambda source: artifact))
    assert said in str(caught.value)


def test_a_file_is_judged_by_the_description_beside_it(tmp_path: Path) -> None:
    disk = small_disk(tmp_path / "disk.raw")
    assert verify_file(disk.path, Report()).passed
    (tmp_path / "image-info.json").write_text(json.dumps({**disk.info, "file": "disk.raw"}))
    assert verify_file(disk.path, Report()).passed
    flip(disk.path, disk.layout.config.offset)
    assert unsound(verify_file(disk.path, Report())) == {"config layer", "system digest"}
    (tmp_path / "image-info.json").write_text("{")
    with pytest.raises(InvarError, match="description"):
        verify_file(disk.path, Report())
