"""Switch to a configuration or a generation: prepared whole, activated, judged by its checks, or taken back."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.machine import active, boot_entries, generations, published, state
from invar.machine.activation import (
    Transition,
    View,
    activate,
    current_view,
    find_way,
    layer_view,
    plan_transition,
    settle,
)
from invar.machine.boot_target import boot_into, make_uki, room_for
from invar.machine.checks import run_checks
from invar.machine.generations import Generation, LayerRecord
from invar.machine.interrupts import Terminated, deaf, orderly
from invar.machine.layer_source import image_of, is_file
from invar.machine.prepare import OtherImage, Prepared, prepare
from invar.machine.settings import Settings, read_settings
from invar.machine.soft_reboot import soft_reboot
from invar.machine.target import Target
from invar.machine.unit_actions import UnitActions, reversed_actions
from invar.machine.way import Way
from invar.system.record import Check

Mode = Literal["switch", "test", "boot", "dry-run"]


@dataclass(frozen=True, slots=True)
class Switched:
    """What came of a switch.

    `generation` is 0 for a system without a number (test, dry-run). `active`: it runs now. `reboot`: it does from the
    next boot on. `way` is how the machine gets there. `files` are those below /etc that differ.
    """

    generation: int
    digest: str
    active: bool
    reboot: bool
    changes: UnitActions = field(default_factory=UnitActions)
    files: tuple[str, ...] = ()
    way: Way = "live"


def switch(configuration: Path, *, mode: Mode, report: Report) -> Switched:
    """Make a configuration (a .nix file, or a directory with configuration.nix) this machine's system.

    Where the result says `reboot` the caller asks for one, by `restart`. Raises InvarError when anything fails; then
    the generation that ran before runs on, and the boot entries are as they were.
    """
    with orderly(), state.exclusively(f"invar {mode}"), _refusing(mode):
        started = active.register_started()
        record = state.read_record()
        try:
            prepared = prepare(configuration, record, started, report)
        except OtherImage as refusal:
            found = published.by_configuration(configuration, started, refusal, report)
            return _switch_to_published(found, started, mode, report)
        known = generations.by_digest(generations.read_all(), prepared.digest)
        if mode == "dry-run":
            with _temporary(prepared) as image, layer_view(prepared.layer, image) as view:
                transition = plan_transition(view)
            number = known.number if known else active.UNNUMBERED
            return Switched(number, prepared.digest, False, False, transition.units, transition.files)
        if known is not None and _is_whole(known):
            return take(known, prepared.system.checks, mode, report)
        if mode == "test":
            with _temporary(prepared) as image:
                transition = _go_live(prepared.layer, image, prepared.digest, 0, prepared.system.checks, report)
            return Switched(0, prepared.digest, True, False, transition.units, transition.files)
        generation = Generation(
            number=generations.next_number(generations.read_all()),
            digest=prepared.digest,
            spec_digest=prepared.system.spec_digest,
            packages=started.packages,
            config=prepared.layer,
            cmdline=prepared.cmdline,
            kernel_version=record.packages.kernel_version,
            kernel_sha256=started.kernel_sha256,
            initrd_sha256=started.initrd_sha256,
            created=generations.now(),
            origin="switch",
            state="new",
            bootable=False,
        )
        target = Target(generation, prepared.system.checks, "live", prepared.content)
        return install(target, started, mode, report)


def switch_to_generation(number: int, *, mode: Mode, report: Report) -> Switched:
    """Make a generation that this machine has its system again. Errors are those of `switch`."""
    with orderly(), state.exclusively(f"invar {mode}"), _refusing(mode):
        active.register_started()
        target = generations.by_number(generations.read_all(), number)
        return take(target, None, mode, report)


def switch_to_digest(digest: str, caches: Sequence[str], *, mode: Mode, report: Report) -> Switched:
    """Make the system with this digest the machine's: a generation that it has, or one that a build cache has.

    `caches` are asked before those that the configuration names. Errors are those of `switch`.
    """
    with orderly(), state.exclusively(f"invar {mode}"), _refusing(mode):
        started = active.register_started()
        return _switch_to_published(published.by_digest(digest, caches, started, report), started, mode, report)


def _switch_to_published(found: Generation | Target, started: Generation, mode: Mode, report: Report) -> Switched:
    if isinstance(found, Generation):
        return take(found, None, mode, report)
    generation = found.generation
    if mode == "dry-run":
        if found.way != "live":
            return Switched(active.UNNUMBERED, generation.digest, False, True, way=found.way)
        with layer_view(generation.config, image_of(generation.config)) as view:
            plan = plan_transition(view)
        return Switched(active.UNNUMBERED, generation.digest, False, False, plan.units, plan.files)
    if mode == "test":
        if found.way != "live":
            raise needs_restart(found.way)
        image = image_of(generation.config)
        transition = _go_live(generation.config, image, generation.digest, 0, found.checks, report)
        return Switched(active.UNNUMBERED, generation.digest, True, False, transition.units, transition.files)
    return install(found, started, mode, report)


def install(target: Target, started: Generation, mode: Mode, report: Report) -> Switched:
    """The layer, then the record, then the running system, and the boot entry last: a cut leaves old or new, whole.

    What does not go live is started from its boot entry, or beside it, once it has one.
    """
    generation, live = target.generation, target.way == "live"
    settings = read_settings()
    with boot_entries.mounted_esp() as esp:
        image = state.LAYERS / generation.config.file_name
        kinds = {layer.kind for layer in (generation.packages, generation.config) if is_file(layer)}
        if target.content is not None:
            kinds.add("config")
        uki = make_uki(esp, started, generation, kinds, target.boot_files) if esp is not None else None
        if esp is not None and uki is not None:
            room_for(esp, len(uki))
        elif mode == "boot" or not live:
            raise InvarError("this machine has no EFI system partition to boot a generation from")
        if target.content is not None:
            state.write_whole(image, target.content)
        generations.write(generation)
        units, files = UnitActions(), tuple[str, ...]()
        if mode == "switch" and live:
            try:
                transition = _go_live(
                    generation.config,
                    image_of(generation.config),
                    generation.digest,
                    generation.number,
                    target.checks,
                    report,
                )
            except BaseException:
                generations.mark(generation, "failed")
                raise
            units, files = transition.units, transition.files
            generation = generations.mark(generation, "good")
        if esp is not None and uki is not None:
            with deaf(), report.stage("boot entry"):
                boot_entries.add(esp, generation.number, uki, left=settings.boot_tries)
                generations.write(replace(generation, bootable=True))
            for path in (target.boot_files.kernel, target.boot_files.initrd):
                if path is not None:
                    path.unlink(missing_ok=True)
    went_live = mode == "switch" and live
    return Switched(generation.number, generation.digest, went_live, not went_live, units, files, target.way)


def take(target: Generation, checks: tuple[Check, ...] | None, mode: Mode, report: Report) -> Switched:
    """A generation that is there already: made active, and the one to boot."""
    now = active.active()
    if mode in ("switch", "boot") and not _is_whole(target):
        raise InvarError(
            f"generation {target.number} has no boot entry: it {_STORIES[target.state]}",
            hint="`invar switch` its configuration again, which makes a new generation",
        )
    started = generations.by_number(generations.read_all(), now.started_generation)
    way = find_way(target, started)
    if mode == "dry-run" and way != "live":
        return Switched(target.number, target.digest, False, True, way=way)
    transition = None
    if mode != "boot" and way == "live" and now.active_digest != target.digest:
        image = image_of(target.config)
        if mode == "dry-run":
            with layer_view(target.config, image) as view:
                plan = plan_transition(view)
            return Switched(target.number, target.digest, False, False, plan.units, plan.files)
        transition = _go_live(target.config, image, target.digest, target.number, checks, report)
    if mode == "test" and way != "live":
        raise needs_restart(way)
    if mode in ("switch", "boot"):
        with boot_entries.mounted_esp() as esp:
            if esp is not None and target.bootable:
                with deaf(), report.stage("boot entry"):
                    boot_into(esp, target, read_settings().boot_tries)
        if transition is not None:
            generations.mark(target, "good")
    went_live = mode != "boot" and way == "live"
    changes = (transition.units, transition.files) if transition else (UnitActions(), ())
    return Switched(target.number, target.digest, went_live, not went_live, *changes, way)


def _is_whole(generation: Generation) -> bool:
    """Whether a generation got as far as it can: to a boot entry where there are any, else to checks that passed."""
    if generation.bootable or generation.origin == "image":
        return True
    with boot_entries.mounted_esp() as esp:
        return esp is None and generation.state == "good"


_STORIES = {
    "new": "was interrupted before it was switched to",
    "good": "was interrupted after it was switched to",
    "failed": "failed its checks, or was interrupted, when it was switched to",
}


def needs_restart(way: Way) -> InvarError:
    """Why `invar test` is refused."""
    return InvarError(
        f"that system takes a {way}, and `invar test` does without",
        hint="`invar switch` or `invar boot`: it falls back by itself if its checks fail",
    )


def _go_live(
    layer: LayerRecord, image: Path, digest: str, number: int, checks: tuple[Check, ...] | None, report: Report
) -> Transition:
    """Activate a layer and judge it; on any failure go back to what was active, and raise InvarError."""
    now = active.active()
    with current_view(now.layers["config"]) as before, layer_view(layer, image) as view:
        transition = plan_transition(view)
        try:
            activate(view, before, transition, report)
            active.set_active(digest, number, view.device, now.layers["packages"])
            _judge(checks, read_settings(), report)
            settle(view)
        except (InvarError, OSError, KeyboardInterrupt) as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            report.warn(f"the switch {'was interrupted' if interrupted else 'failed'}: going back")
            with deaf():
                _go_back(before, view, transition, error, report)
                active.set_active(
                    now.active_digest, now.active_generation, now.layers["config"], now.layers["packages"]
                )
            if not isinstance(error, Terminated):
                for failure in _failures(None, read_settings(), report):
                    report.warn(f"after going back: {failure}")
            raise
    return transition


def _judge(checks: tuple[Check, ...] | None, settings: Settings, report: Report) -> None:
    failed = _failures(checks, settings, report)
    if failed:
        raise InvarError(
            "the new system fails its checks",
            why="\n".join(failed),
            hint="the generation that ran before runs again",
        )


def _failures(checks: tuple[Check, ...] | None, settings: Settings, report: Report) -> list[str]:
    """What does not hold in time, of these checks or, for None, of the active system's own."""
    wanted = state.read_record().system.checks if checks is None else checks
    results = run_checks(wanted, time.monotonic() + settings.boot_deadline, report)
    return [f"{result.name}: {result.message}" for result in results if result.state != "passed"]


