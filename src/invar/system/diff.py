"""The difference of two systems: values, packages asked for, units, files, accounts, checks. Pure data in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from invar.system.files import ABSENT, File, etc_files, object_files
from invar.system.record import System, plain
from invar.system.secrets import NOT_SHOWN, sounds_secret
from invar.system.text_changes import NOTHING, TextChange, change_of_text, store_name, without_hashes
from invar.system.units import Unit, units_of

Kind = Literal["added", "removed", "changed"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One value that differs, by its dotted name. None: not set."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class NamesChange:
    """Which elements a list gained and lost; `reordered` when only their order differs."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    reordered: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.reordered)


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A user, group or check; `values` are the fields that differ, of a changed one only."""

    name: str
    kind: Kind
    values: tuple[ValueChange, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitChange:
    """A systemd unit. `notes` tell what is not in its text: "wanted by multi-user.target", "masked"."""

    name: str
    kind: Kind
    notes: tuple[str, ...]
    text: TextChange


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file of /etc or under /nix/store (there without its hash). `notes` tell of mode, owner and link target."""

    path: str
    kind: Kind
    notes: tuple[str, ...]
    text: TextChange


@dataclass(frozen=True, slots=True)
class SystemDiff:
    """What differs between two systems. `requests` are the packages asked for, before their dependencies.

    `same` is the equality of the spec digests: two systems without any listed difference may still differ in it, when
    only hashes of store paths do.
    """

    same: bool
    values: tuple[ValueChange, ...]
    requests: NamesChange
    kernel_params: NamesChange
    initrd_modules: NamesChange
    path_excludes: NamesChange
    users: tuple[RecordChange, ...]
    groups: tuple[RecordChange, ...]
    checks: tuple[RecordChange, ...]
    units: tuple[UnitChange, ...]
    files: tuple[FileChange, ...]

    def __bool__(self) -> bool:
        return not self.same


def diff_systems(old: System, new: System) -> SystemDiff:
    """From `old` to `new`. Secrets are never in it: of what looks like one it says only that it differs."""
    old_units, old_entries = units_of(old.etc)
    new_units, new_entries = units_of(new.etc)
    before = etc_files(old_entries) | object_files(old.store_objects, new.store_objects)
    after = etc_files(new_entries) | object_files(new.store_objects, old.store_objects)
    return SystemDiff(
        same=old.spec_digest == new.spec_digest,
        values=_system_values(old, new),
        requests=names_change(old.packages, new.packages, ordered=False),
        kernel_params=names_change(old.kernel_params, new.kernel_params),
        initrd_modules=names_change(old.initrd_modules, new.initrd_modules),
        path_excludes=names_change(old.path_excludes, new.path_excludes, ordered=False),
        users=_records(old.users, new.users),
        groups=_records(old.groups, new.groups),
        checks=_records(old.checks, new.checks),
        units=tuple(filter(None, (_unit(name, a, b) for name, a, b in _paired(old_units, new_units)))),
        files=tuple(filter(None, (_file(path, a, b) for path, a, b in _paired(before, after)))),
    )


def names_change(old: Sequence[str], new: Sequence[str], *, ordered: bool = True) -> NamesChange:
    """What a list of names gained and lost, in the order in which they stand there."""
    added = tuple(name for name in new if name not in old)
    removed = tuple(name for name in old if name not in new)
    return NamesChange(added, removed, ordered and not (added or removed) and list(old) != list(new))


def _system_values(old: System, new: System) -> tuple[ValueChange, ...]:
    names = ("name", "host_name", "architecture", "kernel_package", "state_version")
    found = [ValueChange(name, getattr(old, name), getattr(new, name)) for name in names]
    for name in ("size_mib", "base_name"):
        found.append(ValueChange(f"disk.{name}", getattr(old.disk, name), getattr(new.disk, name)))
    return tuple(change for change in found if change.old != change.new)


def _records(old: Sequence[Any], new: Sequence[Any]) -> tuple[RecordChange, ...]:
    changes = []
    for name, before, after in _paired({one.name: one for one in old}, {one.name: one for one in new}):
        if before == after:
            continue
        if before is None or after is None:
            changes.append(RecordChange(name, _kind(before, after)))
            continue
        one, two = plain(before), plain(after)
        values = [_covered(ValueChange(field, one[field], two[field])) for field in one if one[field] != two[field]]
        changes.append(RecordChange(name, "changed", tuple(values)))
    return tuple(changes)


def _covered(change: ValueChange) -> ValueChange:
    if not sounds_secret(change.name):
        return change
    return ValueChange(change.name, change.old and NOT_SHOWN, change.new and NOT_SHOWN)


def _unit(name: str, old: Unit | None, new: Unit | None) -> UnitChange | None:
    before, after = old or Unit(name), new or Unit(name)
    notes = [f"wanted by {target}" for target in sorted(after.wanted_by - before.wanted_by)]
    notes += [f"no longer wanted by {target}" for target in sorted(before.wanted_by - after.wanted_by)]
    if before.link != after.link:
        notes += _link_notes(before, after)
    if old and new:
        notes += [
            f"{kind}s: files that it uses differ"
            for kind, value in after.triggers().items()
            if before.triggers().get(kind, value) != value
        ]
    text = change_of_text(before.document(), after.document())
    if not notes and text == NOTHING:
        return None
    kind: Kind = "changed"
    if before.text is None and before.link is None and after.text is not None:
        kind = "added"
    elif after.text is None and after.link is None and before.text is not None:
        kind = "removed"
    return UnitChange(name, kind, tuple(notes), text)


def _link_notes(old: Unit, new: Unit) -> list[str]:
    if old.masked or new.masked:
        return ["masked" if new.masked else "no longer masked"]
    return [f"link {_target(old.link)} → {_target(new.link)}"]


def _file(path: str, old: File | None, new: File | None) -> FileChange | None:
    if old == new or (old is not None and new is not None and old.directory and new.directory):
        return None
    before, after = old or ABSENT, new or ABSENT
    notes, follows = _file_notes(before, after) if old and new else ([], set())
    if old is None and after.link is not None:
        notes = [f"link to {without_hashes(after.link)}"]
    text = change_of_text(before.text or "", after.text or "")
    if text != NOTHING and sounds_secret(path.rpartition("/")[2]):
        text = TextChange((), text.follows, "may be a secret, by its name")
    text = TextChange(text.lines, tuple(sorted({*text.follows, *follows})), text.hidden)
    return FileChange(path, _kind(old, new), tuple(notes), text)


def _file_notes(old: File, new: File) -> tuple[list[str], set[str]]:
    """What differs but the text; and, for a link whose target has only another hash, the target's name."""
    before, after = old.traits, new.traits
    notes = [f"{name} {before.get(name)} → {trait}" for name, trait in after.items() if before.get(name) != trait]
    if old.link == new.link:
        return notes, set()
    if old.link and new.link and without_hashes(old.link) == without_hashes(new.link):
        return notes, {store_name(new.link)}
    return [*notes, f"link {_target(old.link)} → {_target(new.link)}"], set()


def _kind(old: object | None, new: object | None) -> Kind:
    return "added" if old is None else "removed" if new is None else "changed"


def _target(link: str | None) -> str:
    return "(none)" if link is None else without_hashes(link)


def _paired(old: Mapping[str, T], new: Mapping[str, T]) -> list[tuple[str, T | None, T | None]]:
    return [(name, old.get(name), new.get(name)) for name in sorted({*old, *new})]
