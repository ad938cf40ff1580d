"""The native engine: configuration + lock → System → layers → Image, out of Debian packages, in Python alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from invar.core.canonical import digest
from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.debian.lock import Lock, check_requests, read_lock, write_lock
from invar.engines.native_results import Built, Locked
from invar.engines.project import Project
from invar.flakes.place import flake_at
from invar.flakes.settings import Settings
from invar.nix.fetching import DeferredFetcher, Fetcher
from invar.nixos.configuration import Configuration
from invar.nixos.names import EmptyUniverse, Universe
from invar.store.objects import Store
from invar.system.evaluate import Evaluation, evaluate, evaluate_value, option_value, settings

if TYPE_CHECKING:  # evaluation alone needs none of this, and loading it takes as long as evaluating
    from invar.debian.mirrors import Mirrors
    from invar.flakes.flake import Flake
    from invar.image.cache_export import Exported, Signer
    from invar.image.erofs import File
    from invar.image.layer import PackagesLayer
    from invar.image.tools import Tools
    from invar.system.record import System

ARCHITECTURE = "amd64"
AMAZON = "amazon"
EC2_FORMATS = {"raw": AMAZON, "qcow2": "qcow2", "vpc": "azure"}
"""`amazonImage.format` → the format's name here."""
LAST_BUILD = "last-build"
"""The kind of the store's records of which image was built last, by the configuration's path."""


@dataclass(frozen=True, slots=True)
class LockedUniverse:
    """A lock as the module library sees it: versions and hashes of what is locked."""

    lock: Lock

    def version(self, name: str) -> str | None:
        """The locked version of a Debian package."""
        return self.lock.version(name)

    def digest(self, name: str) -> str | None:
        """The SHA-256 of a locked .deb."""
        return self.lock.sha256(name)