def _go_back(before: View, failed: View, done: Transition, error: BaseException, report: Report) -> None:
    back = plan_transition(before)
    try:
        activate(before, failed, replace(back, units=reversed_actions(done.units, back.units)), report)
    except InvarError as second:
        raise InvarError(
            "the switch failed, and so did the way back",
            why=f"{error}\nthen: {second}",
            hint="restart the machine: it boots the last good generation",
        ) from error


def restart(switched: Switched, report: Report) -> None:
    """Ask systemd for what it takes to start the system that was switched to: a soft-reboot, or else a reboot."""
    if switched.way == "soft-reboot":
        try:
            soft_reboot(generations.by_number(generations.read_all(), switched.generation))
            return
        except InvarError as error:
            report.warn(f"no soft-reboot, so a reboot: {error.what}" + (f" ({error.why})" if error.why else ""))
    subprocess.run(["systemctl", "reboot"], check=False)


class _temporary:
    """The layer's bytes in a file in memory, for as long as it takes to mount them."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._path = state.RUN / "stage" / prepared.layer.file_name

    def __enter__(self) -> Path:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_bytes(self._prepared.content)
        return self._path

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)


class _refusing:
    """Keeps for proof why a switch was not taken, or that one was."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._mode == "dry-run":
            return
        if isinstance(error, KeyboardInterrupt):
            state.refuse(f"invar {self._mode}: it was interrupted")
        elif isinstance(error, InvarError):
            state.refuse(f"invar {self._mode}: {error.what}" + (f" ({error.why})" if error.why else ""))
        elif error is None:
            state.accept()
