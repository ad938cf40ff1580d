"""From a configuration to a system that this machine can switch to: evaluated, its layer made, its digest known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.image.cmdline import command_line, system_digest
from invar.image.config_layer import LayerBytes, make_config_layer
from invar.image.instance_files import ImageRecord, installed_code, instance_files
from invar.machine import state
from invar.machine.generations import Generation, LayerRecord
from invar.system.record import System


@dataclass(frozen=True, slots=True)
class Prepared:
    """A system over this machine's packages layer, and its config layer in memory. `cmdline` is without the digest."""

    system: System
    digest: str
    cmdline: str
    layer: LayerRecord
    content: bytes


class OtherImage(InvarError):
    """A system that this machine's packages layer or initrd is not enough for: another image's."""


def prepare(configuration: Path, record: ImageRecord, booted: Generation, report: Report) -> Prepared:
    """Evaluate a configuration against what is in the image, and make its config layer.

    Raises InvarError for what is wrong in it, OtherImage for what needs another packages layer or initrd.
    """
    from invar.system.evaluate import evaluate  # only where something is evaluated: a rollback starts sooner

    evaluation = evaluate(configuration, record, report, cache_dir=state.CODE_CACHE)
    system = evaluation.system
    refuse_other_image(system, record, str(evaluation.configuration.source))
    with report.stage("config layer"):
        entry = evaluation.configuration.source.name
        renewed = ImageRecord(system, record.packages, record.universe, record.epoch, entry)
        files = instance_files(renewed, evaluation.configuration.files(), installed_code())
        made = make_config_layer(system, record.packages, record.epoch, files)
    layer = made.at(state.LAYERS)
    line = command_line(system.kernel_params, record.packages.layer, layer)
    digest = system_digest(
        line,
        packages=record.packages.layer,
        config=layer,
        kernel_sha256=booted.kernel_sha256,
        initrd_sha256=booted.initrd_sha256,
    )
    return Prepared(system, digest, line, _record(made), made.content)


def refuse_other_image(system: System, record: ImageRecord, where: str) -> None:
    """Raise InvarError when the system has no Invar, OtherImage when it needs another packages layer or initrd."""
    if not system.machine:
        raise InvarError(
            "this configuration takes Invar off the machine",
            where=where,
            why="invar.machine.enable is false: nothing could switch back",
            hint='import "${modulesPath}/virtualisation/amazon-image.nix", or set invar.machine.enable = true',
        )
    missing = sorted({*system.packages, system.kernel_package} - set(record.packages.packages))
    if missing:
        raise OtherImage(
            f"this configuration needs packages that are not in this machine's image: {', '.join(missing)}",
            where=where,
            hint="`invar cache export` it to where this machine looks (invar.cache.url), or start anew from its image",
        )
    if set(system.path_excludes) != set(record.system.path_excludes):
        raise OtherImage(
            "this configuration leaves other files of packages out than this machine's image",
            where=where,
            why="invar.pathExcludes differs",
            hint="build an image of it",
        )
    modules = sorted(set(system.initrd_modules) ^ set(record.system.initrd_modules))
    if modules:
        raise OtherImage(
            f"this configuration needs another initrd: {', '.join(modules)}",
            where=where,
            hint="modules that are not needed to find the disk go into boot.kernelModules; else build an image of it",
        )


def _record(made: LayerBytes) -> LayerRecord:
    layer = made.at(state.LAYERS)
    return LayerRecord("config", layer.root_hash, layer.salt, layer.data_blocks, layer.total_blocks)
