"""Unit files of a system as its /etc has them: what systemd.unit(5) reads, as far as a switch has to compare it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from invar.machine.fstab import read_fstab

MASKED = "/dev/null"
PACKAGED = Path("/usr/lib/systemd/system")
_HOLDING = (".wants", ".requires", ".upholds")

Section = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class UnitFile:
    """What /etc says of one unit: its own text and its drop-ins, or that it is masked.

    `text` None: the unit itself is a package's, and /etc only adds to it. `link` is set for an alias, or a link to a
    package's unit.
    """

    text: str | None = None
    dropins: tuple[tuple[str, str], ...] = ()
    masked: bool = False
    link: str | None = None

    def sections(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """The directives by section; the values of one that is given several times in their order."""
        merged: dict[str, dict[str, tuple[str, ...]]] = {}
        for text in (self.text or "", *(content for _, content in self.dropins)):
            for section, directives in parse_unit(text).items():
                into = merged.setdefault(section, {})
                for key, values in directives.items():
                    into[key] = (*into.get(key, ()), *values)
        return merged

    def flag(self, section: str, key: str, default: bool) -> bool:
        """A boolean directive, as systemd reads one."""
        values = self.sections().get(section, {}).get(key, ())
        return values[-1].lower() in ("1", "yes", "true", "y", "on", "t") if values else default


@dataclass(frozen=True, slots=True)
class UnitFiles:
    """All units that an /etc says something of, and what pulls in what: holder (a target, mostly) to units."""

    units: Mapping[str, UnitFile] = field(default_factory=dict)
    holds: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, name: str) -> UnitFile | None:
        """What is said of a unit; of an instance, its own file and drop-ins before its template's."""
        own, general = self.units.get(name), self.units.get(template(name) or "")
        if own is None or general is None:
            return own or general
        return UnitFile(
            own.text if own.text is not None else general.text,
            tuple(sorted({**dict(general.dropins), **dict(own.dropins)}.items())),
            own.masked or general.masked,
            own.link or general.link,
        )


def template(name: str) -> str | None:
    """`getty@.service` for `getty@tty1.service`; None for what is no instance."""
    stem, at, rest = name.partition("@")
    instance, dot, suffix = rest.rpartition(".")
    return f"{stem}@.{suffix}" if at and dot and instance else None


def read_unit_files(etc: Path) -> UnitFiles:
    """The units in `etc`/systemd/system, and those of `etc`/fstab."""
    root = etc / "systemd/system"
    units: dict[str, UnitFile] = {}
    dropins: dict[str, tuple[tuple[str, str], ...]] = {}
    holds: dict[str, frozenset[str]] = {}
    for entry in sorted(root.iterdir()) if root.is_dir() else ():
        name = entry.name
        if entry.is_symlink():
            target = os.readlink(entry)  # noqa: PTH115 (a Path would normalise what the link says)
            units[name] = UnitFile(masked=True) if target == MASKED else UnitFile(link=target)
        elif entry.is_file():
            units[name] = UnitFile(text=entry.read_text(errors="replace"))
        elif name.endswith(".d"):
            found = ((one.name, _text(one)) for one in sorted(entry.iterdir()) if one.suffix == ".conf")
            dropins[name.removesuffix(".d")] = tuple(found)
        elif name.endswith(_HOLDING):
            holder = name.rpartition(".")[0]
            holds[holder] = holds.get(holder, frozenset()) | {one.name for one in entry.iterdir()}
    for name, added in dropins.items():
        known = units.get(name, UnitFile())
        units[name] = UnitFile(known.text, added, known.masked, known.link)
    for mount in read_fstab(etc):
        units.setdefault(mount.name, UnitFile(mount.text))
        if mount.wanted_by is not None:
            holds[mount.wanted_by] = holds.get(mount.wanted_by, frozenset()) | {mount.name}
    return UnitFiles(units, holds)


def parse_unit(text: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """The directives of one file by section (systemd.syntax(7)); an empty value takes back those before it."""
    sections: dict[str, dict[str, tuple[str, ...]]] = {}
    current: dict[str, tuple[str, ...]] = {}
    pending = ""
    for raw in text.splitlines():
        line = raw.strip()
        if not pending and (not line or line[0] in "#;"):
            continue
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        line, pending = pending + line, ""
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], {})
            continue
        key, equals, value = line.partition("=")
        if equals:
            key, value = key.strip(), value.strip()
            current[key] = (*current.get(key, ()), value) if value else ()
    return sections


def _text(path: Path) -> str:
    """A drop-in's content; a link into the store is told by its target, which follows from the content."""
    if path.is_symlink():
        return f"# {os.readlink(path)}\n"  # noqa: PTH115
    return path.read_text(errors="replace")
