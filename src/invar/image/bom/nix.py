"""Bills of materials of an image that Nix built, out of its closure: SPDX 2.3 and CycloneDX 1.6, as JSON.

Every store path is a package; its licence is not known, for a closure does not tell it. Both documents follow from
their input alone: their time is that of files in the Nix store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from invar.core.canonical import canonical_json, digest
from invar.image.closure import StorePath
from invar.image.gpt import guid
from invar.system.record import plain

DATE = "1970-01-01T00:00:01Z"
"""Nix's `mtimeStore`."""
ROOT, SPDX_ROOT = "image", "SPDXRef-Image"
_ID = re.compile(r"[^A-Za-z0-9.-]")


@dataclass(frozen=True, slots=True)
class NixSubject:
    """The image: its digests (lower-case hex), the NixOS system in it, its own store path; `version` is Invar's."""

    name: str
    system_digest: str
    spec_digest: str
    toplevel: str | None
    output: str
    version: str

    def properties(self) -> Iterator[tuple[str, str]]:
        """What tells which image it is, by its names in documents."""
        yield "invar:system-digest", self.system_digest
        yield "invar:spec-digest", self.spec_digest
        yield "nix:output", self.output
        if self.toplevel is not None:
            yield "nix:toplevel", self.toplevel

    def identity(self, closure: Sequence[StorePath]) -> str:
        """SHA-256 over subject and closure."""
        return digest({"closure": plain(closure), "subject": plain(self)})


def purl(path: StorePath) -> str:
    """The package URL; its type "nix" is not registered with purl-spec, but what scanners of Nix closures write."""
    name, version = path.name_and_version
    return f"pkg:nix/{quote(name, safe='.-_~')}" + (f"@{quote(version, safe='.-_~')}" if version else "")


def spdx_document(subject: NixSubject, closure: Sequence[StorePath]) -> bytes:
    """The document, as canonical JSON with a final line break."""
    known = {one.path for one in closure}
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", SPDX_ROOT)]
    for one in closure:
        relations.append(_relation(SPDX_ROOT, "CONTAINS", _identifier(one.path)))
        relations += [
            _relation(_identifier(one.path), "DEPENDS_ON", _identifier(other))
            for other in one.references
            if other in known
        ]
    image = {
        **_spdx_entry(SPDX_ROOT, subject.name, subject.system_digest[:12]),
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "comment": "\n".join(f"{name}: {value}" for name, value in subject.properties()),
    }
    data = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": subject.name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{quote(subject.name)}-{subject.identity(closure)}",
        "creationInfo": {"created": DATE, "creators": [f"Tool: invar-{subject.version}"]},
        "packages": [image, *map(_spdx_package, closure)],
        "relationships": relations,
    }
    return canonical_json(data) + b"\n"


def cyclonedx_document(subject: NixSubject, closure: Sequence[StorePath]) -> bytes:
    """The document, as canonical JSON with a final line break."""
    known = {one.path for one in closure}
    dependencies: list[dict[str, Any]] = [{"ref": ROOT, "dependsOn": sorted(known)}]
    for one in closure:
        needed = [other for other in one.references if other in known]
        dependencies.append({"ref": one.path, **({"dependsOn": needed} if needed else {})})
    data = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{guid('cyclonedx', subject.identity(closure))}",
        "version": 1,
        "metadata": {
            "timestamp": DATE,
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "invar", "version": subject.version}]},
            "component": {
                "type": "operating-system",
                "bom-ref": ROOT,
                "name": subject.name,
                "version": subject.system_digest[:12],
                "properties": [{"name": name, "value": value} for name, value in subject.properties()],
            },
        },
        "components": list(map(_cyclonedx_component, closure)),
        "dependencies": dependencies,
    }
    return canonical_json(data) + b"\n"


def _spdx_entry(identifier: str, name: str, version: str) -> dict[str, Any]:
    return {
        "SPDXID": identifier,
        "name": name,
        **({"versionInfo": version} if version else {}),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }


def _spdx_package(one: StorePath) -> dict[str, Any]:
    reference = {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl(one),
    }
    return {
        **_spdx_entry(_identifier(one.path), *one.name_and_version),
        "sourceInfo": f"store path {one.path}, NAR hash {one.nar_hash}",
        "externalRefs": [reference],
    }


def _cyclonedx_component(one: StorePath) -> dict[str, Any]:
    name, version = one.name_and_version
    return {
        "type": "library",
        "bom-ref": one.path,
        "name": name,
        **({"version": version} if version else {}),
        "purl": purl(one),
        "properties": [
            {"name": "nix:nar-hash", "value": one.nar_hash},
            {"name": "nix:store-path", "value": one.path},
        ],
    }


def _identifier(path: str) -> str:
    return f"SPDXRef-{_ID.sub(lambda found: f'-{ord(found[0]):x}-', path.rpartition('/')[2])}"


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
