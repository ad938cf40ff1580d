"""S3 on loopback: moto with signatures verified and policies enforced, behind a front that has what moto lacks.

moto knows no regions of buckets and no expiry of tokens; the front answers of those as S3's "Error responses" say.
"""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import boto3
from botocore.config import Config

ACCOUNT = "123456789012"
BUCKET = "example-cache"
TRUST = '{"Version": "2012-10-17", "Statement": []}'
READ = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}'


@dataclass(slots=True)
class Behaviour:
    """`region` is the bucket's; requests with one of the `expired` tokens are refused. `names_region`: in which way."""

    region: str = "eu-central-1"
    expired: set[str] = field(default_factory=set)
    names_region: bool = True
    asked: list[tuple[str, dict[str, str], int]] = field(default_factory=list)


class S3Server:
    """Serves for the time of a `with`. `put` before `lock`: from then on every request is judged."""

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]
        moto = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._cleanup.callback(moto.wait)
        self._cleanup.callback(moto.kill)
        _await_port(self._port)
        front = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._port, self.behaviour))
        self._front_port = int(front.server_address[1])
        threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True).start()
        self._cleanup.callback(front.server_close)
        self._cleanup.callback(front.shutdown)
        self._client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": self.behaviour.region}
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @property
    def port(self) -> int:
        """That of the front."""
        return self._front_port

    @property
    def endpoint(self) -> str:
        """Where buckets are, path style."""
        return f"http://127.0.0.1:{self._front_port}"

    @property
    def aws_port(self) -> int:
        """That of everything but S3."""
        return self._port

    def put_parameter(self, name: str, value: str) -> None:
        """A SecureString of SSM, in the region that instances of tests are in."""
        client = self._client("ssm", "us-east-1")
        client.put_parameter(Name=name, Value=value, Type="SecureString")

    def put(self, key: str, content: bytes) -> None:
        """An object of the bucket."""
        self._client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)

    def assume(self, name: str, policy: str | None = READ) -> dict[str, str]:
        """A role with a policy, and temporary credentials for it, as the metadata service tells of them."""
        iam = self._client("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        if policy is not None:
            iam.put_role_policy(RoleName=name, PolicyName="cache", PolicyDocument=policy)
        assumed = self._client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}", RoleSessionName="instance"
        )
        found = assumed["Credentials"]
        return {
            "RoleName": name,
            "AccessKeyId": found["AccessKeyId"],
            "SecretAccessKey": found["SecretAccessKey"],
            "Token": found["SessionToken"],
        }

    def lock(self) -> None:
        """Verify the signature of every request from now on, and what its role may."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request, timeout=30).close()

    def _client(self, service: str, region: str | None = None) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=region or self.behaviour.region,
            endpoint_url=f"http://127.0.0.1:{self._port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(s3={"addressing_style": "path"}),
        )


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "moto does not start"
            time.sleep(0.1)


def _handler(port: int, behaviour: Behaviour) -> type[BaseHTTPRequestHandler]:
    class Front(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/s3/", self.headers.get("Authorization", ""))
            region = scope[1] if scope else ""
            if self.headers.get("X-Amz-Security-Token") in behaviour.expired:
                self._refuse(400, "ExpiredToken", "The provided token has expired.")
            elif region != behaviour.region and behaviour.names_region:
                self._refuse(
                    301,
                    "PermanentRedirect",
                    "The bucket you are attempting to access must be addressed using the specified endpoint.",
                    {"x-amz-bucket-region": behaviour.region},
                )
            elif region != behaviour.region:
                self._refuse(
                    400,
                    "AuthorizationHeaderMalformed",
                    f"The region '{region}' is wrong; expecting '{behaviour.region}'",
                    more=f"<Region>{behaviour.region}</Region>",
                )
            else:
                self._pass_on()

        def _pass_on(self) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.putrequest("GET", self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() in ("content-range", "etag")}
            self._answer(answer.status, body, kept)
            connection.close()

        def _refuse(
            self, status: int, code: str, message: str, headers: dict[str, str] | None = None, more: str = ""
        ) -> None:
            text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
            self._answer(status, text.encode(), headers or {})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            behaviour.asked.append((self.path, dict(self.headers), status))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # the base class's name
            del format, arguments

    return Front
