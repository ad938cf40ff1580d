"""A cloud of simulated instances in this process, whose clock the rollout's own waiting drives; boto3 without HTTP."""

from __future__ import annotations

import base64
import copy
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from cloud_fixtures import register_image
from invar.aws.client import Cloud
from invar.fleet.rollout import Time
from invar.fleet.spec import FleetSpec, Health, Policy, RegionSpec, Spot
from invar.fleet.tags import CONFIGURATION, GENERATION, SYSTEM
from invar.localcloud.behaviour import Behaviour, Rule
from invar.localcloud.clock import Clock
from invar.localcloud.ebs import Caller
from invar.localcloud.errors import CloudError
from invar.localcloud.gateway import TOO_FAST
from invar.localcloud.moto_front import ACCOUNT
from invar.localcloud.server import Cloud as LocalCloud

START = 1_800_000_000.0
REGIONS = ("us-east-1", "eu-west-1", "us-west-2")
NAME = "web"


class _Raw:
    """What botocore reads a response's body from."""

    def __init__(self, body: bytes) -> None:
        self._body = io.BytesIO(body)

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body.read()

    def read(self, *_: Any) -> bytes:
        return self._body.read()


class Killed(Exception):
    """The controller was killed."""


class InProcess(Cloud):
    """An account whose every call goes to a local cloud's gateway in this process, and is made once.

    `dies_in`: this many calls later whoever calls is killed, before the call or (`dies_late`) before its answer.
    `meanwhile`: so many calls later somebody else does this first; pairs of a count and what is done.
    """

    def __init__(self, local: LocalCloud, *, wire: bool = True) -> None:
        """Without `wire` the local cloud's own operations are called as they are, their messages neither written nor
        read: ten times as fast, for what plays thousands of rollouts."""
        super().__init__(keys=("test", "test"), region=REGIONS[0], endpoint_url="http://127.0.0.1:9")
        self._local = local
        self._direct = {} if wire else local.compute.operations()
        self.calls = 0
        self.dies_in: int | None = None
        self.dies_late = False
        self.meanwhile: list[tuple[int, Callable[[], None]]] = []
        self._counting = threading.Lock()

    def _client(self, service: str, region: str, attempts: int) -> Any:
        with self._lock:
            if (service, region) not in self._clients:
                client = self._session.client(
                    service,  # type: ignore[call-overload]
                    region_name=region,
                    endpoint_url=self._endpoint_url,
                    config=Config(retries={"total_max_attempts": 1}, parameter_validation=True),
                )
                client.meta.events.register("before-send", self._send)
                if service in self._direct:
                    client._make_api_call = self._directly(service, region, client._make_api_call)
                self._clients[service, region] = client
            return self._clients[service, region]

    def _directly(self, service: str, region: str, by_wire: Callable[..., Any]) -> Callable[..., Any]:
        """What makes a client's calls: those that the local cloud answers itself without a message."""
        operations = self._direct[service]
        caller = Caller(ACCOUNT, region)

        def call(name: str, parameters: dict[str, Any]) -> Any:
            if name not in operations:
                return by_wire(name, parameters)
            dies = self._dies()
            fault = self._local.faults.judge(name, region, TOO_FAST["query"], 0.0).fault
            try:
                if fault is not None:
                    raise CloudError(fault.code, fault.message, status=fault.status)
                with self._local.lock:
                    result = _shown(operations[name](caller, copy.deepcopy(parameters)))
            except CloudError as error:
                answer = {"Error": {"Code": error.code, "Message": error.message}, "ResponseMetadata": {}}
                raise ClientError(answer, name) from None  # type: ignore[arg-type]
            finally:
                if dies:
                    raise Killed
            if name == "GetConsoleOutput" and "Output" in result:  # botocore, too, undoes this
                result["Output"] = base64.b64decode(result["Output"]).decode(errors="replace")
            return result | {"ResponseMetadata": {"HTTPStatusCode": 200}}

        return call

    def _dies(self) -> bool:
        """Whether whoever makes this call is killed before its answer. Raises Killed when it is before the call."""
        with self._counting:
            self.calls += 1
            dies = self.dies_in is not None and self.dies_in <= 0
            self.dies_in = None if self.dies_in is None else self.dies_in - 1
            due = [act for calls, act in self.meanwhile if calls <= 0]
            self.meanwhile = [(calls - 1, act) for calls, act in self.meanwhile if calls > 0]
        for act in due:
            act()
        if dies and not self.dies_late:
            raise Killed
        return dies

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        dies = self._dies()
        url = urlsplit(request.url)
        body = request.body or b""
        body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read()
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": url.path or "/",
            "SCRIPT_NAME": "",
            "QUERY_STRING": url.query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "9",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "CONTENT_LENGTH": str(len(body)),
        }
        for key, value in request.headers.items():
            text = value.decode() if isinstance(value, bytes) else str(value)
            name = key.upper().replace("-", "_")
            environ["CONTENT_TYPE" if name == "CONTENT_TYPE" else f"HTTP_{name}"] = text
        answer: list[Any] = []
        content = b"".join(self._local.gateway(environ, lambda status, headers, *_: answer.extend((status, headers))))
        if dies:
            raise Killed
        return AWSResponse(request.url, int(answer[0].split()[0]), dict(answer[1]), _Raw(content))


