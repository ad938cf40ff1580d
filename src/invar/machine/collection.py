"""Which generations and layers may go; what can be booted has its layers at every moment, whenever the power is cut."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import ExitCode, InvarError
from invar.machine import active, boot_entries, generations, state
from invar.machine.fetch import DOWNLOADS
from invar.machine.generations import Generation


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which generations to delete: these numbers, and all but the newest `keep` (None: no others)."""

    numbers: frozenset[int]
    keep: int | None


@dataclass(frozen=True, slots=True)
class Doomed:
    """What is deleted, or would be: generations by number, layers and other files by name. `bytes` are the files'."""

    generations: tuple[int, ...] = ()
    layers: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    bytes: int = 0


def protected(known: tuple[Generation, ...], booted: int, running: int, started: int = 0) -> frozenset[int]:
    """The generations that stay whatever happens: booted, started, active, and the newest good one."""
    good = [one.number for one in known if one.state == "good"]
    return frozenset({booted, running, started or booted, *good[-1:]})


def doomed_generations(
    known: tuple[Generation, ...], wanted: Wanted, booted: int, running: int, started: int = 0
) -> tuple[Generation, ...]:
    """The generations that go. Raises InvarError when one was named that must stay, or does not exist."""
    stay = protected(known, booted, running, started)
    for number in sorted(wanted.numbers):
        generations.by_number(known, number)
        if number in stay:
            in_use = {booted: "is booted", started: "is what this machine was started with", running: "is active"}
            why = in_use.get(number, "is the last good one")
            raise InvarError(f"generation {number} {why}", exit_code=ExitCode.USAGE)
    newest = {one.number for one in known[len(known) - wanted.keep :]} if wanted.keep is not None else None
    return tuple(
        one
        for one in known
        if one.number not in stay
        and (one.number in wanted.numbers or (newest is not None and one.number not in newest))
    )


def failed_generations(
    known: tuple[Generation, ...], booted: int, running: int, started: int = 0
) -> tuple[Generation, ...]:
    """Those that `gc` takes along: failed, or never got as far as a boot entry."""
    stay = protected(known, booted, running, started)
    return tuple(
        one
        for one in known
        if one.number not in stay and (one.state == "failed" or (one.state == "new" and not one.bootable))
    )


def doomed_layers(kept: Collection[Generation], names: Collection[str]) -> tuple[str, ...]:
    """The layer files that no generation has."""
    used = {layer.file_name for one in kept for layer in (one.packages, one.config)}
    return tuple(sorted(set(names) - used))


def delete(wanted: Wanted, *, dry_run: bool) -> Doomed:
    """Delete generations and then the layers that were theirs alone. Raises InvarError."""
    with state.exclusively("invar delete-generations"):
        known = generations.read_all()
        now = active.active()
        gone = doomed_generations(known, wanted, now.booted_generation, now.active_generation, now.started_generation)
        return _remove(known, gone, dry_run=dry_run)


def collect(*, dry_run: bool) -> Doomed:
    """Delete what nothing refers to."""
    with state.exclusively("invar gc"):
        known = generations.read_all()
        now = active.active()
        gone = failed_generations(known, now.booted_generation, now.active_generation, now.started_generation)
        return _remove(known, gone, dry_run=dry_run)


def _remove(known: tuple[Generation, ...], gone: tuple[Generation, ...], *, dry_run: bool) -> Doomed:
    """Boot entry first, then record, then layer: what can be booted has its layers at every moment."""
    kept = [one for one in known if one not in gone]
    names = [path.name for path in _layer_files() if not path.name.startswith(".")]
    layers = doomed_layers(kept, names)
    files = [state.LAYERS / name for name in layers] + _unfinished()
    with boot_entries.mounted_esp() as esp:
        numbers = {one.number for one in kept}
        entries = [entry for entry in boot_entries.read_entries(esp) if entry.number not in numbers] if esp else []
        unfinished = boot_entries.leftovers(esp) if esp else ()
        found = Doomed(
            generations=tuple(one.number for one in gone),
            layers=layers,
            leftovers=tuple(path.name for path in (*unfinished, *(entry.path for entry in entries)))
            + tuple(path.name for path in _unfinished()),
            bytes=sum(path.stat().st_size for path in (*files, *unfinished, *(entry.path for entry in entries))),
        )
        if dry_run:
            return found
        for entry in entries:
            boot_entries.remove(entry)
        for path in unfinished:
            path.unlink(missing_ok=True)
    for generation in gone:
        generations.forget(generation.number)
    for path in files:
        path.unlink(missing_ok=True)
    if files:
        state.sync_directory(state.LAYERS)
    return found


def _unfinished() -> list[Path]:
    """What interrupted switches and transfers left."""
    downloads = sorted(DOWNLOADS.iterdir()) if DOWNLOADS.is_dir() else []
    return [*(path for path in _layer_files() if path.name.startswith(".")), *downloads]


def _layer_files() -> list[Path]:
    return sorted(state.LAYERS.iterdir()) if state.LAYERS.is_dir() else []
