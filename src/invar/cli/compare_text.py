"""A comparison as text for people: one screen for a small change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from invar.debian.changes import Change
from invar.fleet.comparison import Comparison
from invar.fleet.subjects import Subject
from invar.system.diff import FileChange, NamesChange, RecordChange, SystemDiff, UnitChange, ValueChange
from invar.system.options import OptionChange, Setting
from invar.system.text_changes import TextChange

MARKS = {"added": "+", "removed": "-", "changed": "~", "upgraded": "↑", "downgraded": "↓", "rebuilt": "!"}
COLOURS = {"+": "green", "-": "red", "~": "yellow", "↑": "green", "↓": "yellow", "!": "red", "=": None}
LINES = 14
"""Lines of one text's diff that are shown unless all are asked for."""

ROWS = 25
"""Rows of packages likewise."""

WIDTH = 100


def comparison_lines(comparison: Comparison, *, full: bool) -> Iterator[str]:
    """The whole text, line by line; `full`: nothing left out."""
    width = max(len(comparison.old.label), len(comparison.new.label))
    yield _heading("-", comparison.old, width)
    yield _heading("+", comparison.new, width)
    if not comparison.differs:
        yield ""
        yield "no difference"
        return
    yield from difference_lines(comparison, full=full)


def difference_lines(comparison: Comparison, *, full: bool) -> Iterator[str]:
    """The sections of what differs, each after an empty line."""
    if comparison.mixed:
        yield from section("Engines", [row("~", f"{comparison.old.engine} → {comparison.new.engine}")])
    if comparison.toplevels is not None:
        old, new = (one or "(unknown)" for one in comparison.toplevels)
        yield from section("System", [row("~", f"toplevel  {old} → {new}")])
    yield from section("Options", map(_option, comparison.options or ()))
    yield from _packages(comparison, full=full)
    if comparison.system is not None:
        yield from _native(comparison.system, comparison.options, None if full else LINES)
    if comparison.image is not None:
        yield from section("Image", [image_line(comparison.image.changed, comparison.image.total)])


def _native(system: SystemDiff, options: Sequence[OptionChange] | None, limit: int | None) -> Iterator[str]:
    yield from section("System", _system(system))
    yield from section("Accounts", [*_records("user", system.users), *_records("group", system.groups)])
    yield from section("Checks", _records("", system.checks))
    yield from section("Units", _texts(((unit.name, unit) for unit in system.units), limit))
    yield from section("Files", _texts(((file.path, file) for file in system.files), limit))
    if system and not any(_contents(system)) and not options:
        yield from section("System", ["~ only hashes of store paths differ"])


def image_line(changed: int, total: int) -> str:
    """How much of a disk differs."""
    size = f"{changed * 0.524288:.1f} MB"
    return f"{changed} of {total} blocks of 512 KiB differ ({size})"


def _contents(system: SystemDiff) -> Iterator[object]:
    yield from (system.values, system.requests, system.kernel_params, system.initrd_modules, system.path_excludes)
    yield from (system.users, system.groups, system.checks, system.units, system.files)


def _heading(mark: str, subject: Subject, width: int) -> str:
    digest = subject.system_digest
    name = f"system {digest[:12]}" if digest else f"spec {subject.spec_digest[:12]}"
    return click.style(f"{mark * 3} {subject.label:<{width}}  {name}", bold=True)


