"""Bills of materials of a real image, checked by the standards' own libraries."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from command import copy_example, succeed
from invar.core.home import Home
from invar.debian.lock import read_lock
from invar.image.bom.components import Component
from invar.image.bom.cyclonedx import cyclonedx_data
from invar.image.bom.licences import UNKNOWN, Licence
from invar.image.bom.spdx import spdx_data
from invar.image.bom.subject import ImageSubject

SUBJECT = ImageSubject("image", "amd64", "1" * 64, "2" * 64, "3" * 64, "4" * 64, "5" * 64, "2026-01-02T03:04:05Z", "1")
LIBRARY = Component(
    "libc++1", "1:19.1~rc2+b1", "amd64", "a" * 64, "trixie", "system", "llvm", "1:19.1~rc2", "LLVM Team <a@b.org>",
    "https://llvm.org/", "a library", Licence("LicenseRef-llvm-odd", {"LicenseRef-llvm-odd": "odd"}), (),
)  # fmt: skip
PROGRAM = Component(
    "tool", "2-1", "all", "b" * 64, "trixie-security", "boot", "tool", "2-1", "Jo Doe <jo@b.org>", None, "a tool",
    UNKNOWN, ("libc++1",),
)  # fmt: skip


@pytest.fixture(scope="module")
def image(repository: Path, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a built image of the example, and what it is built of beside it."""
    project = copy_example(repository, tmp_path_factory.mktemp("bom") / "production-web")
    out = tmp_path_factory.mktemp("out")
    succeed("build", project, "--out", out / "web.raw", home=home)
    (out / "lock").write_bytes((project / "invar.lock").read_bytes())
    return out


def test_purls_are_those_of_the_specification() -> None:
    for component in (LIBRARY, PROGRAM):
        assert PackageURL.from_string(component.purl).to_string() == component.purl
    found = PackageURL.from_string(LIBRARY.purl)
    assert (found.type, found.namespace, found.name, found.version) == ("deb", "debian", "libc++1", "1:19.1~rc2+b1")
    assert found.qualifiers == {"arch": "amd64", "distro": "trixie", "upstream": "llvm@1:19.1~rc2"}
    assert PackageURL.from_string(PROGRAM.purl).qualifiers == {"arch": "all", "distro": "trixie"}


def test_documents_have_no_time_but_the_locks_and_no_random_number() -> None:
    for make in (spdx_data, cyclonedx_data):
        assert make(SUBJECT, [LIBRARY, PROGRAM]) == make(SUBJECT, [LIBRARY, PROGRAM])
    spdx, cyclonedx = (make(SUBJECT, [LIBRARY, PROGRAM]) for make in (spdx_data, cyclonedx_data))
    assert spdx["creationInfo"]["created"] == cyclonedx["metadata"]["timestamp"] == SUBJECT.date
    other = cyclonedx_data(SUBJECT, [LIBRARY])
    assert uuid.UUID(other["serialNumber"][9:]) != uuid.UUID(cyclonedx["serialNumber"][9:])
    assert spdx_data(SUBJECT, [LIBRARY])["documentNamespace"] != spdx["documentNamespace"]


def test_suppliers_are_persons_or_organizations() -> None:
    packages = spdx_data(SUBJECT, [LIBRARY, PROGRAM])["packages"]
    assert [package.get("supplier") for package in packages] == [
        None,
        "Organization: LLVM Team (a@b.org)",
        "Person: Jo Doe (jo@b.org)",
    ]


@pytest.mark.build
def test_the_spdx_document_of_an_image_is_valid(image: Path) -> None:
    document = parse_file(str(image / "sbom.spdx.json"))
    assert validate_full_spdx_document(document) == []


@pytest.mark.build
def test_the_cyclonedx_document_of_an_image_is_valid(image: Path) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str((image / "sbom.cdx.json").read_text()) is None


@pytest.mark.build
def test_every_locked_package_is_in_both_with_version_and_hash(image: Path) -> None:
    lock = read_lock(image / "lock")
    wanted = {name: (lock.packages[name].version, lock.packages[name].sha256) for name in lock.image}
    spdx, cyclonedx = read(image / "sbom.spdx.json"), read(image / "sbom.cdx.json")
    in_spdx = {
        package["name"]: (package["versionInfo"], package["checksums"][0]["checksumValue"])
        for package in spdx["packages"][1:]
    }
    in_cyclonedx = {one["name"]: (one["version"], one["hashes"][0]["content"]) for one in cyclonedx["components"]}
    assert in_spdx == in_cyclonedx
    assert wanted.items() <= in_spdx.items()
    boot = {
        one["name"] for one in cyclonedx["components"] if {"name": "invar:part", "value": "boot"} in one["properties"]
    }
    assert set(in_spdx) - set(wanted) == boot
    assert {"busybox-static", "systemd-boot-efi"} <= boot
    assert "qemu-system-x86" not in in_spdx


@pytest.mark.build
def test_well_known_packages_have_their_source_licence_and_needs(image: Path) -> None:
    components = {one["name"]: one for one in read(image / "sbom.cdx.json")["components"]}
    assert {"name": "invar:debian-source", "value": "glibc"} in components["libc6"]["properties"]
    assert "LGPL-2.1-or-later" in components["libc6"]["licenses"][0]["expression"]
    needs = {one["ref"]: one.get("dependsOn", []) for one in read(image / "sbom.cdx.json")["dependencies"]}
    assert components["libc6"]["purl"] in needs[components["coreutils"]["purl"]]
    assert len(needs["image"]) == len(components)
    with_licence = sum("licenses" in one for one in components.values())
    assert with_licence > 0.8 * len(components)


@pytest.mark.build
def test_the_verb_prints_the_document_that_lies_beside_the_image(image: Path, home: Home) -> None:
    done = succeed("sbom", image / "web.raw", "--format", "cyclonedx", home=home)
    assert done.out.encode() == (image / "sbom.cdx.json").read_bytes()
    digest = read(image / "image-info.json")["system_digest"]
    by_digest = succeed("sbom", digest[:12], home=home)
    assert (
        hashlib.sha256(by_digest.out.encode()).digest()
        == hashlib.sha256((image / "sbom.spdx.json").read_bytes()).digest()
    )


def read(path: Path) -> dict[str, Any]:
    """A JSON object."""
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found
