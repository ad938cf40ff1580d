"""Which build cache an address names: a directory, a web server, or a bucket with the instance's role."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from invar.core.errors import ExitCode, InvarError
from invar.machine.bucket import Bucket, Place
from invar.machine.cache_source import Broken, Directory, Source, Web
from invar.machine.metadata import ENDPOINTS, connect, patience_here
from invar.machine.secrets import role_credentials
from invar.machine.sigv4 import Credentials


def source_of(address: str, endpoints: Sequence[str] = ENDPOINTS, *, s3_endpoint: str | None = None) -> Source:
    """The cache at an address. For s3:// the instance's role is asked for, at the metadata service's `endpoints`.

    `s3_endpoint` is where buckets are asked instead of at AWS's own addresses. Raises InvarError for what is no such
    address, Broken when the instance has no role.
    """
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Directory(address, Path(unquote(parts.path)))
    if parts.scheme in ("http", "https") and parts.netloc:
        return Web(address)
    if parts.scheme == "s3" and parts.netloc:
        return _bucket(address, parts.netloc, parts.path, endpoints, s3_endpoint)
    raise InvarError(
        f"{address!r} is no address of a build cache",
        hint="https://HOST/PATH, http://HOST/PATH, s3://BUCKET/PREFIX or file:///DIRECTORY",
        exit_code=ExitCode.USAGE,
    )


def _bucket(address: str, bucket: str, prefix: str, endpoints: Sequence[str], s3_endpoint: str | None) -> Bucket:
    session = connect(patience_here(), endpoints)
    if session is None:
        raise Broken("no metadata service answers, so that there is no role to read the bucket with")

    def role() -> Credentials:
        try:
            return role_credentials(session)
        except InvarError as error:
            raise Broken(f"{error.what} to read the bucket with") from error

    try:
        region = session.text("meta-data/placement/region") or ""
        domain = session.text("meta-data/services/domain") or "amazonaws.com"
    except InvarError as error:
        raise Broken(error.what) from error
    return Bucket(address, Place(bucket, prefix.rstrip("/"), domain, s3_endpoint), region, role(), role)
