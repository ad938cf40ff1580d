"""What a place gives to publish, by whichever engine builds it; and the same again, to verify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.engines.choice import Engines
from invar.fleet.native import native_artifact
from invar.fleet.nix import nix_artifact
from invar.fleet.publish import Artifact
from invar.fleet.verify import Source

Sign = Callable[[bytes], bytes]


def build_artifact(
    place: str, engines: Engines, report: Report, sign: Sign | None = None, check: Callable[[], None] | None = None
) -> Artifact:
    """Build the image for EC2 that a place names. `sign` signs the provenance.

    `check` is called once the place is known to be one, before anything is built. Raises InvarError.
    """
    native = engines.native
    if engines.of(place) == "nix":
        if sign is not None:
            raise InvarError("--sign-key signs what the native engine's provenance says", exit_code=ExitCode.USAGE)
        if check is not None:
            check()
        return nix_artifact(engines.nix_image(place), place, engines.attribute, native.store, report)
    project = native.project(place)
    if check is not None:
        check()
    return native_artifact(native.build(project, "amazon"), project, native.store, report, sign)


def build_again(source: Source, engines: Engines, report: Report) -> Artifact:
    """What an image's tags name, built by the engine that built it. Raises InvarError."""
    chosen = replace(engines, option=source.engine, attribute=source.attribute if source.engine == "nix" else None)
    if source.engine == "native":
        project = engines.native.project(source.place)
        if not project.lock.exists():
            raise InvarError(
                "the image cannot be built again",
                where=source.place,
                why=f"the commit has no {project.lock.name}: which packages were taken is not recorded",
                hint="commit the lock, and publish again",
            )
    return build_artifact(source.place, chosen, report)