def _shown(value: Any) -> Any:
    """A result as it comes over the wire: what is None is not there, and nothing is shared with the cloud."""
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items() if each is not None}
    return [_shown(each) for each in value] if isinstance(value, list | tuple) else value


class World:
    """The cloud, two and more published generations in every region, and a clock that only tests move."""

    def __init__(self, root: Path, regions: tuple[str, ...] = REGIONS, *, wire: bool = True) -> None:
        self.regions = regions
        self.clock = Clock(START)
        self.local = LocalCloud(root, clock=self.clock, machines=False)
        self.compute = self.local.compute
        self.aws = InProcess(self.local, wire=wire)
        self.watchers: list[Callable[[], None]] = []
        self.reset()

    def reset(self, **settings: Any) -> None:
        """An empty cloud."""
        self.control("POST", "reset")
        self.clock.freeze(True)
        self.control("POST", "settings", {"instance_kind": "simulated", "real_ports": 0, **settings})
        self.watchers.clear()
        self.aws.dies_in = None
        self.aws.meanwhile.clear()
        self.images: dict[int, dict[str, str]] = {}

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """The control API."""
        import json

        sent = json.dumps(body or {}).encode()
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": f"/_invar/{path}",
            "CONTENT_LENGTH": str(len(sent)),
            "wsgi.input": io.BytesIO(sent),
        }
        answer: list[str] = []
        text = b"".join(self.local.gateway(environ, lambda status, *_: answer.append(status)))
        assert answer[0].startswith("200"), text

    def publish(self, generation: int) -> None:
        """An image of a generation in every region, as publishing tags it."""
        self.images[generation] = {}
        for region in self.regions:
            tags = {
                CONFIGURATION: NAME,
                GENERATION: str(generation),
                SYSTEM: digest(generation),
                "invar:commit": "c0ffee",
            }
            self.images[generation][region] = register_image(self.aws, region, f"{NAME}-{generation}", tags)

    def times(self) -> Time:
        """A clock for rollouts: to wait is to let the cloud's time pass."""
        return Time(self.clock.now, self.wait)

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps small enough for the watchers to see every state."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            with self.local.lock:
                self.compute.advance(min(5.0, end - self.clock.now()))
            for watch in self.watchers:
                watch()

    def misbehave(self, **rule: Any) -> None:
        """A rule for later launches."""
        self.compute.behaviours.rules.append(Rule(**{"behaviour": Behaviour(), "times": None, **rule}))

    def group(self, region: str) -> Any:
        """A group's record inside the cloud."""
        return self.compute.engine.require(region, f"invar-{NAME}")

    def members(self, region: str) -> list[Any]:
        """Members of a group, warm ones aside, inside the cloud."""
        return [one for one in self.group(region).members.values() if one.counted]

    def images_in(self, region: str) -> set[str]:
        """The images that the working members of a group run."""
        instances = {one.id: one for one in self.compute.instances.everything()}
        return {instances[one.id].image for one in self.members(region)}

    def close(self) -> None:
        """End it."""
        self.local.close()


def digest(generation: int) -> str:
    """The system digest of a published generation."""
    return f"{generation:x}" * 64


def fleet(
    *, size: int = 4, regions: tuple[str, ...] = REGIONS[:2], parameters: dict[str, Any] | None = None, **policy: Any
) -> FleetSpec:
    """A fleet over regions, quick enough for tests."""
    rollout: dict[str, Any] = {
        "regions": regions,
        "canary": 25,
        "waves": (),
        "pause": 60,
        "min_healthy": 100,
        "max_healthy": 150,
        "warm_up": 30,
        "bake": 0,
        "alarms": (),
        "automatic_rollback": True,
        "window": None,
    }
    return FleetSpec(
        name=NAME,
        configuration=NAME,
        regions={region: RegionSpec((), (f"{region}a", f"{region}b"), (), (), None, None, None) for region in regions},
        ledger_region=regions[0],
        instance_types=("t3.micro",),
        spot=Spot(0, 0, "price-capacity-optimized"),
        min=size,
        desired=size,
        max=3 * size,
        instance_profile=None,
        parameters=parameters or {},
        tags={},
        health=Health("EC2", 60, checks=True, proof="console", proof_port=9741, within=300),
        rollout=Policy(**{**rollout, **policy}),
    )


@contextmanager
def world_in(root: Path, *, wire: bool = True) -> Iterator[World]:
    """A world that is closed afterwards."""
    made = World(root, wire=wire)
    try:
        yield made
    finally:
        made.close()
