"""Make a system the running one: its layer mounted, /etc and /nix exchanged, units stopped, reloaded and started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.machine import active, state
from invar.machine.consumers import Consumed, changed_files, consumed
from invar.machine.generations import Generation, LayerRecord
from invar.machine.layer_device import mount_layer, unmount_layer
from invar.machine.layer_source import image_of
from invar.machine.mounts import bind, exchange, is_mount, mount_overlay, mounted_below, unmount
from invar.machine.systemctl import dependents, run, running_units, systemctl
from invar.machine.unit_actions import UnitActions, plan_units
from invar.machine.unit_files import PACKAGED, read_unit_files, template
from invar.machine.way import Way, way_to

ETC = Path("/etc")
NIX = Path("/nix")
STAGE = state.RUN / "stage"
LAYERS = state.RUN / "layers"


@dataclass(frozen=True, slots=True)
class View:
    """A system's whole /etc at a place of its own; its config layer's root, and the verity device below that."""

    etc: Path
    root: Path
    device: str


@dataclass(frozen=True, slots=True)
class Transition:
    """What taking the machine to another system means: decided before anything is touched. `files` are below /etc."""

    units: UnitActions
    files: tuple[str, ...]
    consumed: Consumed


@contextmanager
def layer_view(layer: LayerRecord, image: Path) -> Iterator[View]:
    """The view of a config layer, mounted for the time of the block; what is exchanged into / stays as long as needed.

    `image` holds the layer's bytes; the layer that was started is mounted already and needs none. Raises InvarError
    when the bytes are not the layer's.
    """
    with ExitStack() as cleanup:
        if active.started().layers["config"][0] == layer.root_hash:
            root, device = state.CONFIG_ROOT, active.started_config_device()
        else:
            device = f"invar-config-{layer.root_hash[:12]}-{os.getpid()}"
            root = LAYERS / device
            mount_layer(image, layer, device, root)
            cleanup.callback(unmount_layer, root)
        etc = _place(f"etc-{device}")
        mount_overlay([root / "etc", state.PACKAGES_ROOT / "etc"], etc)
        cleanup.callback(_drop, etc)
        for inside in mounted_below(ETC):
            there = etc / inside.relative_to(ETC)
            if there.exists():
                bind(inside, there)
        yield View(etc, root, device)


@contextmanager
def current_view(device: str) -> Iterator[View]:
    """The view of what is active now, held for the time of the block, to go back to."""
    etc = _place("old-etc")
    bind(ETC, etc)
    try:
        yield View(etc, state.ACTIVE_ROOT if is_mount(state.ACTIVE_ROOT) else state.CONFIG_ROOT, device)
    finally:
        _drop(etc)


def plan_transition(target: View) -> Transition:
    """What it takes to go from the system that is active now to the one in view."""
    units = plan_units(
        read_unit_files(ETC),
        read_unit_files(target.etc),
        running_units(),
        _packaged,
        dependents,
    )
    files = changed_files(ETC, target.etc)
    return Transition(units, files, consumed(files))


def _packaged(name: str) -> bool:
    return any((PACKAGED / one).exists() for one in (name, template(name)) if one)


def find_way(target: Generation, started: Generation) -> Way:
    """How this machine gets to a generation whose layers it has. Raises InvarError when its config layer is damaged."""
    same = target.config.root_hash == started.config.root_hash
    if not same and target.packages.root_hash == started.packages.root_hash:
        with layer_view(target.config, image_of(target.config)) as view:
            same = not changed_files(state.CONFIG_ROOT / "usr", view.root / "usr")
    running = active.parse_cmdline(active.CMDLINE.read_text()).cmdline
    return way_to(target, started, running, same_programs=same)


def activate(target: View, before: View, transition: Transition, report: Report) -> None:
    """Take the steps of a transition. Raises InvarError at the first that fails; the caller then goes back."""
    units = transition.units
    if units.stop:
        with report.stage("stop units"):
            systemctl("stop", *units.stop)
    with report.stage("exchange /etc and /nix"):
        exchange_trees(target, before)
    with report.stage("apply"):
        systemctl("daemon-reexec" if transition.consumed.manager else "daemon-reload")
        for command in transition.consumed.commands:
            run(command)
        run(("systemd-tmpfiles", "--create", "--exclude-prefix=/dev"), accepted=(0, 65, 73))
    with report.stage("start units"):
        reload = sorted({*units.reload, *transition.consumed.reload} - {*units.stop, *units.restart})
        restart = sorted({*units.restart, *transition.consumed.restart} - {*units.stop})
        # Switches in a row must not meet systemd's limit of starts (StartLimitBurst=). A unit that is not loaded
        # has no counter: then the status is 1.
        if again := sorted({*reload, *restart, *units.start, *units.stopped_with}):
            run(("systemctl", "reset-failed", *again), accepted=(0, 1))
        if reload:
            systemctl("try-reload-or-restart", *reload)
        if restart:
            systemctl("try-restart", *restart)
        if units.start:
            systemctl("start", *units.start)
        # After what they depend on, whose failure would otherwise be theirs: of local-fs.target it is an emergency.
        if units.stopped_with:
            systemctl("start", *units.stopped_with)
    exchange_nix(target)


def settle(target: View) -> None:
    """Keep the root of the layer that is active now mounted, in the place of the one before."""
    state.ACTIVE_ROOT.mkdir(parents=True, exist_ok=True)
    exchange(target.root, state.ACTIVE_ROOT)


def exchange_trees(target: View, before: View) -> None:
    """/etc becomes the target's; /nix has the objects of both systems until their units have changed over."""
    try:
        both = _place("nix")
        mount_overlay([target.root / "nix", before.root / "nix"], both)
        try:
            exchange(both, NIX)
        finally:
            _drop(both)
        exchange(target.etc, ETC)
    except OSError as error:
        raise InvarError("/etc and /nix cannot be exchanged", where=str(error.filename), why=error.strerror) from error


def exchange_nix(target: View) -> None:
    """/nix has the target's objects alone."""
    try:
        exchange(target.root / "nix", NIX)
    except OSError as error:
        raise InvarError("/nix cannot be exchanged", where=str(error.filename), why=error.strerror) from error


def _place(name: str) -> Path:
    place = STAGE / f"{name}-{os.getpid()}"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _drop(place: Path) -> None:
    unmount(place)
    with suppress(OSError):
        place.rmdir()
