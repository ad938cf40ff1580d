"""Where an image comes from: an in-toto Statement v1 with SLSA's provenance v1 as predicate, and how it is checked.

Follows in-toto's attestation framework (spec/v1) and slsa.dev/spec/v1.0/provenance. All of it is a function of the
configuration and its lock, but for `externalParameters.source`: commit, dirtiness and origin are what the builder's
repository said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invar.core.canonical import canonical_json
from invar.core.errors import InvarError
from invar.debian.lock import Lock
from invar.image.assemble import Image
from invar.image.documents import json_object

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:invar:build:native:v1"
BUILDER = "urn:invar:builder:native"

SYSTEM, PACKAGES, CONFIG, KERNEL, INITRD, DISK = "system", "packages", "config", "kernel", "initrd", "disk"
ALGORITHMS = {
    SYSTEM: "sha256",
    PACKAGES: "dmVeritySha256",
    CONFIG: "dmVeritySha256",
    KERNEL: "sha256",
    INITRD: "sha256",
    DISK: "invarBlocksSha256",
}
"""The subjects, each with the kind of its digest: the system digest is the SHA-256 of the JSON document that
docs/architecture.md describes, the layers' are verity root hashes, the disk's is of its block map."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the configuration was when it was built. `commit` None: in no repository, or none with a commit.

    `dirty`: the configuration's files are not those of the commit. `uri` is the repository's address.
    """

    commit: str | None
    dirty: bool
    uri: str | None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was evaluated: the configuration's file name, and all its files (relative path → SHA-256)."""

    configuration: str
    files: Mapping[str, str]
    origin: Origin


def statement(
    image: Image,
    inputs: Inputs,
    lock: Lock,
    byproducts: Mapping[str, bytes],
    *,
    tools: str,
    version: str,
    disk: str | None = None,
) -> bytes:
    """The statement about an image, as canonical JSON with a final line break.

    `byproducts` are the other documents beside the image, `tools` is the key of the tools layer that built it,
    `version` Invar's, `disk` the digest of the image's block map if that is known.
    """
    digests = {
        SYSTEM: image.system_digest,
        PACKAGES: image.packages.root_hash,
        CONFIG: image.config.root_hash,
        KERNEL: image.kernel_sha256,
        INITRD: image.initrd_sha256,
    }
    if disk is not None:
        digests[DISK] = disk
    origin = inputs.origin
    source = {"commit": origin.commit, "dirty": origin.dirty, "uri": origin.uri}
    return encode(
        {
            "_type": STATEMENT,
            "subject": [subject(name, value) for name, value in digests.items()],
            "predicateType": PREDICATE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "configuration": inputs.configuration,
                        "source": {name: value for name, value in source.items() if value is not None},
                    },
                    "internalParameters": {
                        "architecture": image.architecture,
                        "lockDigest": lock.digest,
                        "lockDate": lock.date,
                        "specDigest": image.spec_digest,
                    },
                    "resolvedDependencies": _dependencies(inputs, lock),
                },
                "runDetails": {
                    "builder": {"id": BUILDER, "version": {"invar": version, "tools": tools}},
                    "byproducts": [
                        {"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}}
                        for name, content in sorted(byproducts.items())
                    ],
                },
            },
        }
    )


def subject(name: str, digest: str) -> dict[str, Any]:
    """One subject of a statement, by its name in `ALGORITHMS`."""
    return {"name": name, "digest": {ALGORITHMS[name]: digest}}


def with_disk(document: bytes, blocks_digest: str) -> bytes:
    """A statement that also speaks of the disk, by the digest of its block map. Raises InvarError for no statement."""
    found = read_statement(document, "the provenance")
    others = [one for one in found["subject"] if one.get("name") != DISK]
    return encode({**found, "subject": [*others, subject(DISK, blocks_digest)]})


def encode(found: Mapping[str, Any]) -> bytes:
    """A statement as the bytes that are stored and signed."""
    return canonical_json(found) + b"\n"


def read_statement(document: bytes, where: str) -> dict[str, Any]:
    """A statement out of its bytes. Raises InvarError, with `where`, when it is none of Invar's provenance."""
    found = json_object(document, where)
    for field, wanted in (("_type", STATEMENT), ("predicateType", PREDICATE)):
        if found.get(field) != wanted:
            raise InvarError("this is no provenance", where=where, why=f"{field} is {found.get(field)!r}, not {wanted}")
    subjects = found.get("subject")
    sound = isinstance(subjects, list) and all(
        isinstance(one, dict) and isinstance(one.get("digest"), dict) for one in subjects
    )
    if not sound:
        raise InvarError("the provenance names no subjects", where=where)
    return found


def check_statement(found: Mapping[str, Any], expected: Mapping[str, str], where: str) -> None:
    """Check that a statement is about these digests, by the subjects' names.

    Raises InvarError that names every one that differs, or that the statement does not speak of.
    """
    stated = {one.get("name"): one["digest"].get(ALGORITHMS.get(str(one.get("name")), "")) for one in found["subject"]}
    wrong = [
        f"{name}: the provenance says {stated.get(name) or 'nothing'}, found {digest}"
        for name, digest in expected.items()
        if stated.get(name) != digest
    ]
    if wrong:
        raise InvarError("the provenance is of something else", where=where, why="\n".join(wrong))


def _dependencies(inputs: Inputs, lock: Lock) -> list[dict[str, Any]]:
    """The configuration's files, the lock, and the signed indices that the lock was made of."""
    files = [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(inputs.files.items())]
    indices = [
        {
            "name": f"InRelease of {index.suite}",
            "digest": {"sha256": index.inrelease},
            "annotations": {"date": index.date},
        }
        for index in lock.indices
    ]
    unique = {entry["name"]: entry for entry in indices}
    return [*files, {"name": "lock", "digest": {"sha256": lock.digest}}, *unique.values()]
