"""The EC2 instance metadata service (IMDSv2) of one machine: what it answers, without any socket.

Follows "Instance metadata and user data" of the Amazon EC2 User Guide. Tokens are demanded for every read
(HttpTokens=required).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

TOKEN_PATH = "/latest/api/token"
TOKEN_HEADER = "x-aws-ec2-metadata-token"
TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
MAX_TTL = 21_600

VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "2024-04-11",
    "latest",
)

Leaf = str | bytes
Tree = dict[str, "Leaf | Tree"]


@dataclass(frozen=True, slots=True)
class Instance:
    """What the metadata service says of a machine. `public_keys` maps a key's name to an authorized_keys line.

    `role_credentials` are those of the instance's role: "RoleName", "AccessKeyId", "SecretAccessKey", "Token"; empty
    where it has none.
    """

    instance_id: str
    image_id: str
    local_ipv4: str
    mac: str
    public_keys: dict[str, str]
    user_data: bytes | None = None
    instance_type: str = "t3.small"
    architecture: str = "x86_64"
    region: str = "us-east-1"
    availability_zone: str = "us-east-1a"
    availability_zone_id: str = "use1-az1"
    account_id: str = "000000000000"
    pending_time: str = "1970-01-01T00:00:00Z"
    tags: dict[str, str] = field(default_factory=dict)
    role_credentials: dict[str, str] = field(default_factory=dict)

    @property
    def host_name(self) -> str:
        """The private DNS name that EC2 would give, such as ip-10-0-0-15.ec2.internal."""
        domain = "ec2.internal" if self.region == "us-east-1" else f"{self.region}.compute.internal"
        return f"ip-{self.local_ipv4.replace('.', '-')}.{domain}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, content type, body and extra headers."""

    status: HTTPStatus
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class MetadataService:
    """Answers requests for one instance. `now` is a monotonic clock in seconds; safe to use from several threads."""

    def __init__(self, instance: Instance, now: Callable[[], float]) -> None:
        self._tree = metadata_tree(instance)
        self._now = now
        self._expiry: dict[str, float] = {}

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """Answer one request. Header names are looked up in lower case."""
        target = path.partition("?")[0]
        if target == TOKEN_PATH:
            return self._issue_token(method, headers)
        if method not in ("GET", "HEAD"):
            return _error(HTTPStatus.METHOD_NOT_ALLOWED)
        left = self._seconds_left(headers.get(TOKEN_HEADER))
        if left is None:
            return _error(HTTPStatus.UNAUTHORIZED)
        return self._read(target)

    def _issue_token(self, method: str, headers: Mapping[str, str]) -> Answer:
        if method != "PUT":
            return _error(HTTPStatus.METHOD_NOT_ALLOWED)
        if "x-forwarded-for" in headers:
            return _error(HTTPStatus.FORBIDDEN)
        asked = headers.get(TTL_HEADER, "")
        if not (asked.isascii() and asked.isdigit() and 1 <= int(asked[:9]) <= MAX_TTL):
            return _error(HTTPStatus.BAD_REQUEST)
        self._forget_expired()
        token = secrets.token_urlsafe(42)
        self._expiry[token] = self._now() + int(asked)
        return Answer(HTTPStatus.OK, "text/plain", token.encode(), ((TTL_HEADER, asked),))

    def _seconds_left(self, token: str | None) -> float | None:
        expiry = self._expiry.get(token) if token else None
        if expiry is None or expiry <= self._now():
            return None
        return expiry - self._now()

    def _forget_expired(self) -> None:
        now = self._now()
        for token, expiry in list(self._expiry.items()):
            if expiry <= now:
                self._expiry.pop(token, None)

    def _read(self, path: str) -> Answer:
        node: Leaf | Tree = self._tree
        steps = [step for step in path.split("/") if step]
        for index, step in enumerate(steps):
            if not isinstance(node, dict) or step not in node:
                return _error(HTTPStatus.NOT_FOUND)
            node = node[step]
            if index == 0 and isinstance(node, dict) and step in VERSIONS:
                node = self._tree["latest"]
        if isinstance(node, dict):
            return Answer(HTTPStatus.OK, "text/plain", _listing(node, root=not steps).encode())
        if path.endswith("/"):
            return _error(HTTPStatus.NOT_FOUND)
        if isinstance(node, bytes):
            return Answer(HTTPStatus.OK, "application/octet-stream", node)
        return Answer(HTTPStatus.OK, "text/plain", node.encode())


