"""What `builtins.getFlake` asks: the value of any flake, in the evaluation that asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.flakes.inputs import Sources
from invar.flakes.lockfile import LOCK_FILE, read_lock_file
from invar.flakes.locking import Locker, Place, Wishes
from invar.flakes.manifest import Manifest
from invar.flakes.outputs import Outputs
from invar.flakes.provided import library_prefix, provided_object
from invar.flakes.registry import registry_files
from invar.nix import Evaluator, NixError, Value, force
from invar.nix.errors import NixRestricted
from invar.nix.fetching import FetchedFile, FetchedTree, Fetcher, TreeAttributes, is_locked
from invar.nix.input_urls import format_input
from invar.nixos.library import add_library
from invar.nixos.names import EmptyUniverse
from invar.nixos.places import LIBRARY


class LockedOnly:
    """A fetcher that fetches what is locked, and refuses what may be another tree tomorrow."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def file(self, url: str, sha256: bytes | None) -> FetchedFile:
        """As the fetcher behind it."""
        return self._fetcher.file(url, sha256)

    def tree(self, attributes: TreeAttributes) -> FetchedTree:
        """As the fetcher behind it. Raises NixRestricted."""
        if not is_locked(attributes):
            raise NixRestricted(
                f"cannot update unlocked flake input '{format_input(attributes)}' in pure mode",
                hint="Commit the flake's flake.lock, or evaluate with --impure.",
            )
        return self._fetcher.tree(attributes)


class FlakeGetter:
    """Reads flakes for evaluators. Their flake.lock stays as it is; what it lacks is locked for this evaluation."""

    def __init__(self, report: Report, environment: Mapping[str, str]) -> None:
        self._report = report
        self._registries = registry_files(environment)

    def __call__(self, evaluator: Evaluator, reference: TreeAttributes) -> Value:
        """The value of the flake at a reference. Raises NixError."""
        may_change = evaluator.fetch_unlocked and not evaluator.pure
        fetcher: Fetcher = evaluator.fetcher if may_change else LockedOnly(evaluator.fetcher)
        sources = Sources(self._report, fetcher, self._registries)
        if "invarModules" not in evaluator.builtins:
            evaluator.allow(str(LIBRARY))
            evaluator.store_objects[library_prefix()] = provided_object("nixpkgs")
            add_library(evaluator, EmptyUniverse(), lib=f"{library_prefix()}/lib")
        try:
            path = str(reference.get("path", ""))
            if path.startswith(f"{evaluator.store_dir}/"):  # a part of what this evaluation reads already
                reference = {**reference, "path": evaluator.place(path)}
            return self._value(evaluator, sources, reference)
        except InvarError as error:
            raise NixError("\n".join(filter(None, (error.what, error.why))), hint=error.hint) from error

    def _value(self, evaluator: Evaluator, sources: Sources, reference: Mapping[str, Any]) -> Value:
        place = Place(sources.get(reference), str(reference.get("dir", "")))

        def manifest_of(where: Place) -> Manifest:
            return outputs.manifest_of(where)

        locker = Locker(sources, Wishes(), manifest_of)
        outputs = Outputs(evaluator, locker, place, {})
        manifest = outputs.manifest_of(place)
        inputs = locker.lock(place, manifest, read_lock_file(place.real / LOCK_FILE))
        return force(Outputs(evaluator, locker, place, inputs).value())