def section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A title and its lines after an empty line; nothing where there are none."""
    found = list(lines)
    if found:
        yield ""
        yield click.style(title, bold=True)
        for line in found:
            yield f"  {line}"


def row(mark: str, text: str) -> str:
    """A line with its mark in front, coloured."""
    return f"{click.style(mark, fg=COLOURS[mark])} {text}"


def _option(change: OptionChange) -> str:
    places = " ".join(change.places)
    where = click.style(f"  {places}", dim=True) if places else ""
    if change.old is None:
        return row("+", f"{change.path} = {_value(change.new)}{where}")
    if change.new is None:
        return row("-", f"{change.path} = {_value(change.old)}{where}")
    if change.of_list:
        elements = [f"+ {one}" for one in change.added] + [f"- {one}" for one in change.removed]
        return row("~", f"{change.path}  {_short('  '.join(elements))}{where}")
    return row("~", f"{change.path}  {_value(change.old)} → {_value(change.new)}{where}")


def _value(setting: Setting | None) -> str:
    value = "" if setting is None else setting.value
    text = value if isinstance(value, str) else f"[ {' '.join(value)} ]"
    return _short(" ".join(text.split()))


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _packages(comparison: Comparison, *, full: bool) -> Iterator[str]:
    if comparison.packages is None:
        missing = [one.label for one in (comparison.old, comparison.new) if one.lock is None and one.closure is None]
        names = _names(comparison.system.requests) if comparison.system is not None else ()
        yield from section("Packages", [*names, f"  versions unknown: {' and '.join(missing)} has no lock"])
        return
    notes = []
    if comparison.rebuilt:
        notes.append(f"  {comparison.rebuilt} store paths of the same name and version are built anew")
    if comparison.alone is not None:
        old, new = comparison.alone
        notes.append(f"  compared by name and upstream version; {old} are in the first alone, {new} in the second")
    changes = comparison.packages
    absent = [row("!", f"{name}  not in the lock: run `invar lock`") for name in comparison.unlocked]
    if not changes:
        yield from section("Packages", [*notes, *absent])
        return
    counts = [(kind, sum(change.kind == kind for change in changes)) for kind in MARKS]
    summary = ", ".join(f"{count} {kind}" for kind, count in counts if count)
    security = sum(change.security for change in changes)
    summary += f"; {security} from the security archive" if security else ""
    ordered = sorted(changes, key=lambda change: (not change.security, change.name))
    shown = ordered if full or len(ordered) <= ROWS else ordered[:ROWS]
    width = max(len(change.name) for change in shown)
    rest = [f"  ... and {len(ordered) - len(shown)} more (--full)"] if len(shown) < len(ordered) else []
    yield from section(f"Packages: {summary}", [*(_package(change, width) for change in shown), *rest, *notes, *absent])


def _package(change: Change, width: int) -> str:
    versions = " → ".join(version for version in (change.old, change.new) if version)
    mark = click.style("  security", fg="red", bold=True) if change.security and change.old else ""
    return row(MARKS[change.kind], f"{change.name:<{width}}  {versions}{mark}")


def _system(system: SystemDiff) -> Iterator[str]:
    for value in system.values:
        yield row("~", _value_change(value))
    names = (
        ("asked for", system.requests),
        ("kernel parameters", system.kernel_params),
        ("initrd modules", system.initrd_modules),
        ("left out paths", system.path_excludes),
    )
    for title, change in names:
        if change:
            elements = [f"+ {one}" for one in change.added] + [f"- {one}" for one in change.removed]
            yield row("~", f"{title}  {'  '.join(elements) or 'in another order'}")


def _names(change: NamesChange) -> Iterator[str]:
    yield from (row("+", name) for name in change.added)
    yield from (row("-", name) for name in change.removed)


def _value_change(value: ValueChange) -> str:
    return f"{value.name}  {_plain(value.old)} → {_plain(value.new)}"


def _plain(value: Any) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, (list, tuple)):
        return _short(f"[ {' '.join(map(str, value))} ]")
    return _short(str(value))


def _records(kind: str, changes: Sequence[RecordChange]) -> Iterator[str]:
    for change in changes:
        values = "; ".join(map(_value_change, change.values))
        yield row(MARKS[change.kind], " ".join(filter(None, (kind, change.name))) + (f"  {values}" if values else ""))


def _texts(changes: Iterable[tuple[str, UnitChange | FileChange]], limit: int | None) -> Iterator[str]:
    for name, change in changes:
        added, removed = change.text.counts
        counts = f"+{added} −{removed}" if change.kind == "changed" and (added or removed) else ""
        follows = f"follows {', '.join(change.text.follows)}" if change.text.follows and not change.text.lines else ""
        notes = [counts, *change.notes, follows, f"({change.text.hidden})" if change.text.hidden else ""]
        yield row(MARKS[change.kind], "  ".join(filter(None, (name, ", ".join(filter(None, notes))))))
        if change.kind == "changed":
            yield from _hunks(change.text, limit)


def _hunks(text: TextChange, limit: int | None) -> Iterator[str]:
    lines = [line for line in text.lines if not line.startswith("@@")] if len(text.lines) < 8 else list(text.lines)
    shown = lines if limit is None or len(lines) <= limit + 1 else lines[:limit]
    for line in shown:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        yield f"    {click.style(line, fg=colour) if colour else line}"
    if len(shown) < len(lines):
        yield f"    ... and {len(lines) - len(shown)} lines more (--full)"