class NativeEngine:
    """Everything that one user's native builds share: store, mirrors, report."""

    def __init__(
        self,
        home: Home,
        report: Report,
        *,
        mirrors: tuple[str, ...] = (),
        environment: Mapping[str, str],
        show_trace: bool = False,
        offline: bool = False,
        impure: bool = False,
        override_inputs: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.report = report
        self.store = Store(
            home.store, remove=_remove, on_wait=lambda what: report.note(f"another invar makes {what}: waiting")
        )
        self._mirror_options = mirrors
        self._environment = environment
        self._show_trace = show_trace

        def fetchers() -> Fetcher:
            from invar.store.fetchers import Fetchers  # loads HTTP, which few evaluations need

            return Fetchers(self.store, home.cache, report, environment, offline=offline)

        self.fetcher: Fetcher = DeferredFetcher(fetchers)
        self.flakes = Settings(
            cache_dir=home.code,
            fetcher=self.fetcher,
            overrides=override_inputs or {},
            impure=impure,
            show_trace=show_trace,
            environment=environment,
        )
        """How flakes are read."""

    def project(self, place: Path | str) -> Project:
        """The configuration at a directory, a .nix file, or a flake's output (DIR#NAME). Raises InvarError."""
        return Project.at(place, self.flakes, self.report)

    def flake(
        self, place: Path | str, *, update: frozenset[tuple[str, ...]] | None = frozenset(), write: bool = True
    ) -> Flake:
        """The flake at a place, its inputs locked; those of `update` (None: all) anew. Raises InvarError.

        Without `write`, flake.lock stays as it is.
        """
        from invar.flakes.flake import open_flake

        reference = flake_at(str(place))
        if reference is None:
            raise InvarError(
                f"{place or '.'} is no flake", hint="a flake is a directory with a flake.nix", exit_code=ExitCode.USAGE
            )
        return open_flake(reference, replace(self.flakes, write=write), self.report, update=update)

    def universe_of(self, lock: Path) -> Universe:
        """The packages of a lock, as evaluation sees them."""
        return LockedUniverse(read_lock(lock))

    def evaluate(self, project: Project) -> Evaluation:
        """The configuration under its lock; without a lock, versions and store paths of packages are unknown."""
        return self._evaluate(project, self._universe(project))

    def put_in_cache(self, project: Project, built: Built, directory: Path, sign: Signer | None = None) -> Exported:
        """Put what was built of a project into the build cache at a directory. Raises InvarError.

        Instances ask a cache by configuration as well: by the digest of what it evaluates to without a lock. `sign`
        signs the answer.
        """
        from invar.image.cache_export import export_to_cache
        from invar.store.build_cache import BuildCache

        asked = self._evaluate(project, EmptyUniverse()).system.spec_digest
        return export_to_cache(built.image, asked, BuildCache(directory), sign, self.report)

    def value(self, project: Project, show: Callable[[Configuration], str]) -> str:
        """What `show` makes of the evaluated configuration, as text."""
        if project.target is not None:
            return project.target.value(self._universe(project), self.report, show)
        return evaluate_value(
            project.configuration,
            self._universe(project),
            self.report,
            show,
            cache_dir=self.home.code,
            show_trace=self._show_trace,
            fetcher=self.fetcher,
        )

    def lock(self, project: Project, *, update: bool = False, dry_run: bool = False) -> Locked:
        """Make the lock agree with the configuration and write it if it changed.

        What is locked stays, unless `update` moves everything to the archive's newest.
        """
        from invar.debian.changes import diff_locks
        from invar.debian.resolve import make_lock, open_universe  # loads OpenPGP and HTTP, of use here only
        from invar.image.tools import tool_requests

        existing = next((path for path in (project.lock, project.seed) if path is not None and path.exists()), None)
        previous = read_lock(existing) if existing is not None else None
        mirrors = self._mirrors(previous)
        now = datetime.now(UTC)
        pinned = None if update else previous
        universe = open_universe(mirrors, self.store, self.report, now=now, previous=pinned, architecture=ARCHITECTURE)
        evaluation = self._evaluate(project, universe)
        lock = make_lock(
            requests_of(evaluation.system),
            tool_requests(ARCHITECTURE),
            mirrors,
            self.store,
            self.report,
            origins=evaluation.system.origins,
            now=now,
            previous=previous,
            update=update,
            architecture=ARCHITECTURE,
            universe=universe,
        )
        differs = lock != previous or not project.lock.exists()
        if differs and not dry_run:
            project.check_writable()
            write_lock(lock, project.lock)
        return Locked(lock, tuple(diff_locks(previous, lock)), differs)

    def image(self, place: str) -> Built:
        """The image of a configuration, a file or a flake's output, for EC2."""
        return self.build(self.project(place), "amazon")

    def build(self, project: Project, *formats: str, remember: bool = True) -> Built:
        """The image of a configuration in one format or several. A configuration without a lock gets one first.

        Without a format it is what the flake's output is, and of an EC2 image what `amazonImage.format` says.
        With `remember` it is what `last_build` gives from then on.
        """
        from invar.engines.evidence import inputs_of, make_documents
        from invar.engines.repository import revision_of
        from invar.image.assemble import assemble
        from invar.image.config_layer import build_config_layer
        from invar.image.documents import BuildRecord, attach
        from invar.image.formats import export, find_format
        from invar.image.packages_layer import build_packages_layer
        from invar.image.tools import realise_tools, tool_requests

        asked = [find_format(name).name for name in formats]
        if not project.lock.exists():
            seeded = project.seed is not None and project.seed.exists()
            what = f"starting from {project.seed}" if seeded else "locking the newest packages of the archive"
            self.report.note(f"no {project.lock.name} yet: {what}")
            self.lock(project)
        lock = read_lock(project.lock)
        evaluation = self._evaluate(project, LockedUniverse(lock))
        system = evaluation.system
        names = tuple(dict.fromkeys(asked or [_own_format(project, evaluation)]))
        check_requests(lock, requests_of(system), system.origins, tool_requests(ARCHITECTURE), where=str(project.lock))
        mirrors = self._mirrors(lock)
        tools = realise_tools(lock, self.store, mirrors, self.report)
        packages = build_packages_layer(
            lock, self.store, tools, mirrors, self.report, path_excludes=system.path_excludes
        )
        extra = self._files_for_instance(evaluation, packages, lock, mirrors)
        config = build_config_layer(system, packages, lock.epoch, self.store, self.report, extra=extra)
        image = assemble(system, packages, config, lock.epoch, tools, self.store, self.report)
        artifacts = tuple(export(image, name, lock.digest, tools, self.store, self.report) for name in names)
        record = BuildRecord(system, lock, settings(evaluation))
        files = evaluation.configuration.files_below(project.directory)
        revision = revision_of(project.directory, [*files, project.lock])
        inputs = inputs_of(project, files, revision)
        with self.report.stage("documents") as stage:
            documents = make_documents(image, record, inputs, tools, self.store, mirrors, self.report)
            written = [attach(artifact.directory, documents) for artifact in artifacts]
            stage.cached = not any(written)
        if remember:
            self.store.put_record(LAST_BUILD, _place_key(project), {"directory": str(artifacts[0].directory)})
        return Built(image, artifacts, system, lock, tools, record, revision)

    def last_build(self, project: Project) -> Path | None:
        """The directory of the image that was built of this configuration last, if it is still in the store."""
        known = self.store.find_record(LAST_BUILD, _place_key(project))
        directory = Path(known["directory"]) if known else None
        return directory if directory is not None and directory.is_dir() else None

    def tools(self, lock: Lock) -> Tools:
        """The lock's tools layer, for running machines."""
        from invar.image.tools import realise_tools

        return realise_tools(lock, self.store, self._mirrors(lock), self.report)

    def own_tools(self) -> Tools:
        """Tools for image files that come without a lock: pinned once for this user, by `tools.lock` in the home."""
        from invar.debian.resolve import make_lock
        from invar.image.tools import tool_requests

        path = self.home.root / "tools.lock"
        if path.exists():
            return self.tools(read_lock(path))
        lock = make_lock(
            (),
            tool_requests(ARCHITECTURE),
            self._mirrors(None),
            self.store,
            self.report,
            origins={},
            now=datetime.now(UTC),
            architecture=ARCHITECTURE,
        )
        write_lock(lock, path)
        return self.tools(lock)

    def _universe(self, project: Project) -> Universe:
        return LockedUniverse(read_lock(project.lock)) if project.lock.exists() else EmptyUniverse()

    def _evaluate(self, project: Project, universe: Universe) -> Evaluation:
        if project.target is not None:
            return project.target.evaluate(universe, self.report)
        return evaluate(
            project.configuration,
            universe,
            self.report,
            cache_dir=self.home.code,
            show_trace=self._show_trace,
            fetcher=self.fetcher,
        )

    def _files_for_instance(
        self, evaluation: Evaluation, packages: PackagesLayer, lock: Lock, mirrors: Mirrors
    ) -> dict[str, File]:
        """What goes into the config layer so that instances can evaluate and switch by themselves, if they are to.

        Of a flake the modules go along, the flake itself does not: what an instance evaluates is a configuration.
        """
        from invar.image.compiled_code import compiled_code
        from invar.image.instance_files import ImageRecord, instance_files, own_code

        system, configuration = evaluation.system, evaluation.configuration
        if not system.machine:
            return {}
        universe = {name: (package.version, package.sha256) for name, package in lock.packages.items()}
        files = configuration.files()
        entry = configuration.source.name
        if entry == "flake.nix":
            del files[entry]
            entry = "configuration.nix"
        code = own_code()
        compiled = compiled_code(code, lock, self.store, mirrors, self.report)
        record = ImageRecord(system, packages, universe, lock.epoch, entry)
        return instance_files(record, files, {**code, **compiled})

    def _mirrors(self, lock: Lock | None) -> Mirrors:
        from invar.debian.mirrors import find_mirrors

        return find_mirrors(
            option=self._mirror_options, environment=self._environment, locked=lock.mirrors if lock else ()
        )


def _remove(path: Path) -> None:
    from invar.sandbox.removal import remove_tree

    remove_tree(path)


def _own_format(project: Project, evaluation: Evaluation) -> str:
    """The format of an image for which none was asked."""
    from invar.image.formats import find_format

    if project.format not in (None, AMAZON):
        return find_format(str(project.format)).name
    return EC2_FORMATS.get(str(option_value(evaluation, "amazonImage.format")), AMAZON)


def _place_key(project: Project) -> str:
    return digest([str(project.configuration), str(project.lock)])


def requests_of(system: System) -> tuple[str, ...]:
    """The Debian packages that an image of the system is made of, before their dependencies."""
    return tuple(sorted({*system.packages, system.kernel_package}))
