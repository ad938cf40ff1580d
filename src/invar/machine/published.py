"""Published systems on this machine: by digest, or as what a configuration was last built to elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.image.instance_files import RECORD, ImageRecord
from invar.image.publication import is_digest
from invar.machine import generations, state
from invar.machine.activation import find_way, layer_view
from invar.machine.boot_target import BootFiles
from invar.machine.cache_source import Broken, Source
from invar.machine.fetch import fetch, find_configuration, find_publication
from invar.machine.generations import Generation
from invar.machine.instance import read_instance
from invar.machine.layer_source import image_of
from invar.machine.prepare import OtherImage
from invar.machine.settings import read_settings
from invar.machine.target import Target
from invar.system.user_data import PublicKey


def by_digest(digest: str, caches: Sequence[str], started: Generation, report: Report) -> Generation | Target:
    """The generation of a system digest that the machine has, or what is to be one, fetched whole from a cache.

    `caches` are asked first, then those of the configuration. Raises InvarError when nobody has it, or it is altered.
    """
    if not is_digest(digest):
        raise InvarError(f"{digest!r} is no system digest", hint="64 hex digits", exit_code=ExitCode.USAGE)
    known = generations.read_all()
    found = generations.by_digest(known, digest)
    if found is not None and found.bootable:
        return found
    return _fetched(digest, _sources(caches, report), started, known, report)


def by_configuration(
    configuration: Path, started: Generation, refusal: OtherImage, report: Report
) -> Generation | Target:
    """The system that a configuration was last built to, by the caches that the active configuration names.

    The configuration is told apart by what it evaluates to without a lock. Raises the refusal when no cache knows it.
    """
    from invar.nixos.names import EmptyUniverse
    from invar.system.evaluate import evaluate

    caches = read_settings().caches
    if not caches:
        raise refusal
    sources = _sources((), report)
    evaluation = evaluate(configuration, EmptyUniverse(), report, cache_dir=state.CODE_CACHE)
    asked = evaluation.system.spec_digest
    trusted = [PublicKey.parse(key) for key in read_instance().trusted_keys]
    digest = find_configuration(asked, sources, trusted, report)
    if digest is None:
        refusal.why = f"nor do the build caches ({', '.join(caches)}) tell of a system of configuration {asked[:12]}"
        raise refusal
    report.note(f"configuration {asked[:12]} was built to system {digest[:12]}")
    known = generations.read_all()
    found = generations.by_digest(known, digest)
    return found if found is not None and found.bootable else _fetched(digest, sources, started, known, report)


def _sources(caches: Sequence[str], report: Report) -> list[Source]:
    """The caches that can be asked; why another cannot is told."""
    from invar.machine.cache_address import source_of

    found = []
    settings = read_settings()
    for address in dict.fromkeys((*caches, *settings.caches)):
        try:
            found.append(source_of(address, s3_endpoint=settings.s3_endpoint))
        except Broken as error:
            report.warn(f"{address}: {error}")
    return found


def _fetched(
    digest: str, sources: Sequence[Source], started: Generation, known: tuple[Generation, ...], report: Report
) -> Target:
    publication, source = find_publication(digest, sources)
    fetched = fetch(publication, source, started, known, report)
    with layer_view(fetched.config, image_of(fetched.config)) as view:
        record = _record(view.root, digest)
    if record.packages.layer.root_hash != fetched.packages.root_hash:
        raise InvarError(f"system {digest[:12]} names one packages layer, and its record another")
    generation = Generation(
        number=generations.next_number(known),
        digest=digest,
        spec_digest=record.system.spec_digest,
        packages=fetched.packages,
        config=fetched.config,
        cmdline=publication.cmdline,
        kernel_version=record.packages.kernel_version,
        kernel_sha256=publication.kernel.sha256,
        initrd_sha256=publication.initrd.sha256,
        created=generations.now(),
        origin="published",
        state="new",
        bootable=False,
    )
    return Target(
        generation,
        record.system.checks,
        find_way(generation, started),
        boot_files=BootFiles(fetched.kernel, fetched.initrd),
    )


def _record(root: Path, digest: str) -> ImageRecord:
    if not (root / RECORD).exists():
        raise InvarError(
            f"system {digest[:12]} has no Invar in it",
            why="invar.machine.enable is false there: nothing could judge it, or switch back",
            hint="start a new instance from its image",
        )
    return state.read_record(root / RECORD)
