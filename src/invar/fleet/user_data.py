"""The sending side of user data: signing, and a check that evaluates it as an instance would."""

from __future__ import annotations

import gzip
import lzma
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.engines.native import NativeEngine
from invar.engines.project import Project
from invar.fleet.keys import read_private_key
from invar.machine.apply import write_project
from invar.machine.user_data import Configuration, Form, Nothing, Parameters, Pointer, Script, classify, unpacked
from invar.system.user_data import (
    PublicKey,
    Signature,
    check_size,
    message_to_sign,
    split_signature,
    verified,
    with_signature,
)

_LARGEST_SOURCE = 1 << 20
"""Bytes of a file beside a configuration that may be one of its sources."""

_KINDS: dict[type[Form], str] = {
    Configuration: "configuration",
    Parameters: "parameters",
    Pointer: "generation",
    Script: "script",
    Nothing: "nothing",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What user data is, `bytes` long as it is sent. `spec_digest` is that of its system, where it was evaluated."""

    kind: str
    bytes: int
    unpacked_bytes: int
    signed_by: str | None
    spec_digest: str | None


def sign(data: bytes, key: Path, passphrase: str | None = None) -> bytes:
    """User data, unpacked, with its signature by the secret key in the file `key`; an older signature is replaced.

    `passphrase` is the key's, if it has one. Raises InvarError, for what is no form of user data too.
    """
    content, _ = split_signature(unpacked(data))
    if not content.endswith(b"\n"):
        content += b"\n"
    classify(content)
    secret = read_private_key(key, passphrase)
    if secret.public.kind != "ed25519":
        raise InvarError(
            "instances check signatures of Ed25519 only", where=str(key), hint="make a key: invar key generate FILE"
        )
    signer = PublicKey.parse(secret.public.text())
    return with_signature(content, Signature(signer.id, secret.sign(message_to_sign(content))))


def packed(data: bytes, compression: str) -> bytes:
    """User data compressed with "gzip" or "xz", the same bytes for the same data, or as it is ("none")."""
    if compression == "gzip":
        return gzip.compress(data, mtime=0)
    return lzma.compress(data, preset=9) if compression == "xz" else data


def check(
    data: bytes, image: Path | None, engine: NativeEngine, *, where: str, trusted: Sequence[PublicKey] = ()
) -> Checked:
    """Whether EC2 and an instance would take user data.

    `image` is the configuration (file or directory) that the instance's image is built from: configurations and
    parameters are evaluated beside it, as on the instance. Without it they are not evaluated. Raises InvarError.
    """
    check_size(data, where=where)
    text = unpacked(data)
    content, signature = split_signature(text)
    if trusted:
        content = verified(text, trusted)
    form = classify(content)
    spec = None
    if image is not None and isinstance(form, Configuration | Parameters):
        spec = _spec_digest(form, Project.at(image), engine)
    return Checked(_KINDS[type(form)], len(data), len(text), signature.key_id if signature else None, spec)


def _spec_digest(form: Configuration | Parameters, image: Project, engine: NativeEngine) -> str:
    with tempfile.TemporaryDirectory(prefix="invar-user-data-") as name:
        sources = Path(name) / "image"
        shutil.copytree(image.directory, sources, ignore=_not_sources)
        if image.configuration.name != "configuration.nix":
            (sources / image.configuration.name).replace(sources / "configuration.nix")
        entry = write_project(form, sources, Path(name) / "configuration")
        project = Project(entry.parent, entry, image.lock)
        return engine.evaluate(project).system.spec_digest


def _not_sources(directory: str, names: list[str]) -> list[str]:
    """Hidden files, links and what is too large."""
    paths = [Path(directory) / name for name in names]
    return [
        path.name
        for path in paths
        if path.name.startswith(".") or path.is_symlink() or (path.is_file() and path.stat().st_size > _LARGEST_SOURCE)
    ]