def metadata_tree(instance: Instance) -> Tree:
    """Everything that can be read, as nested directories; a directory of keys is listed as `0=name`."""
    latest: Tree = {"dynamic": {"instance-identity": {"document": _identity_document(instance)}}}
    latest["meta-data"] = _meta_data(instance)
    if instance.user_data is not None:
        latest["user-data"] = instance.user_data
    root: Tree = {version: {} for version in VERSIONS}
    root["latest"] = latest
    return root


def _meta_data(instance: Instance) -> Tree:
    interface: Tree = {
        "device-number": "0",
        "local-hostname": instance.host_name,
        "local-ipv4s": instance.local_ipv4,
        "mac": instance.mac,
        "owner-id": instance.account_id,
        "security-groups": "default",
    }
    tree: Tree = {
        "ami-id": instance.image_id,
        "ami-launch-index": "0",
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": {"ami": "/dev/xvda", "root": "/dev/xvda"},
        "hostname": instance.host_name,
        "instance-action": "none",
        "instance-id": instance.instance_id,
        "instance-life-cycle": "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": instance.host_name,
        "local-ipv4": instance.local_ipv4,
        "mac": instance.mac,
        "network": {"interfaces": {"macs": {instance.mac: interface}}},
        "placement": {
            "availability-zone": instance.availability_zone,
            "availability-zone-id": instance.availability_zone_id,
            "region": instance.region,
        },
        "profile": "default-hvm",
        "reservation-id": "r-" + instance.instance_id.removeprefix("i-"),
        "security-groups": "default",
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    if instance.public_keys:
        tree["public-keys"] = _PublicKeys(instance.public_keys)
    if instance.role_credentials:
        answer = {"Code": "Success", "Type": "AWS-HMAC", **instance.role_credentials}
        tree["iam"] = {"security-credentials": {answer.pop("RoleName"): json.dumps(answer)}}
    if instance.tags:
        tree["tags"] = {"instance": dict(instance.tags)}
    return tree


class _PublicKeys(dict[str, "Leaf | Tree"]):
    """The directory of public keys, whose listing shows the keys' names: `0=name`."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__({str(index): {"openssh-key": line} for index, line in enumerate(keys.values())})
        self.listing = "\n".join(f"{index}={name}" for index, name in enumerate(keys))


def _listing(directory: Tree, *, root: bool) -> str:
    if isinstance(directory, _PublicKeys):
        return directory.listing
    if root:
        return "\n".join(directory)
    return "\n".join(
        name + ("/" if _shown_as_directory(name, node) else "") for name, node in sorted(directory.items())
    )


def _shown_as_directory(name: str, node: Leaf | Tree) -> bool:
    """EC2 lists `dynamic`, `meta-data` and `user-data` without a slash."""
    return isinstance(node, dict) and name not in ("dynamic", "meta-data")


def _identity_document(instance: Instance) -> str:
    document = {
        "accountId": instance.account_id,
        "architecture": instance.architecture,
        "availabilityZone": instance.availability_zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "imageId": instance.image_id,
        "instanceId": instance.instance_id,
        "instanceType": instance.instance_type,
        "kernelId": None,
        "marketplaceProductCodes": None,
        "pendingTime": instance.pending_time,
        "privateIp": instance.local_ipv4,
        "ramdiskId": None,
        "region": instance.region,
        "version": "2017-09-30",
    }
    return json.dumps(document, indent=2)


_ERROR_PAGE = """<?xml version="1.0" encoding="iso-8859-1"?>
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head><title>{title}</title></head>
 <body><h1>{title}</h1></body>
</html>
"""


def _error(status: HTTPStatus) -> Answer:
    return Answer(status, "text/html", _ERROR_PAGE.format(title=f"{status.value} - {status.phrase}").encode())
