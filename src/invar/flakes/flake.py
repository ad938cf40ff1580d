"""A flake, opened: found, read, its inputs locked, its outputs ready to be asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.flakes.get import FlakeGetter
from invar.flakes.inputs import Sources
from invar.flakes.lockfile import LOCK_FILE, Inputs, lock_text, read_lock_file
from invar.flakes.locking import Locker, Place, Wishes, unknown_updates
from invar.flakes.manifest import Manifest, input_reference
from invar.flakes.outputs import Outputs
from invar.flakes.place import git_root
from invar.flakes.provided import library_prefix, provided_object, provided_paths
from invar.flakes.registry import registry_files
from invar.flakes.settings import Settings
from invar.flakes.source import git, sources_of
from invar.flakes.universe import DeferredUniverse
from invar.nix import Evaluator, NixError, Thunk, with_big_stack
from invar.nix.features import FLAKES
from invar.nix.input_urls import format_input
from invar.nixos.library import add_library
from invar.nixos.objects import Objects
from invar.nixos.places import LIBRARY
from invar.system.faults import told

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flake:
    """A flake whose inputs are locked. `value` is evaluated on demand; errors become readable by `explained`.

    `lock_before` and `inputs` are flake.lock as it was and as it should be; `universe` is bound before versions of
    packages are asked for.
    """

    place: Place
    reference: Mapping[str, Any]
    manifest: Manifest
    lock_before: Inputs
    inputs: Inputs
    evaluator: Evaluator
    objects: Objects
    universe: DeferredUniverse
    outputs: Outputs
    settings: Settings

    @property
    def value(self) -> Thunk:
        """The flake's value."""
        return self.outputs.value()

    @property
    def editable(self) -> bool:
        """Whether it is a directory of the user's, beside whose flake.nix files may be written."""
        return self.place.source.editable

    @property
    def name(self) -> str:
        """Its reference as a URL."""
        return format_input(self.reference)

    @property
    def lock_path(self) -> Path:
        """Where its flake.lock is."""
        return self.place.real / LOCK_FILE

    @property
    def lock_differs(self) -> bool:
        """Whether flake.lock is not what it should be."""
        return lock_text(self.lock_before) != lock_text(self.inputs) and (
            self.lock_path.exists() or lock_text(self.inputs) != lock_text({})
        )

    def readable(self, text: str) -> str:
        """`text` with the user's own files in place of the store paths that the language sees."""
        return sources_of(text, self.outputs.places)

    def explained(self, work: Callable[[], T]) -> T:
        """`work()` on a deep stack, its errors told with the user's own files. Raises InvarError."""
        return explained(work, self.evaluator, self.outputs, self.settings)


def open_flake(
    reference: Mapping[str, Any],
    settings: Settings,
    report: Report,
    *,
    update: frozenset[tuple[str, ...]] | None = frozenset(),
) -> Flake:
    """Find a flake and lock its inputs. flake.lock is written when it has to change (and `settings.write`).

    `update` are inputs to lock anew, None for all. Raises InvarError.
    """
    sources = Sources(report, settings.fetcher, registry_files(settings.environment))
    universe = DeferredUniverse()
    evaluator = Evaluator(
        cache_dir=settings.cache_dir,
        pure=not settings.impure,
        allowed_roots=None if settings.impure else (LIBRARY,),
        on_trace=report.note,
        on_warn=report.warn,
        fetcher=settings.fetcher,
        features=(FLAKES,),
        flakes=FlakeGetter(report, settings.environment),
    )
    evaluator.store_objects[library_prefix()] = provided_object("nixpkgs")
    objects = add_library(evaluator, universe, lib=f"{library_prefix()}/lib")
    place = _place(reference, sources)
    overrides = {tuple(way.split("/")): _override(url) for way, url in settings.overrides.items()}
    wishes = Wishes(update, overrides)
    outputs: Outputs

    def manifest_of(where: Place) -> Manifest:
        return outputs.manifest_of(where)

    locker = Locker(sources, wishes, manifest_of)
    outputs = Outputs(evaluator, locker, place, {})

    def work() -> Flake:
        manifest = outputs.manifest_of(place)
        before = read_lock_file(place.real / LOCK_FILE)
        inputs = locker.lock(place, manifest, before)
        if update:
            _check_update(update, inputs)
        ready = Outputs(evaluator, locker, place, inputs)
        ready.places.update(outputs.places)
        return Flake(place, reference, manifest, before, inputs, evaluator, objects, universe, ready, settings)

    opened = explained(work, evaluator, outputs, settings)
    if settings.write and not overrides and opened.lock_differs and opened.editable:
        write_lock_file(opened, report)
        return open_flake(reference, settings, report)
    return opened


def write_lock_file(flake: Flake, report: Report) -> None:
    """Put flake.lock beside flake.nix, whole or not at all; git is told of a new one, as Nix does."""
    path = flake.lock_path
    fresh = not path.exists()
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_text(lock_text(flake.inputs), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise InvarError(
            f"cannot write {path}", why=error.strerror, hint="--no-write-lock-file uses the inputs without writing it"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    report.note(f"{'wrote' if fresh else 'updated'} {path}")
    root = git_root(flake.place.real)
    if fresh and root is not None and flake.reference["type"] == "git":
        git(root, "add", "--force", "--intent-to-add", "--", str(path))


def explained(work: Callable[[], T], evaluator: Evaluator, outputs: Outputs, settings: Settings) -> T:
    """`work()` on a deep stack. A fault of the language is raised as InvarError that names the user's own files."""

    def places(text: str | None) -> str | None:
        return None if text is None else sources_of(text, outputs.places)

    try:
        return with_big_stack(work)
    except NixError as error:
        made = told(error, evaluator.sources, show_trace=settings.show_trace, library=provided_paths())
        raise InvarError(
            places(made.what) or "", where=places(made.where), why=places(made.why), hint=places(made.hint)
        ) from error


def _place(reference: Mapping[str, Any], sources: Sources) -> Place:
    source = sources.get(reference)
    if reference["type"] == "path":
        source = replace(source, editable=True)
    return Place(source, str(reference.get("dir", "")))


def _override(url: str) -> dict[str, Any]:
    reference = input_reference(url)
    if reference["type"] == "path" and not str(reference["path"]).startswith("/"):
        reference["path"] = os.path.abspath(str(reference["path"]))  # noqa: PTH100
    return reference


def _check_update(update: frozenset[tuple[str, ...]], inputs: Inputs) -> None:
    missing = unknown_updates(update, inputs)
    if missing:
        raise InvarError(
            f"there is no input '{'/'.join(missing[0])}' to update",
            hint=f"inputs: {', '.join(sorted(inputs)) or 'none'}",
            exit_code=ExitCode.USAGE,
        )
