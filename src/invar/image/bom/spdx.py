"""An image's bill of materials as an SPDX 2.3 JSON document.

Everything in it follows from its input: there is no random identifier, and its time is the lock's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from invar.core.canonical import canonical_json
from invar.image.bom.components import Component
from invar.image.bom.subject import ImageSubject

ROOT = "SPDXRef-Image"
_ID = re.compile(r"[^A-Za-z0-9.-]")


def spdx_document(subject: ImageSubject, components: Sequence[Component]) -> bytes:
    """The document, as canonical JSON with a final line break."""
    return canonical_json(spdx_data(subject, components)) + b"\n"


def spdx_data(subject: ImageSubject, components: Sequence[Component]) -> dict[str, Any]:
    """The document as data. Packages are contained in the image, and depend on one another as the lock says."""
    known = {component.name for component in components}
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)]
    for component in components:
        relations.append(_relation(ROOT, "CONTAINS", _identifier(component.name)))
        relations += [
            _relation(_identifier(component.name), "DEPENDS_ON", _identifier(name))
            for name in component.depends
            if name in known
        ]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": subject.name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{subject.name}-{subject.identity(components)}",
        "creationInfo": {"created": subject.date, "creators": [f"Tool: invar-{subject.version}"]},
        "packages": [_image(subject), *map(_package, components)],
        "relationships": relations,
        "hasExtractedLicensingInfos": _extracted(components),
    }


def _image(subject: ImageSubject) -> dict[str, Any]:
    return {
        "SPDXID": ROOT,
        "name": subject.name,
        "versionInfo": subject.system_digest[:12],
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "comment": "\n".join(f"{name}: {value}" for name, value in subject.properties()),
    }


def _package(component: Component) -> dict[str, Any]:
    package = {
        "SPDXID": _identifier(component.name),
        "name": component.name,
        "versionInfo": component.version,
        "supplier": _supplier(component.maintainer),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": component.sha256}],
        "sourceInfo": f"built from Debian source package {component.source} {component.source_version}",
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": component.licence.expression or "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "summary": component.summary,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": component.purl,
            }
        ],
    }
    if component.homepage:
        package["homepage"] = component.homepage
    if component.part == "boot":
        package["comment"] = "not installed: files of it are in the boot loader or the initrd"
    return package


def _extracted(components: Sequence[Component]) -> list[dict[str, str]]:
    """What every LicenseRef stands for. The texts themselves are in the image, where Debian has them."""
    found: dict[str, dict[str, str]] = {}
    for component in components:
        for reference, name in component.licence.references.items():
            found.setdefault(
                reference,
                {
                    "licenseId": reference,
                    "name": name,
                    "extractedText": f'What /usr/share/doc/{component.name}/copyright calls "{name}": see there.',
                },
            )
    return [found[reference] for reference in sorted(found)]


def _supplier(maintainer: str) -> str:
    """ "Person: Name (address)" or "Organization: ..." after the maintainer's own words."""
    name, _, address = maintainer.partition("<")
    team = re.search(r"\b(?:team|group|maintainers|developers|project|debian)\b", name, re.IGNORECASE)
    label = " ".join(name.strip().strip('"').split())
    if not label:
        return "NOASSERTION"
    suffix = f" ({address.rstrip('> ')})" if address else ""
    return f"{'Organization' if team else 'Person'}: {label}{suffix}"


def _identifier(name: str) -> str:
    return f"SPDXRef-Package-{_ID.sub(lambda found: f'-{ord(found[0]):x}-', name)}"


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
