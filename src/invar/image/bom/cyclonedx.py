"""An image's bill of materials as a CycloneDX 1.6 JSON document.

Everything in it follows from its input: the serial number is made of the content's digest, its time is the lock's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from invar.core.canonical import canonical_json
from invar.image.bom.components import Component
from invar.image.bom.subject import ImageSubject
from invar.image.gpt import guid

ROOT = "image"


def cyclonedx_document(subject: ImageSubject, components: Sequence[Component]) -> bytes:
    """The document, as canonical JSON with a final line break."""
    return canonical_json(cyclonedx_data(subject, components)) + b"\n"


def cyclonedx_data(subject: ImageSubject, components: Sequence[Component]) -> dict[str, Any]:
    """The document as data. The image depends on all components, they on one another as the lock says."""
    references = {component.name: component.purl for component in components}
    dependencies = [{"ref": ROOT, "dependsOn": sorted(references.values())}]
    for component in components:
        needed = sorted(references[name] for name in component.depends if name in references)
        dependencies.append({"ref": component.purl, **({"dependsOn": needed} if needed else {})})
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{guid('cyclonedx', subject.identity(components))}",
        "version": 1,
        "metadata": {
            "timestamp": subject.date,
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
        "components": list(map(_component, components)),
        "dependencies": dependencies,
    }


def _component(component: Component) -> dict[str, Any]:
    data: dict[str, Any] = {
        "type": "library",
        "bom-ref": component.purl,
        "name": component.name,
        "version": component.version,
        "description": component.summary,
        "hashes": [{"alg": "SHA-256", "content": component.sha256}],
        "purl": component.purl,
        "properties": [
            {"name": "invar:debian-source", "value": component.source},
            {"name": "invar:debian-source-version", "value": component.source_version},
            {"name": "invar:debian-suite", "value": component.suite},
            {"name": "invar:part", "value": component.part},
        ],
    }
    if component.maintainer:
        data["supplier"] = {"name": component.maintainer}
    if component.licence.expression:
        data["licenses"] = [{"expression": component.licence.expression, "acknowledgement": "declared"}]
    if component.homepage:
        data["externalReferences"] = [{"type": "website", "url": component.homepage}]
    return data
