"""The components of an image: every Debian package of it, with its source, its .deb's hash and its licences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from invar.core.canonical import digest
from invar.core.events import Report
from invar.debian.deb import UnpackedDeb
from invar.debian.lock import Lock, LockedPackage
from invar.debian.mirrors import Mirrors
from invar.debian.provision import fetch_and_unpack
from invar.image.bom.licences import UNKNOWN, Licence, declared_licence
from invar.image.esp import BOOT_LOADERS, STUBS
from invar.image.initrd import programs_of
from invar.image.tools import Tools
from invar.store.objects import Store
from invar.system.decode import decode
from invar.system.record import plain

KIND = "components"
REVISION = 1
"""Raised when the same packages give another list."""

_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")
_DOCUMENTATION = "usr/share/doc"

Part = Literal["system", "boot"]


@dataclass(frozen=True, slots=True)
class Component:
    """One Debian package.

    `part`: "system" when it is installed, "boot" when only some files of it are in the boot loader or the initrd.
    `sha256` is the .deb's, `suite` the archive's. `depends` are names of other components.
    """

    name: str
    version: str
    architecture: str
    sha256: str
    suite: str
    part: Part
    source: str
    source_version: str
    maintainer: str
    homepage: str | None
    summary: str
    licence: Licence
    depends: tuple[str, ...]

    @property
    def purl(self) -> str:
        """The package URL (purl-spec, type deb); `upstream` names the source package where it is another one."""
        qualifiers = {"arch": self.architecture, "distro": self.suite.partition("-")[0]}
        if (self.source, self.source_version) != (self.name, self.version):
            other = "" if self.source_version == self.version else f"@{self.source_version}"
            qualifiers["upstream"] = f"{self.source}{other}"
        query = "&".join(f"{name}={_quoted(value)}" for name, value in sorted(qualifiers.items()))
        return f"pkg:deb/debian/{_quoted(self.name)}@{_quoted(self.version)}?{query}"


def components_of(lock: Lock, tools: Tools, store: Store, mirrors: Mirrors, report: Report) -> tuple[Component, ...]:
    """The components of an image of this lock, by name; found again in the store.

    Reads the packages as they lie unpacked in the store, and fetches those that are gone from there. Raises InvarError
    when they can't be had.
    """
    key = digest(
        {
            "image": [package.sha256 for package in lock.image_packages()],
            "revision": REVISION,
            "tools": tools.root.name,
        }
    )
    known = store.find_record(KIND, key)
    if known is None:
        with report.stage("components"):
            debs = fetch_and_unpack(lock.image_packages(), store, mirrors, report, date=lock.date)
            tool_debs = fetch_and_unpack(lock.tool_packages(), store, mirrors, report, date=lock.date)
            boot = _owners(_boot_files(tools, lock.architecture), tools.root, tool_debs) - debs.keys()
            known = plain(list_components(lock, debs | {name: tool_debs[name] for name in boot}, boot))
            store.put_record(KIND, key, known)
    return tuple(decode(Component, one, "component") for one in known)


def list_components(lock: Lock, debs: Mapping[str, UnpackedDeb], boot: Iterable[str] = ()) -> list[Component]:
    """The components that these packages are, by name; those in `boot` are only in the boot loader or initrd."""
    parts = set(boot)
    return [_component(lock.packages[name], debs, "boot" if name in parts else "system") for name in sorted(debs)]


def _component(package: LockedPackage, debs: Mapping[str, UnpackedDeb], part: Part) -> Component:
    deb = debs[package.name]
    found = _SOURCE.match(deb.fields.get("Source", ""))
    source, version = (found[1], found[2] or package.version) if found else (package.name, package.version)
    text = _copyright(package.name, debs)
    return Component(
        name=package.name,
        version=package.version,
        architecture=deb.architecture,
        sha256=package.sha256,
        suite=package.suite,
        part=part,
        source=source,
        source_version=version,
        maintainer=deb.fields.get("Maintainer", ""),
        homepage=deb.fields.get("Homepage"),
        summary=deb.fields.get("Description", "").partition("\n")[0],
        licence=UNKNOWN if text is None else declared_licence(text, source),
        depends=tuple(sorted({*package.pre_depends, *package.depends} & debs.keys() - {package.name})),
    )


def _copyright(name: str, debs: Mapping[str, UnpackedDeb]) -> str | None:
    """The text of a package's copyright file. Its directory, or the file, may be a link to another package's."""
    seen: set[str] = set()
    while name in debs and name not in seen:
        seen.add(name)
        directory = debs[name].data / _DOCUMENTATION / name
        file = directory / "copyright"
        link = next((place for place in (directory, file) if place.is_symlink()), None)
        if link is None:
            return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None
        target = link.readlink()
        name = target.name if link is directory else target.parent.name
    return None


def _boot_files(tools: Tools, architecture: str) -> list[Path]:
    """The tools' files whose content is in every image."""
    loader, stub = BOOT_LOADERS[architecture][0], STUBS[architecture]
    return [*programs_of(tools.root, architecture).values(), tools.path(loader), tools.path(stub)]


def _owners(files: Iterable[Path], root: Path, debs: Mapping[str, UnpackedDeb]) -> set[str]:
    """Whose these files of the tools' tree are: it consists of hard links to the packages' own."""
    owners = set()
    for file in files:
        resolved = file.resolve()
        inside = resolved.relative_to(root.resolve()).as_posix()
        for name, deb in debs.items():
            places = [deb.data / inside, deb.data / inside.removeprefix("usr/")]
            if any(place.is_file() and place.samefile(resolved) for place in places):
                owners.add(name)
                break
    return owners


def _quoted(text: str) -> str:
    return quote(text, safe=":.-_~")
