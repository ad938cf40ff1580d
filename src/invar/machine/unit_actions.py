"""What a switch does to units, decided from both systems' unit files and from what runs: nothing is touched here.

The rules are those of NixOS's switch-to-configuration: X-RestartIfChanged, X-ReloadIfChanged, X-StopIfChanged,
X-NotSocketActivated, X-StopOnRemoval, X-OnlyManualStart, X-Restart-Triggers and X-Reload-Triggers in unit files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal

from invar.machine.unit_files import UnitFile, UnitFiles

Difference = Literal["none", "reload", "restart"]

_WITHOUT_EFFECT = frozenset(
    {
        "AllowIsolate",
        "CollectMode",
        "Description",
        "Documentation",
        "IgnoreOnIsolate",
        "OnFailure",
        "OnFailureJobMode",
        "OnSuccess",
        "OnSuccessJobMode",
        "RefuseManualStart",
        "RefuseManualStop",
        "SourcePath",
        "StopWhenUnneeded",
        "X-Reload-Triggers",
    }
)
"""Directives of [Unit] that a running unit takes up by daemon-reload alone."""

_SWITCH_KEYS = ("X-RestartIfChanged", "X-ReloadIfChanged", "X-StopIfChanged", "X-NotSocketActivated", "X-StopOnRemoval")
_NOT_STARTED = (".scope", ".device")
_NEVER_RESTARTED = (".path", ".slice", ".target", ".scope", ".device", ".swap")


@dataclass(frozen=True, slots=True)
class UnitActions:
    """Unit names, sorted. In this order: `stop` (under the old system), then under the new one `reload`, `restart`,
    `start`, `stopped_with`. The last are stopped by systemd along with `stop`, on which they depend (local-fs.target on
    a mount), and are started again. `skipped` have changed and are left alone, because their unit files say so."""

    stop: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    stopped_with: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def none(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.stop or self.reload or self.restart or self.start)


def plan_units(
    old: UnitFiles,
    new: UnitFiles,
    running: Collection[str],
    packaged: Callable[[str], bool],
    dependents: Callable[[Collection[str]], Collection[str]],
) -> UnitActions:
    """The actions that take a machine from `old` to `new`.

    `running` are the units that are active (or becoming so) now; `packaged` tells whether the packages layer, the same
    before and after, has a unit of a name; `dependents` are the units that a stop of others stops too.
    """
    stop: set[str] = set()
    reload: set[str] = set()
    restart: set[str] = set()
    start: set[str] = set()
    skipped: set[str] = set()
    for name in running:
        before, after = old.of(name), new.of(name)
        if before == after:
            continue
        if (after is not None and after.masked) or (after is None and not packaged(name)):
            if (before or UnitFile()).flag("Unit", "X-StopOnRemoval", True):
                stop.add(name)
            continue
        change = difference(before or UnitFile(), after or UnitFile())
        if change == "none":
            continue
        settled = after or UnitFile()
        if change == "reload" or (name.endswith(".mount") and not _mounts_another(before, after)):
            reload.add(name)
        elif name.endswith(_NEVER_RESTARTED):
            continue
        elif settled.flag("Service", "X-ReloadIfChanged", False):
            reload.add(name)
        elif (
            not settled.flag("Service", "X-RestartIfChanged", True)
            or settled.flag("Unit", "RefuseManualStop", False)
            or settled.flag("Unit", "X-OnlyManualStart", False)
        ):
            skipped.add(name)
        elif not name.endswith(".service") or not settled.flag("Service", "X-StopIfChanged", True):
            restart.add(name)
        else:
            stop.add(name)
            sockets = [] if settled.flag("Service", "X-NotSocketActivated", False) else _sockets(name, settled, running)
            stop.update(sockets)
            start.update(sockets or [name])
    start |= _newly_held(old, new, running, packaged) - reload - restart - skipped
    again = {name for name in dependents(stop) if name in running and _exists(name, new, packaged)} if stop else set()
    again = {name for name in again - stop - start if not name.endswith(_NOT_STARTED)}
    names = (stop, reload - again, restart - again, start, again, skipped - again)
    return UnitActions(*(tuple(sorted(some)) for some in names))


def _mounts_another(before: UnitFile | None, after: UnitFile | None) -> bool:
    """Whether a mount is of something else now: other options it takes up by a remount, another device not."""
    old, new = ((unit or UnitFile()).sections().get("Mount", {}) for unit in (before, after))
    return any(old.get(key) != new.get(key) for key in ("What", "Type"))


def difference(before: UnitFile, after: UnitFile) -> Difference:
    """What a running unit needs in order to be as `after` says."""
    if before == after:
        return "none"
    if before.masked or before.link != after.link:
        return "restart"
    found: Difference = "none"
    old, new = before.sections(), after.sections()
    for section in {*old, *new} - {"Install"}:
        for key in {*old.get(section, {}), *new.get(section, {})}:
            if old.get(section, {}).get(key, ()) == new.get(section, {}).get(key, ()):
                continue
            if section == "Unit" and key == "X-Reload-Triggers":
                found = "reload"
            elif (section != "Unit" or key not in _WITHOUT_EFFECT) and not key.startswith(_SWITCH_KEYS):
                return "restart"
    return found


def reversed_actions(done: UnitActions, planned_back: UnitActions) -> UnitActions:
    """The way back of a switch that stopped half-way: what is planned, and whatever the way there had stopped."""
    lost = {*done.stop, *done.restart} - {*planned_back.restart}
    again = {*done.stopped_with, *planned_back.stopped_with} - {*planned_back.restart}
    return replace(
        planned_back,
        start=tuple(sorted({*planned_back.start, *lost} - again)),
        stopped_with=tuple(sorted(again)),
    )


def _sockets(name: str, unit: UnitFile, running: Collection[str]) -> list[str]:
    """The running sockets that start a service: those that it names, else the one of its own name."""
    named = unit.sections().get("Service", {}).get("Sockets", ())
    wanted = " ".join(named).split() or [name.removesuffix(".service") + ".socket"]
    return [socket for socket in wanted if socket in running]


def _newly_held(old: UnitFiles, new: UnitFiles, running: Collection[str], packaged: Callable[[str], bool]) -> set[str]:
    """The units that something which runs pulls in and did not pull in before, or that were masked before."""
    found = set()
    for holder, held in new.holds.items():
        if holder not in running:
            continue
        for name in held:
            before = old.of(name)
            was_there = name in old.holds.get(holder, ()) and not (before is not None and before.masked)
            if _exists(name, new, packaged) and not was_there and name not in running:
                found.add(name)
    return found


def _exists(name: str, system: UnitFiles, packaged: Callable[[str], bool]) -> bool:
    """Whether a system has a unit that can be started."""
    unit = system.of(name)
    return not unit.masked if unit is not None else packaged(name)
