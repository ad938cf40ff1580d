"""Secrets by the instance's role: the signature against botocore's, the calls against the local cloud's SSM."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from invar.core.errors import InvarError
from invar.core.events import Note, Report
from invar.machine import secrets, sigv4
from invar.machine.instance import Instance, Secret
from invar.machine.metadata import connect
from invar.machine.secrets import fetch_all

ROLE = {"RoleName": "web", "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "wJalrX", "Token": "session"}
VALUE = "correct horse"


@given(
    body=st.binary(max_size=100),
    token=st.sampled_from([None, "session"]),
    target=st.sampled_from(["AmazonSSM.GetParameter", "  spaced   out "]),
)
def test_signatures_are_botocores(body: bytes, token: str | None, target: str) -> None:
    url = "https://ssm.eu-central-1.amazonaws.com/"
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
    ours = sigv4.signed_headers(
        url,
        body,
        headers,
        sigv4.Credentials("AKID", "SECRET", token),
        region="eu-central-1",
        service="ssm",
        timestamp="20260101T000000Z",
    )
    request = AWSRequest("POST", url, headers={**headers, "Host": "ssm.eu-central-1.amazonaws.com"}, data=body)
    signer = SigV4Auth(BotoCredentials("AKID", "SECRET", token), "ssm", "eu-central-1")
    request.context["timestamp"] = "20260101T000000Z"
    request.headers["X-Amz-Date"] = "20260101T000000Z"
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["Authorization"].endswith(f"Signature={signature}")


def test_credentials_do_not_show_themselves() -> None:
    assert "SECRET" not in repr(sigv4.Credentials("AKID", "SECRET", "TOKEN"))


@pytest.fixture(scope="module")
def aws() -> str:
    """An SSM and a Secrets Manager on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    options = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    boto3.client("ssm", **options, **keys).put_parameter(Name="/web/db", Value=VALUE, Type="SecureString")
    manager = boto3.client("secretsmanager", **options, **keys)
    manager.create_secret(Name="web/api", SecretString=VALUE)
    manager.create_secret(Name="web/blob", SecretBinary=b"\x00\xff")
    return endpoint


def instance(endpoint: str, **declared: Secret) -> Instance:
    return Instance(True, (), declared, endpoint, endpoint)


def fetch(declared: Instance, endpoint: str, directory: Path) -> list[str]:
    session = connect(5, [endpoint])
    assert session is not None
    said: list[str] = []
    report = Report(lambda event: said.append(event.text) if isinstance(event, Note) else None)
    fetch_all(declared, session, directory, report)
    return said


def test_secrets_are_files_of_root(aws: str, serve: Callable[..., str], tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    directory.mkdir()
    (directory / "former").write_text("gone with its declaration")
    declared = instance(aws, db=Secret("/web/db", None), api=Secret(None, "web/api"), blob=Secret(None, "web/blob"))
    said = fetch(declared, serve(role_credentials=ROLE), directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == {
        "db": VALUE.encode(),
        "api": VALUE.encode(),
        "blob": b"\x00\xff",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o400}
    assert VALUE not in "".join(said)
    fetch(declared, serve(role_credentials=ROLE), directory)


@pytest.mark.parametrize(
    ("secret", "role", "why"),
    [
        (Secret("/web/other", None), ROLE, "ParameterNotFound"),
        (Secret(None, "web/other"), ROLE, "ResourceNotFound"),
        (Secret("/web/db", None), {}, "no role"),
    ],
)
def test_what_cannot_be_had_is_named(
    aws: str, serve: Callable[..., str], tmp_path: Path, secret: Secret, role: dict[str, str], why: str
) -> None:
    with pytest.raises(InvarError) as refused:
        fetch(instance(aws, db=secret), serve(role_credentials=role), tmp_path)
    assert why in str(refused.value) and ROLE["SecretAccessKey"] not in str(refused.value)


def test_a_service_out_of_reach_is_told(
    serve: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_FIRST_PAUSE", 0.001)
    with pytest.raises(InvarError, match="secret db"):
        fetch(instance("http://127.0.0.1:1", db=Secret("/x", None)), serve(role_credentials=ROLE), tmp_path)
