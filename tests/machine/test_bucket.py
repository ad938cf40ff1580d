"""A build cache in S3, read with a role: against moto, which verifies each signature and enforces the role's policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from invar.machine.bucket import Bucket, Place
from invar.machine.cache_address import source_of
from invar.machine.cache_source import Absent, Broken, Source
from invar.machine.sigv4 import Credentials
from machine.cache_server import CacheServer
from machine.s3_server import BUCKET, S3Server

CONTENT = bytes(range(256)) * 40
KEYS = ("layers/ab", "a b/layers/ab", "web/eu+1/x=1&y/é~/layers/ab")
PREFIXES = ("", "/a b", "/web/eu+1/x=1&y/é~")


@pytest.fixture(scope="module")
def roles() -> dict[str, dict[str, str]]:
    return {}


@pytest.fixture(scope="module")
def s3(roles: dict[str, dict[str, str]]) -> Iterator[S3Server]:
    with S3Server() as server:
        for key in KEYS:
            server.put(key, CONTENT)
        roles["reader"] = server.assume("reader")
        roles["stranger"] = server.assume("stranger", None)
        server.lock()
        yield server


@pytest.fixture(autouse=True)
def calm(s3: S3Server) -> None:
    s3.behaviour.asked.clear()
    s3.behaviour.expired.clear()
    s3.behaviour.names_region = True


def bucket(s3: S3Server, role: dict[str, str], *, prefix: str = "", region: str = "eu-central-1") -> Bucket:
    credentials = Credentials(role["AccessKeyId"], role["SecretAccessKey"], role["Token"])
    place = Place(BUCKET, prefix, "amazonaws.com", s3.endpoint)
    return Bucket(f"s3://{BUCKET}{prefix}", place, region, credentials, lambda: credentials)


def read(source: Source, name: str, offset: int = 0) -> tuple[int, bytes]:
    with source.open(name, offset) as (start, chunks):
        return start, b"".join(chunks)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_object_is_read_by_role_and_signature(s3: S3Server, roles: dict[str, dict[str, str]], prefix: str) -> None:
    found = bucket(s3, roles["reader"], prefix=prefix)
    assert read(found, "layers/ab") == (0, CONTENT)
    assert read(found, "layers/ab", 1000) == (1000, CONTENT[1000:])


def test_what_is_not_there_is_absent(s3: S3Server, roles: dict[str, dict[str, str]]) -> None:
    with pytest.raises(Absent, match="NoSuchKey"):
        read(bucket(s3, roles["reader"]), "layers/cd")


def test_a_role_that_may_not_read_is_told_what_it_needs(s3: S3Server, roles: dict[str, dict[str, str]]) -> None:
    with pytest.raises(Absent, match=r"AccessDenied: .*s3:GetObject"):
        read(bucket(s3, roles["stranger"]), "layers/ab")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"SecretAccessKey": "other"}, "SignatureDoesNotMatch"),
        ({"AccessKeyId": "ASIAUNKNOWN"}, "InvalidAccessKeyId"),
        ({"Token": "other"}, "InvalidToken"),
    ],
)
def test_wrong_credentials_are_told_by_s3s_own_code(
    s3: S3Server, roles: dict[str, dict[str, str]], change: dict[str, str], code: str
) -> None:
    with pytest.raises(Broken, match=code):
        read(bucket(s3, roles["reader"] | change), "layers/ab")


@pytest.mark.parametrize("names_region", [True, False])
def test_a_bucket_of_another_region_is_followed_there(
    s3: S3Server, roles: dict[str, dict[str, str]], names_region: bool
) -> None:
    s3.behaviour.names_region = names_region
    found = bucket(s3, roles["reader"], region="us-east-1")
    assert read(found, "layers/ab") == (0, CONTENT)
    assert [status for *_, status in s3.behaviour.asked] == [301 if names_region else 400, 200]
    assert read(found, "layers/ab", 5) == (5, CONTENT[5:])
    assert len(s3.behaviour.asked) == 3, "the second file is asked for in the right region at once"


def test_the_region_is_in_the_address_of_a_bucket_of_aws() -> None:
    place = Place("example", "/a b", "amazonaws.com")
    assert place.address("eu-west-1") == "https://example.s3.eu-west-1.amazonaws.com/a%20b"
    assert replace(place, bucket="a.b").address("eu-west-1") == "https://s3.eu-west-1.amazonaws.com/a.b/a%20b"
    at_endpoint = replace(place, endpoint="https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com/")
    assert at_endpoint.address("x") == "https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com/example/a%20b"


def test_expired_credentials_are_asked_for_anew_once(s3: S3Server, roles: dict[str, dict[str, str]]) -> None:
    good = roles["reader"]
    old = Credentials("ASIAOLD", "old", "old token")
    place = Place(BUCKET, "", "amazonaws.com", s3.endpoint)
    new = Credentials(good["AccessKeyId"], good["SecretAccessKey"], good["Token"])
    s3.behaviour.expired.add("old token")
    assert read(Bucket("s3://x", place, "eu-central-1", old, lambda: new), "layers/ab") == (0, CONTENT)
    with pytest.raises(Broken, match="ExpiredToken: The provided token has expired"):
        read(Bucket("s3://x", place, "eu-central-1", old, lambda: old), "layers/ab")


def test_the_role_comes_from_the_metadata_service(
    s3: S3Server, roles: dict[str, dict[str, str]], serve: Callable[..., str]
) -> None:
    endpoint = serve(role_credentials=roles["reader"])
    found = source_of(f"s3://{BUCKET}/a b/", [endpoint], s3_endpoint=s3.endpoint)
    assert read(found, "layers/ab") == (0, CONTENT)
    assert [status for *_, status in s3.behaviour.asked] == [301, 200], "the instance is in us-east-1"


def test_an_answer_that_is_not_s3s_is_told_by_its_status(tmp_path: Path) -> None:
    with CacheServer(tmp_path) as server:
        server.behaviour.status = 403
        credentials = Credentials("AKID", "SECRET", None)
        place = Place("example", "", "amazonaws.com", server.address)
        with pytest.raises(Absent, match="does not let this machine read it"):
            read(Bucket("s3://example", place, "eu-west-1", credentials, lambda: credentials), "x")


@pytest.mark.parametrize("token", [None, "session+token"])
def test_the_signature_is_the_one_that_botocore_makes(tmp_path: Path, token: str | None) -> None:
    (tmp_path / "example/a b").mkdir(parents=True)
    (tmp_path / "example/a b/ab").write_bytes(CONTENT)
    with CacheServer(tmp_path) as server:
        credentials = Credentials("AKID", "SECRET", token)
        place = Place("example", "/a b", "amazonaws.com", server.address)
        found = Bucket("s3://example/a b", place, "eu-central-1", credentials, lambda: credentials)
        assert read(found, "ab", 1000) == (1000, CONTENT[1000:])
        asked = server.behaviour.asked[0]
        assert asked.headers["Range"] == "bytes=1000-"
        names = ("Host", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token")
        signed = {name: asked.headers[name] for name in names if name in asked.headers}
        assert ("X-Amz-Security-Token" in signed) == (token is not None)
        request = AWSRequest("GET", server.address + asked.path, headers=signed)
        request.context["timestamp"] = signed["X-Amz-Date"]
        signer = S3SigV4Auth(BotoCredentials("AKID", "SECRET", token), "s3", "eu-central-1")
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        assert asked.headers["Authorization"].endswith(f"Signature={signature}")
