"""Secrets at boot: parameters of SSM and secrets of Secrets Manager, fetched with the instance's role.

They become files below /run, root's alone, from which systemd gives units their credentials. No value is ever printed,
and none is in a layer.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.machine import state
from invar.machine.instance import Instance, Secret, read_instance
from invar.machine.metadata import Metadata, connect, patience_here
from invar.machine.sigv4 import Credentials, signed_headers

SECRETS = state.RUN / "secrets"
"""A file a secret, by its name; memory only."""

_ATTEMPTS = 6
_FIRST_PAUSE = 0.5
_ANSWER_SECONDS = 20.0
_MAX_BODY = 1 << 20


def main(arguments: list[str]) -> int:
    """`invar secrets`; the exit code."""
    from invar.machine.init import tell

    argparse.ArgumentParser(
        prog="invar secrets",
        description="Fetch the secrets that the configuration declares (invar.secrets). Run by invar-secrets.service.",
    ).parse_args(arguments)
    report = Report(tell)
    instance = read_instance()
    session = connect(patience_here())
    if session is None:
        raise InvarError("no metadata service answers, so that there is no role to fetch secrets with")
    fetch_all(instance, session, SECRETS, report)
    return ExitCode.DONE


def fetch_all(instance: Instance, session: Metadata, directory: Path, report: Report) -> None:
    """Fetch every declared secret into `directory`, mode 0400; files of others are deleted.

    Raises InvarError at the first that can't be had; the error names it and holds no value.
    """
    region = session.text("meta-data/placement/region") or ""
    domain = session.text("meta-data/services/domain") or "amazonaws.com"
    credentials = role_credentials(session)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in directory.iterdir():
        if file.name not in instance.secrets:
            file.unlink()
    for name, secret in instance.secrets.items():
        service = "ssm" if secret.ssm is not None else "secretsmanager"
        endpoint = (instance.ssm_endpoint if service == "ssm" else instance.secretsmanager_endpoint) or (
            f"https://{service}.{region}.{domain}/"
        )
        value = _value(name, secret, endpoint, region, credentials)
        state.write_whole(directory / name, value, 0o400)
        report.note(f"secret {name}: {len(value)} bytes")


def role_credentials(session: Metadata) -> Credentials:
    """The credentials of the instance's role. Raises InvarError when it has none."""
    roles = session.names("meta-data/iam/security-credentials/")
    answer = session.text(f"meta-data/iam/security-credentials/{roles[0]}") if roles else None
    if not answer:
        raise InvarError("the instance has no role", hint="start it with an instance profile that may read its secrets")
    try:
        found = json.loads(answer)
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found.get("Token"))
    except (ValueError, KeyError, TypeError):
        raise InvarError("the metadata service gives no credentials for the instance's role", where=roles[0]) from None


def _value(name: str, secret: Secret, endpoint: str, region: str, credentials: Credentials) -> bytes:
    try:
        if secret.ssm is not None:
            parameter = {"Name": secret.ssm, "WithDecryption": True}
            answer = _call(endpoint, "ssm", "AmazonSSM.GetParameter", parameter, region, credentials)
            return str(answer["Parameter"]["Value"]).encode()
        wanted = {"SecretId": secret.secretsmanager}
        answer = _call(endpoint, "secretsmanager", "secretsmanager.GetSecretValue", wanted, region, credentials)
        if "SecretString" in answer:
            return str(answer["SecretString"]).encode()
        return base64.b64decode(answer["SecretBinary"])
    except InvarError as error:
        where = secret.ssm or secret.secretsmanager
        raise InvarError(f"the secret {name} ({where}) can't be fetched", where=endpoint, why=error.what) from error
    except (KeyError, TypeError, ValueError):
        raise InvarError(f"the secret {name} can't be fetched", where=endpoint, why="the answer has no value") from None


def _call(
    endpoint: str, service: str, target: str, request: Mapping[str, Any], region: str, credentials: Credentials
) -> Any:
    """One call of an AWS JSON 1.1 service; throttling and faults of the service are tried again. Raises InvarError."""
    body = json.dumps(request).encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
    why = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signed = signed_headers(
            endpoint, body, headers, credentials, region=region, service=service, timestamp=timestamp
        )
        try:
            status, answer = _post(endpoint, body, signed)
        except (OSError, http.client.HTTPException) as error:
            why = f"{type(error).__name__}: {error}"
            continue
        if status == 200:
            return _json(answer)
        fault = _json(answer)
        kind = str(fault.get("__type", "")).rpartition("#")[2]
        why = f"{kind or status}: {fault.get('message') or fault.get('Message') or ''}"
        if status < 500 and "Throttl" not in kind:
            break
    raise InvarError(why)


def _post(endpoint: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    address = urlsplit(endpoint)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("POST", address.path or "/", body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX_BODY)
    finally:
        connection.close()


def _json(answer: bytes) -> dict[str, Any]:
    try:
        value = json.loads(answer)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
