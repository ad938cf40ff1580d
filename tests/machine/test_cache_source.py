"""Where published systems come from: directories, web servers, buckets with the role's signature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.machine.bucket import Bucket
from invar.machine.cache_address import source_of
from invar.machine.cache_source import Absent, Broken, Source
from machine.cache_server import CacheServer

ROLE = {"RoleName": "web", "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "wJalrX", "Token": "session"}
CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers/ab").write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def server(directory: Path) -> Iterator[CacheServer]:
    with CacheServer(directory) as server:
        yield server


def read(source: Source, name: str, offset: int = 0) -> tuple[int, bytes]:
    with source.open(name, offset) as (start, chunks):
        return start, b"".join(chunks)


@pytest.mark.parametrize("kind", ["file", "http"])
def test_a_file_is_read_from_where_an_earlier_transfer_stopped(kind: str, directory: Path, server: CacheServer) -> None:
    source = source_of(f"file://{directory}" if kind == "file" else f"{server.address}/")
    assert read(source, "layers/ab") == (0, CONTENT)
    assert read(source, "layers/ab", 1000) == (1000, CONTENT[1000:])
    with pytest.raises(Absent):
        read(source, "layers/cd")


def test_a_server_without_ranges_begins_anew(server: CacheServer) -> None:
    server.behaviour.ranges = False
    assert read(source_of(server.address), "layers/ab", 1000) == (0, CONTENT)


def test_an_answer_that_ends_early_is_no_end(server: CacheServer) -> None:
    server.behaviour.breaks, server.behaviour.break_after = 1, 5000
    with pytest.raises(Broken), source_of(server.address).open("layers/ab", 0) as (_, chunks):
        for _ in chunks:
            pass


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_worth_another_try(server: CacheServer, status: int) -> None:
    server.behaviour.status = status
    with pytest.raises(Broken, match=str(status)):
        read(source_of(server.address), "layers/ab")


def test_nobody_there(directory: Path) -> None:
    with CacheServer(directory) as gone:
        address = gone.address
    with pytest.raises(Broken, match="refused"):
        read(source_of(address), "layers/ab")


def test_a_bucket_is_in_the_instances_region_and_read_by_its_role(serve: Callable[..., str]) -> None:
    found = source_of("s3://example-cache/web/", [serve(role_credentials=ROLE)])
    assert isinstance(found, Bucket)
    assert found.url("layers/ab") == "https://example-cache.s3.us-east-1.amazonaws.com/web/layers/ab"
    assert found.address == "s3://example-cache/web/"


def test_an_instance_without_a_role_reads_no_bucket(serve: Callable[..., str]) -> None:
    with pytest.raises(Broken, match="no role"):
        source_of("s3://example-cache/web", [serve()])


@pytest.mark.parametrize(
    "address", ["", "cache.example.org", "ftp://example.org/", "https:///x", "s3:///x", "file://h/x"]
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InvarError, match="no address of a build cache"):
        source_of(address)
