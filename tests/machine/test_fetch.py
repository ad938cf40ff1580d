"""Published systems arrive whole and proven, or not at all; what has arrived is not asked for again."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.image.publication import (
    BootFile,
    Publication,
    configuration_document,
    configuration_path,
    initrd_path,
    kernel_path,
    published,
)
from invar.image.verity import append_hash_tree
from invar.machine import fetch, state
from invar.machine.cache_address import source_of
from invar.machine.cache_source import Source
from invar.machine.fetch import Fetched, find_configuration, find_publication
from invar.machine.generations import Generation, LayerRecord
from invar.store.build_cache import BuildCache
from invar.system.user_data import PublicKey, Signature, message_to_sign, with_signature
from machine.cache_server import CacheServer

SALT = b"\x5a" * 32
NONE = LayerRecord("packages", "0" * 64, "", 1, 1)


@dataclass(frozen=True)
class Cache:
    """A cache with one system, and the server of it."""

    files: BuildCache
    publication: Publication
    server: CacheServer

    @property
    def source(self) -> Source:
        return source_of(self.server.address)

    @property
    def layer(self) -> Path:
        return self.files.path(self.publication.packages.path)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    words = []
    for kind, blocks in (("packages", 400), ("config", 3)):
        file = tmp_path / kind
        file.write_bytes(b"".join(hashlib.sha256(f"{kind}{index}".encode()).digest() * 128 for index in range(blocks)))
        tree = append_hash_tree(file, SALT)
        words.append(f"invar.{kind}={tree.root_hash}:{tree.salt}:{tree.data_blocks}")
    boot = {name: name.encode() * 10_000 for name in ("kernel", "initrd")}
    kernel, initrd = (BootFile(hashlib.sha256(content).hexdigest(), len(content)) for content in boot.values())
    made = published(" ".join(("panic=1", *words)), kernel, initrd)
    files = BuildCache(tmp_path / "cache")
    files.put_file(made.packages.path, tmp_path / "packages")
    files.put_file(made.config.path, tmp_path / "config")
    files.put(kernel_path(kernel), boot["kernel"])
    files.put(initrd_path(initrd), boot["initrd"])
    files.put(made.path, made.to_json())
    with CacheServer(files.directory) as server:
        yield Cache(files, made, server)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "LAYERS", tmp_path / "var/layers")
    monkeypatch.setattr(fetch, "DOWNLOADS", tmp_path / "var/downloads")
    monkeypatch.setattr(fetch, "_FIRST_PAUSE", 0.001)


def generation(packages: LayerRecord = NONE, kernel: str = "k", initrd: str = "i") -> Generation:
    config = LayerRecord("config", "1" * 64, "", 1, 1)
    return Generation(1, "d", "s", packages, config, "", "6.12", kernel, initrd, 0, "image", "good", True)


def fetched(cache: Cache, base: Generation | None = None) -> Fetched:
    now = base or generation()
    return fetch.fetch(cache.publication, cache.source, now, [now], Report())


def arrived(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def test_a_system_arrives_whole(cache: Cache) -> None:
    found, source = find_publication(cache.publication.digest, [cache.source])
    assert found == cache.publication and source.address == cache.server.address
    done = fetched(cache)
    layers = [state.LAYERS / layer.file_name for layer in (done.packages, done.config)]
    assert [path.read_bytes() for path in layers] == [
        cache.files.path(layer.path).read_bytes() for layer in (found.packages, found.config)
    ]
    assert done.kernel is not None and done.kernel.read_bytes() == b"kernel" * 10_000
    assert done.initrd is not None and done.initrd.read_bytes() == b"initrd" * 10_000
    assert not [name for name in arrived(fetch.DOWNLOADS) if name.endswith(".part")]


def test_what_is_here_is_not_asked_for(cache: Cache) -> None:
    made = cache.publication
    layer = made.packages
    here = LayerRecord("packages", layer.root_hash, layer.salt, layer.data_blocks, layer.bytes // 4096)
    done = fetched(cache, generation(here, made.kernel.sha256, made.initrd.sha256))
    assert [asked.path for asked in cache.server.behaviour.asked] == [f"/{made.config.path}"]
    assert (done.kernel, done.initrd) == (None, None)
    fetched(cache)
    cache.server.behaviour.asked.clear()
    fetched(cache)
    assert not cache.server.behaviour.asked


def test_a_transfer_that_breaks_off_goes_on_where_it_stopped(cache: Cache) -> None:
    cache.server.behaviour.breaks, cache.server.behaviour.break_after = 3, 500_000
    done = fetched(cache)
    assert (state.LAYERS / done.packages.file_name).read_bytes() == cache.layer.read_bytes()
    ranges = [asked.headers.get("Range") for asked in cache.server.behaviour.asked[:4]]
    assert ranges == [None, "bytes=500000-", "bytes=1000000-", "bytes=1500000-"]


def test_a_run_that_was_given_up_goes_on_at_the_next(cache: Cache) -> None:
    cache.server.behaviour.breaks, cache.server.behaviour.break_after = 5, 100_000
    with pytest.raises(InvarError, match="cannot be fetched"):
        fetched(cache)
    cache.server.behaviour.asked.clear()
    fetched(cache)
    assert cache.server.behaviour.asked[0].headers["Range"] == "bytes=500000-"


def test_without_ranges_it_begins_anew(cache: Cache) -> None:
    cache.server.behaviour.ranges = False
    cache.server.behaviour.breaks, cache.server.behaviour.break_after = 2, 300_000
    done = fetched(cache)
    assert (state.LAYERS / done.packages.file_name).read_bytes() == cache.layer.read_bytes()


@pytest.mark.parametrize("part", ["packages", "config", "kernel", "initrd"])
def test_a_flipped_byte_is_found_and_nothing_of_it_stays(cache: Cache, part: str) -> None:
    made = cache.publication
    name = {
        "packages": made.packages.path,
        "config": made.config.path,
        "kernel": kernel_path(made.kernel),
        "initrd": initrd_path(made.initrd),
    }[part]
    file = cache.files.path(name)
    whole = file.read_bytes()
    file.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    with pytest.raises(InvarError, match=r"does not match the verity root hash|not what its name says"):
        fetched(cache)
    assert Path(name).name not in " ".join([*arrived(state.LAYERS), *arrived(fetch.DOWNLOADS)])
    file.write_bytes(whole)
    fetched(cache)


@pytest.mark.parametrize("change", ["longer", "shorter", "absent"])
def test_a_file_of_another_length_is_refused(cache: Cache, change: str) -> None:
    content = cache.layer.read_bytes()
    if change == "absent":
        cache.layer.unlink()
    else:
        cache.layer.write_bytes(content + b"x" if change == "longer" else content[:-1])
    with pytest.raises(InvarError) as refused:
        fetched(cache)
    assert {"longer": "longer than", "shorter": "", "absent": "not in the build cache"}[change] in str(refused.value)
    assert not [name for name in arrived(state.LAYERS) if name.startswith("packages")]


def test_another_systems_manifest_is_refused_and_the_next_cache_asked(cache: Cache, tmp_path: Path) -> None:
    """An older image swapped in: its manifest is sound, but not under this name."""
    other = published(cache.publication.cmdline + " debug", cache.publication.kernel, cache.publication.initrd)
    wrong = BuildCache(tmp_path / "wrong")
    wrong.put(cache.publication.path, other.to_json())
    bad = source_of(f"file://{wrong.directory}")
    with pytest.raises(InvarError) as refused:
        find_publication(cache.publication.digest, [bad])
    assert "is not that of system" in str(refused.value)
    assert find_publication(cache.publication.digest, [bad, cache.source])[1].address == cache.server.address


def test_no_cache_has_it(cache: Cache) -> None:
    with pytest.raises(InvarError, match="cannot be had") as refused:
        find_publication("ab" * 32, [cache.source])
    assert cache.server.address in str(refused.value) and "it has none" in str(refused.value)
    with pytest.raises(InvarError, match="there is no cache to ask"):
        find_publication("ab" * 32, [])


def test_no_room_is_told_before_anything_is_fetched(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage("/")._replace(free=65 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(InvarError, match="/var has 65 MiB left"):
        fetched(cache)
    assert not cache.server.behaviour.asked


def test_what_a_configuration_was_built_to(cache: Cache) -> None:
    asked, warnings = "cd" * 32, list[str]()
    report = Report(lambda event: warnings.append(str(event)))
    local = source_of(f"file://{cache.files.directory}")
    assert find_configuration(asked, [local], [], report) is None
    answer = configuration_document(asked, cache.publication.digest)
    cache.files.put(configuration_path(asked), answer)
    gone = source_of("http://127.0.0.1:1")
    assert find_configuration(asked, [gone, local], [], report) == cache.publication.digest
    for wrong in (b"<html>not found</html>", answer.replace(b"cd", b"ce"), answer[:-9], answer + answer):
        cache.files.put(configuration_path(asked), wrong)
        assert find_configuration(asked, [local], [], report) is None
    assert any("is no digest" in text for text in warnings)


def test_what_a_cache_says_of_a_configuration_is_believed_by_key_or_by_who_it_is(cache: Cache) -> None:
    asked, digest, report = "cd" * 32, cache.publication.digest, Report()
    local, place = source_of(f"file://{cache.files.directory}"), configuration_path(asked)
    answer = configuration_document(asked, digest)
    secrets = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2)]
    keys = [PublicKey(secret.public_key().public_bytes_raw()) for secret in secrets]
    signed = [
        with_signature(answer, Signature(key.id, secret.sign(message_to_sign(answer))))
        for key, secret in zip(keys, secrets, strict=True)
    ]
    cache.files.put(place, answer)
    assert find_configuration(asked, [cache.source], [], report) is None
    assert find_configuration(asked, [local], keys, report) is None
    cache.files.put(place, signed[1])
    assert find_configuration(asked, [local], [], report) == digest
    assert find_configuration(asked, [cache.source], keys[:1], report) is None
    assert find_configuration(asked, [cache.source], keys, report) == digest
    cache.files.put(place, signed[1].replace(digest.encode(), b"ef" * 32))
    assert find_configuration(asked, [local, cache.source], keys, report) is None
    cache.files.put(configuration_path("ce" * 32), signed[1])
    assert find_configuration("ce" * 32, [local], keys, report) is None
