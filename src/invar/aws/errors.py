"""What went wrong in an AWS call: which kind of trouble it is, and how a user is told."""

from __future__ import annotations

from typing import Literal

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from invar.core.errors import InvarError

Trouble = Literal["throttled", "transient", "missing", "refused"]
"""throttled: too fast, slow down. transient: worth another try. missing: the resource does not exist (yet).
refused: will be refused again."""

AWS_ERRORS = (ClientError, BotoCoreError)
"""What a call of boto3 raises."""
THROTTLED = frozenset({
    "RequestThrottled", "RequestThrottledException", "Throttling", "ThrottlingException", "ThrottledException",
    "RequestLimitExceeded", "TooManyRequestsException", "SlowDown", "BandwidthLimitExceeded", "EC2ThrottledException",
})  # fmt: skip
TRANSIENT = frozenset({
    "InternalServerException", "InternalError", "InternalFailure", "ServiceUnavailable", "ServiceUnavailableException",
    "Unavailable", "RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "RequestExpired",
})  # fmt: skip
MISSING_REASONS = frozenset({"SNAPSHOT_NOT_FOUND"})
TRANSIENT_REASONS = frozenset({"WRITE_REQUEST_TIMEOUT", "CONFLICTING_BLOCK_UPDATE"})
UNREAD_BODY = "Failed to read block data"
"""EBS direct calls it a validation error when a block's body did not arrive in time."""
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation"})
BAD_CREDENTIALS = frozenset({
    "AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
    "SignatureDoesNotMatch", "InvalidAccessKeyId",
})  # fmt: skip


def trouble(error: BaseException) -> Trouble:
    """Which kind of trouble an exception from boto3 is."""
    if isinstance(error, (HTTPClientError, IncompleteReadError)):
        return "transient"
    if not isinstance(error, ClientError):
        return "refused"
    code, reason = code_of(error), reason_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in THROTTLED:
        return "throttled"
    if code == "ResourceNotFoundException" or reason in MISSING_REASONS or code.endswith(".NotFound"):
        return "missing"
    if code in TRANSIENT or reason in TRANSIENT_REASONS or status >= 500:
        return "transient"
    message = message_of(error)
    if code == "ValidationException" and (message.startswith(UNREAD_BODY) or message.endswith("does not exist.")):
        return "transient" if message.startswith(UNREAD_BODY) else "missing"
    return "refused"


def told(error: BaseException, where: str, *, what: str | None = None, hint: str | None = None) -> InvarError:
    """The error for a user. `where` names the call: "ebs:PutSnapshotBlock us-east-1 snap-..., block 17"."""
    if isinstance(error, InvarError):
        return error
    return InvarError(
        what or "a call to AWS failed", where=where, why=_why(error), hint=hint or _hint(error, where.split()[0])
    )


def code_of(error: BaseException) -> str:
    """AWS's error code, "" when the exception carries none."""
    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def reason_of(error: BaseException) -> str:
    """EBS direct's reason within a code, or ""."""
    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Reason", ""))


def message_of(error: BaseException) -> str:
    """AWS's message, or ""."""
    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Message", ""))


def _why(error: BaseException) -> str:
    if isinstance(error, ClientError):
        reason = reason_of(error)
        return f"{code_of(error)}{f' ({reason})' if reason else ''}: {message_of(error)}"
    return str(error) or type(error).__name__


def _hint(error: BaseException, call: str) -> str | None:
    code = code_of(error)
    if code in DENIED:
        return f"allow {call} to this role or user in an IAM policy"
    if code in BAD_CREDENTIALS:
        return "sign in again (aws sso login, or new keys), and check AWS_PROFILE"
    if isinstance(error, (NoCredentialsError, PartialCredentialsError, ProfileNotFound)):
        return "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or start the local cloud"
    if isinstance(error, NoRegionError):
        return "name a region, or set AWS_REGION"
    if isinstance(error, HTTPClientError):
        return "check the network and AWS_ENDPOINT_URL; a rerun continues"
    if isinstance(error, BotoCoreError) or not code:
        return None
    return "a rerun continues" if trouble(error) != "refused" else None
