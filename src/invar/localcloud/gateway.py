"""The door of the cloud: tells calls apart, lets faults strike, hands each to EBS direct, moto or the control API."""

from __future__ import annotations

import io
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from invar.localcloud import rest
from invar.localcloud.control import Control
from invar.localcloud.ebs import Caller, EbsDirect
from invar.localcloud.ec2_images import Ec2Images
from invar.localcloud.errors import Answer, CloudError, Protocol, render
from invar.localcloud.faults import Counters, Fault, FaultBook

CREDENTIAL = re.compile(r"Credential=[^/]+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
LARGEST_BODY = 16 * 1024 * 1024
READING = ("Describe", "Get", "List", "Search", "Lookup")
TOO_FAST: dict[Protocol, Fault] = {
    "ec2": Fault(action="error", code="RequestLimitExceeded", message="Request limit exceeded.", status=503),
    "query": Fault(action="error", code="Throttling", message="Rate exceeded", status=400),
    "json": Fault(action="error", code="ThrottlingException", message="Rate exceeded", status=400),
    "rest-json": Fault(
        action="error",
        code="RequestThrottledException",
        message="The request rate is too high.",
        status=400,
        reason="RESOURCE_LEVEL_THROTTLE",
    ),
}

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what it asks for, where, and its whole body."""

    service: str
    region: str
    operation: str
    protocol: Protocol
    body: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """What stands behind the door. `changed` is called after a call that may have changed moto's state."""

    ebs: EbsDirect
    images: Ec2Images
    moto: Application
    control: Control
    faults: FaultBook
    counters: Counters
    account: str
    encrypted_by_default: Callable[[str, str], bool]
    changed: Callable[[], None]
    moto_lock: threading.RLock


class Gateway:
    """The WSGI application."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._ebs_routes = rest.RestService("ebs")

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        body = _read_body(environ)
        if environ["PATH_INFO"].startswith("/_invar/"):
            answer = self._parts.control.answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
            return _send(answer, start_response)
        call = self._identify(environ, body)
        counters = self._parts.counters
        counters.came(call.operation, len(body))
        verdict = self._parts.faults.judge(call.operation, call.region, TOO_FAST[call.protocol], time.monotonic())
        if verdict.latency:
            time.sleep(verdict.latency)
        fault = verdict.fault
        action = fault.action if fault else None
        if action == "drop":
            return _hang_up(environ)
        if fault is not None and action == "error":
            error = CloudError(fault.code, fault.message, status=fault.status, reason=fault.reason)
            return _send(render(error, call.protocol, _request_id()), start_response)
        if fault is not None and action == "fail_copy":
            self._parts.images.fail_next_copy(call.region, fault.message)
        if action == "cut":
            self._do(call, environ, lambda *_: None)
            return _hang_up(environ)
        return self._do(call, environ, start_response)

    def _identify(self, environ: Environ, body: bytes) -> Call:
        found = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        region, service = (found[1], found[2]) if found else ("us-east-1", "")
        target = environ.get("HTTP_X_AMZ_TARGET")
        if service == "ebs":
            matched = self._ebs_routes.match(environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return Call(service, region, matched.operation.name if matched else "", "rest-json", body)
        if target:
            return Call(service, region, target.rpartition(".")[2], "json", body)
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            action = parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
            return Call(service, region, action, "ec2" if service == "ec2" else "query", body)
        return Call(service, region, "", "rest-json", body)

    def _do(self, call: Call, environ: Environ, start_response: Any) -> Iterable[bytes]:
        if call.service == "ebs":
            return _send(self._ebs(call, environ), start_response)
        statuses: list[str] = []

        def started(status: str, headers: Any, *rest: Any) -> Any:
            statuses.append(status)
            return start_response(status, headers, *rest)

        with self._parts.moto_lock:
            answer = list(self._parts.moto(environ, started))
            if not call.operation.startswith(READING):
                self._parts.changed()
        if statuses and statuses[0].startswith("2"):
            self._parts.counters.answered(call.operation)
        return answer

    def _ebs(self, call: Call, environ: Environ) -> Answer:
        request_id = _request_id()
        matched = self._ebs_routes.match(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if matched is None:
            error = CloudError("UnknownOperationException", "There is no such operation.", status=404)
            return render(error, "rest-json", request_id)
        caller = Caller(self._parts.account, call.region)
        if call.operation == "StartSnapshot":
            with self._parts.moto_lock:
                encrypted = self._parts.encrypted_by_default(caller.account, caller.region)
            caller = Caller(caller.account, caller.region, encrypted)
        operation = {
            "StartSnapshot": self._parts.ebs.start_snapshot,
            "PutSnapshotBlock": self._parts.ebs.put_snapshot_block,
            "CompleteSnapshot": self._parts.ebs.complete_snapshot,
            "ListSnapshotBlocks": self._parts.ebs.list_snapshot_blocks,
            "ListChangedBlocks": self._parts.ebs.list_changed_blocks,
            "GetSnapshotBlock": self._parts.ebs.get_snapshot_block,
        }[call.operation]
        try:
            parameters = rest.parse(matched, environ.get("QUERY_STRING", ""), _headers(environ), call.body)
            result = operation(caller, parameters)
        except CloudError as error:
            return render(error, "rest-json", request_id)
        self._parts.counters.answered(call.operation)
        return rest.serialise(matched.operation, result, request_id)


def _read_body(environ: Environ) -> bytes:
    """The request's body, which is then there to be read again."""
    length = min(int(environ.get("CONTENT_LENGTH") or 0), LARGEST_BODY)
    body: bytes = environ["wsgi.input"].read(length) if length else b""
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _headers(environ: Environ) -> dict[str, str]:
    return {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}


def _send(answer: Answer, start_response: Any) -> Iterable[bytes]:
    status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
    start_response(status, [*answer.headers, ("Content-Length", str(len(answer.body)))])
    return [answer.body]


def _hang_up(environ: Environ) -> Iterable[bytes]:
    """Close the connection without an answer."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("a fault that was asked for")


def _request_id() -> str:
    return secrets.token_hex(16)
