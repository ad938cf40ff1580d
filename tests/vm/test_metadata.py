"""The metadata service answers as EC2's does: tokens, tree, listings, refusals."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from invar.vm import relay, unix_socket
from invar.vm.metadata import MAX_TTL, TOKEN_HEADER, TOKEN_PATH, TTL_HEADER, Instance, MetadataService
from invar.vm.metadata_server import MetadataServer

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLE invar"
INSTANCE = Instance(
    instance_id="i-0123456789abcdef0",
    image_id="ami-0123456789abcdef0",
    local_ipv4="169.255.0.15",
    mac="02:00:00:00:00:01",
    public_keys={"invar": KEY},
    user_data=b"#!/bin/sh\n\xff\x00",
    tags={"Name": "web"},
)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> MetadataService:
    return MetadataService(INSTANCE, clock)


def token(service: MetadataService, ttl: int = 60) -> str:
    return service.answer("PUT", TOKEN_PATH, {TTL_HEADER: str(ttl)}).body.decode()


def read(service: MetadataService, path: str) -> tuple[int, str]:
    answer = service.answer("GET", path, {TOKEN_HEADER: token(service)})
    return answer.status, answer.body.decode(errors="replace")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/latest/meta-data/instance-id", "i-0123456789abcdef0"),
        ("/latest/meta-data/ami-id", "ami-0123456789abcdef0"),
        ("/latest/meta-data/instance-type", "t3.small"),
        ("/latest/meta-data/hostname", "ip-169-255-0-15.ec2.internal"),
        ("/latest/meta-data/local-hostname", "ip-169-255-0-15.ec2.internal"),
        ("/latest/meta-data/local-ipv4", "169.255.0.15"),
        ("/latest/meta-data/mac", "02:00:00:00:00:01"),
        ("/latest/meta-data/network/interfaces/macs/02:00:00:00:00:01/local-ipv4s", "169.255.0.15"),
        ("/latest/meta-data/public-keys/", "0=invar"),
        ("/latest/meta-data/public-keys/0/", "openssh-key"),
        ("/latest/meta-data/public-keys/0", "openssh-key"),
        ("/latest/meta-data/public-keys/0/openssh-key", KEY),
        ("/latest/meta-data/placement/region", "us-east-1"),
        ("/latest/meta-data/placement/availability-zone", "us-east-1a"),
        ("/latest/meta-data/placement/", "availability-zone\navailability-zone-id\nregion"),
        ("/latest/meta-data/tags/instance", "Name"),
        ("/latest/meta-data/tags/instance/Name", "web"),
        ("/latest", "dynamic\nmeta-data\nuser-data"),
        ("/latest/", "dynamic\nmeta-data\nuser-data"),
        ("/latest/dynamic/", "instance-identity/"),
        ("/2021-03-23/meta-data/instance-id", "i-0123456789abcdef0"),
        ("/latest/meta-data/instance-id?x=y", "i-0123456789abcdef0"),
    ],
)
def test_a_path_reads_as_on_ec2(service: MetadataService, path: str, body: str) -> None:
    assert read(service, path) == (200, body)


def test_directories_are_listed_with_a_slash(service: MetadataService) -> None:
    lines = read(service, "/latest/meta-data/")[1].splitlines()
    assert {"instance-id", "placement/", "public-keys/", "network/"} <= set(lines)
    assert lines == sorted(lines)


def test_the_root_lists_versions(service: MetadataService) -> None:
    lines = read(service, "/")[1].splitlines()
    assert lines[0] == "1.0"
    assert lines[-1] == "latest"


def test_the_identity_document_is_json_about_this_instance(service: MetadataService) -> None:
    document = json.loads(read(service, "/latest/dynamic/instance-identity/document")[1])
    assert document["instanceId"] == INSTANCE.instance_id
    assert document["imageId"] == INSTANCE.image_id
    assert document["privateIp"] == INSTANCE.local_ipv4


def test_user_data_is_bytes(service: MetadataService) -> None:
    answer = service.answer("GET", "/latest/user-data", {TOKEN_HEADER: token(service)})
    assert (answer.content_type, answer.body) == ("application/octet-stream", b"#!/bin/sh\n\xff\x00")


@pytest.mark.parametrize(
    "path", ["/latest/user-data", "/latest/meta-data/public-keys/", "/latest/meta-data/tags/instance"]
)
def test_what_was_not_given_is_not_found(clock: Clock, path: str) -> None:
    bare = MetadataService(Instance("i-0", "ami-0", "169.255.0.15", "02:00:00:00:00:01", {}), clock)
    assert read(bare, path)[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/latest/meta-data/nothing",
        "/latest/meta-data/instance-id/",
        "/latest/meta-data/instance-id/x",
        "/1999-01-01/meta-data",
        "/x",
    ],
)
def test_unknown_paths_are_not_found(service: MetadataService, path: str) -> None:
    assert read(service, path)[0] == 404


@pytest.mark.parametrize("headers", [{}, {TOKEN_HEADER: ""}, {TOKEN_HEADER: "made-up"}])
def test_reads_without_a_token_are_refused(service: MetadataService, headers: dict[str, str]) -> None:
    assert service.answer("GET", "/latest/meta-data/instance-id", headers).status == HTTPStatus.UNAUTHORIZED


def test_a_token_expires_at_its_second(service: MetadataService, clock: Clock) -> None:
    headers = {TOKEN_HEADER: token(service, ttl=60)}
    clock.seconds += 59.9
    assert service.answer("GET", "/latest/", headers).status == HTTPStatus.OK
    clock.seconds += 0.1
    assert service.answer("GET", "/latest/", headers).status == HTTPStatus.UNAUTHORIZED


def test_tokens_do_not_end_one_another(service: MetadataService, clock: Clock) -> None:
    long = {TOKEN_HEADER: token(service, ttl=100)}
    token(service, ttl=1)
    clock.seconds += 50
    token(service, ttl=1)
    assert service.answer("GET", "/latest/", long).status == HTTPStatus.OK


@pytest.mark.parametrize("ttl", ["", "0", "-1", str(MAX_TTL + 1), "9" * 40, "1.5", "ten", "²"])
def test_a_lifetime_out_of_range_is_a_bad_request(service: MetadataService, ttl: str) -> None:
    assert service.answer("PUT", TOKEN_PATH, {TTL_HEADER: ttl}).status == HTTPStatus.BAD_REQUEST


def test_a_forwarded_request_gets_no_token(service: MetadataService) -> None:
    headers = {TTL_HEADER: "60", "x-forwarded-for": "10.0.0.1"}
    assert service.answer("PUT", TOKEN_PATH, headers).status == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    ("method", "path"), [("GET", TOKEN_PATH), ("PUT", "/latest/meta-data/"), ("DELETE", "/latest/")]
)
def test_other_methods_are_not_allowed(service: MetadataService, method: str, path: str) -> None:
    headers = {TOKEN_HEADER: token(service)}
    assert service.answer(method, path, headers).status == HTTPStatus.METHOD_NOT_ALLOWED


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("169.254.169.254")
        self._path = path

    def connect(self) -> None:
        self.sock = unix_socket.connect(self._path, 10)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A metadata server's socket, at a path longer than sockaddr_un holds."""
    directory = tmp_path / ("d" * 100)
    directory.mkdir()
    path = directory / "metadata.sock"
    with MetadataServer(unix_socket.listen(path), INSTANCE):
        yield path


