"""From a configuration to its plan: locked, evaluated and built as publishing would, but only the store is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from invar.aws.blocks import block_map
from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.engines.choice import Engines
from invar.engines.native import NativeEngine, requests_of
from invar.engines.project import Project
from invar.fleet.comparison import blocks_of, compare
from invar.fleet.plan import Plan
from invar.fleet.subjects import Subject, evaluated_subject, image_subject, nix_subject

if TYPE_CHECKING:
    from invar.aws.client import Cloud


def plan_project(
    place: str, engines: Engines, report: Report, *, cloud: Cloud | None, regions: Sequence[str], build: bool
) -> Plan:
    """The plan of a configuration for a cloud's regions; `cloud` None: against the last build on this machine.

    A lock that does not exist, or does not fit the configuration, is made in memory; then, as without `build`, there is
    no image. What Nix is to build is always built. Raises InvarError.
    """
    store = engines.native.store
    if engines.of(place) == "nix":
        before = _subject(engines.open_nix().last_build(place, engines.attribute), report)
        new = _built_by_nix(place, engines, report, build=build)
    else:
        project = engines.native.project(place)
        before = _subject(engines.native.last_build(project), report)
        new = _planned(place, project, engines.native, report, build=build)
    if cloud is None:
        return Plan(new, None if before is None else compare(before, new, store, report), None)
    from invar.fleet.plan_regions import plan_regions
    from invar.fleet.publish import Destination

    return plan_regions(cloud, new, Destination(regions), store, report)


def _built_by_nix(place: str, engines: Engines, report: Report, *, build: bool) -> Subject:
    if not build:
        raise InvarError(
            "--no-build is of the native engine",
            why="which packages an image of Nix has is only known when it is built",
            exit_code=ExitCode.USAGE,
        )
    found = nix_subject(place, place, engines)
    return replace(found, blocks=blocks_of(found, engines.native.store, report))


def _planned(label: str, project: Project, engine: NativeEngine, report: Report, *, build: bool) -> Subject:
    """What the configuration is now, built if it can be."""
    found = evaluated_subject(label, project, engine)
    assert found.system is not None
    wanted = requests_of(found.system)
    if found.lock is None or tuple(sorted(wanted)) != tuple(sorted(found.lock.requests)):
        report.note(f"{project.lock.name} does not fit the configuration: planned with a new one, nothing is built")
        return replace(found, lock=engine.lock(project, dry_run=True).lock)
    if not build:
        return found
    built = engine.build(project, "amazon", remember=False)
    blocks = block_map(engine.store, built.image.key, built.artifact.file, report)
    return replace(found, system_digest=built.image.system_digest, blocks=blocks)


def _subject(directory: Path | None, report: Report) -> Subject | None:
    """The last build, by the directory that it lies in."""
    if directory is None:
        return None
    try:
        return image_subject("the last build", directory)
    except InvarError as error:
        report.warn(f"the last build cannot be compared with: {error.what}")
        return None
