"""The cloud's refusals, and how each AWS wire protocol writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

Protocol = Literal["ec2", "query", "json", "rest-json"]


class CloudError(Exception):
    """An answer that AWS documents as an error: its code, HTTP status, message and, for EBS direct, the reason."""

    def __init__(self, code: str, message: str, *, status: int = 400, reason: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `headers` come without Content-Length."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def render(error: CloudError, protocol: Protocol, request_id: str) -> Answer:
    """The error as a client of that protocol expects it.

    ec2: the `Response/Errors/Error` document of the EC2 query API. query: `ErrorResponse/Error`. json: AWS JSON 1.1
    with `__type`. rest-json: the code in `x-amzn-ErrorType`, message and reason in the body.
    """
    if protocol in ("ec2", "query"):
        detail = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        if protocol == "ec2":
            inner = f"<Errors><Error>{detail}</Error></Errors><RequestID>{request_id}</RequestID>"
            document = f"<Response>{inner}</Response>"
        else:
            kind = "Sender" if error.status < 500 else "Receiver"
            inner = f"<Error><Type>{kind}</Type>{detail}</Error><RequestId>{request_id}</RequestId>"
            document = f"<ErrorResponse>{inner}</ErrorResponse>"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n{document}'.encode()
        return Answer(
            error.status, (("Content-Type", "text/xml;charset=UTF-8"), ("x-amzn-RequestId", request_id)), body
        )
    fields = {"message": error.message}
    if protocol == "json":
        fields["__type"] = error.code
    elif error.reason is not None:
        fields["Reason"] = error.reason
    headers = (
        ("Content-Type", "application/json" if protocol == "rest-json" else "application/x-amz-json-1.1"),
        ("x-amzn-ErrorType", error.code),
        ("x-amzn-RequestId", request_id),
    )
    return Answer(error.status, headers, json.dumps(fields).encode())
