"""The REST-JSON wire protocol of EBS direct: requests into parameters, results into answers, both by botocore's model.

Follows the AWS restJson1 protocol: members travel in the path, the query string, headers, a raw body (payload) or a
JSON body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from botocore.model import OperationModel, Shape, StructureShape

from invar.localcloud.errors import Answer, CloudError
from invar.localcloud.shapes import service_model, violation


@dataclass(frozen=True, slots=True)
class Route:
    """One operation and what its path looks like."""

    operation: OperationModel
    method: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Matched:
    """An operation that was asked for, with the raw values of its path."""

    operation: OperationModel
    path_values: dict[str, str]


class RestService:
    """One service's routes."""

    def __init__(self, service: str) -> None:
        model = service_model(service)
        self._routes = []
        for name in model.operation_names:
            operation = model.operation_model(name)
            template = operation.http["requestUri"].partition("?")[0]
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
            self._routes.append(Route(operation, operation.http["method"], re.compile(pattern + "/?")))

    def match(self, method: str, path: str) -> Matched | None:
        """Which operation a request line asks for."""
        for route in self._routes:
            found = route.pattern.fullmatch(path)
            if found and route.method == method:
                return Matched(route.operation, {name: unquote(value) for name, value in found.groupdict().items()})
        return None


def parse(matched: Matched, query: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The operation's parameters under their botocore names. `headers` has lower-case names. Raises CloudError."""
    shape = matched.operation.input_shape
    assert isinstance(shape, StructureShape)
    queried = parse_qs(query)
    payload = shape.serialization.get("payload")
    sent = {} if payload else _json_body(body)
    parameters: dict[str, Any] = {}
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        wire_name = member.serialization.get("name", name)
        if name == payload:
            parameters[name] = body
        elif location == "uri":
            parameters[name] = _scalar(member, matched.path_values.get(wire_name))
        elif location == "querystring":
            parameters[name] = _scalar(member, queried.get(wire_name, [None])[0])
        elif location == "header":
            parameters[name] = _scalar(member, headers.get(wire_name.lower()))
        else:
            parameters[name] = sent.get(wire_name)
    parameters = {name: value for name, value in parameters.items() if value is not None}
    found = violation(shape, parameters)
    if found:
        reason = "INVALID_SNAPSHOT_ID" if "napshotId'" in found else "INVALID_PARAMETER_VALUE"
        raise CloudError("ValidationException", found, reason=reason)
    return parameters


def serialise(operation: OperationModel, result: Mapping[str, Any], request_id: str) -> Answer:
    """A result as an HTTP answer."""
    shape = operation.output_shape
    assert isinstance(shape, StructureShape)
    payload = shape.serialization.get("payload")
    headers = [("x-amzn-RequestId", request_id)]
    body: dict[str, Any] = {}
    for name, value in result.items():
        member = shape.members[name]
        wire_name = member.serialization.get("name", name)
        if name == payload:
            continue
        if member.serialization.get("location") == "header":
            headers.append((wire_name, str(value)))
        else:
            body[wire_name] = value
    status = int(operation.http.get("responseCode", 200))
    if payload:
        return Answer(status, (*headers, ("Content-Type", "application/octet-stream")), result[payload])
    return Answer(status, (*headers, ("Content-Type", "application/json")), json.dumps(body).encode())


def _json_body(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise CloudError(
            "ValidationException", "The request body is not a JSON object.", reason="INVALID_PARAMETER_VALUE"
        )
    return value


def _scalar(shape: Shape, text: str | None) -> Any:
    """A text value in the shape's type; text that is no number stays text, for the validation to name."""
    if text is None:
        return None
    if shape.type_name in ("integer", "long"):
        return int(text) if re.fullmatch(r"-?\d{1,18}", text) else text
    if shape.type_name == "boolean":
        return text.lower() == "true"
    return text