def test_served_over_http_with_connections_kept(served: Path) -> None:
    connection = UnixConnection(served)
    connection.request("PUT", TOKEN_PATH, headers={TTL_HEADER: "60"})
    answer = connection.getresponse()
    issued = answer.read().decode()
    assert (answer.status, answer.headers[TTL_HEADER], answer.headers["Content-Type"]) == (200, "60", "text/plain")
    first_socket = connection.sock
    connection.request("GET", "/latest/meta-data/instance-id", headers={"X-aws-ec2-metadata-token": issued})
    assert connection.getresponse().read() == INSTANCE.instance_id.encode()
    connection.request("GET", "/latest/meta-data/instance-id")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (401, "text/html")
    assert b"401 - Unauthorized" in answer.read()
    connection.request("HEAD", "/latest/", headers={"X-aws-ec2-metadata-token": issued})
    assert connection.getresponse().read() == b""
    assert connection.sock is first_socket
    connection.close()


def test_connections_are_served_side_by_side(served: Path) -> None:
    idle = unix_socket.connect(served, 10)
    connection = UnixConnection(served)
    connection.request("GET", "/latest/")
    assert connection.getresponse().status == 401
    connection.close()
    idle.close()


def test_the_relay_joins_its_input_and_output_with_the_service(served: Path) -> None:
    request = b"GET /latest/meta-data/ HTTP/1.0\r\n\r\n"
    argv = [sys.executable, "-I", "-S", relay.__file__, "metadata.sock"]
    ran = subprocess.run(argv, cwd=served.parent, input=request, capture_output=True, timeout=60, check=True)
    assert ran.stdout.startswith(b"HTTP/1.1 401 ")
    assert ran.stdout.endswith(b"</html>\n")


def test_the_socket_is_its_owners_alone(served: Path) -> None:
    assert served.stat().st_mode & 0o077 == 0


def test_a_client_that_goes_away_does_no_harm(served: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        gone = unix_socket.connect(served, 10)
        gone.sendall(b"GET / HT")
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()
    connection = UnixConnection(served)
    connection.request("GET", "/")
    assert connection.getresponse().status == 401
    connection.close()
    assert capfd.readouterr().err == ""
