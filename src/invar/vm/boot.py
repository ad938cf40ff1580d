"""Boot an image and check it: the walk of `invar up`, from an image to a machine whose checks have run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from invar.core.events import Report
from invar.core.home import Home
from invar.image.tools import Tools
from invar.system.record import Check
from invar.vm.checks import BOOT_SECONDS, CheckReport, guest_ports, run_checks
from invar.vm.install import QemuInstall, SshInstall
from invar.vm.machine import MachineSpec, running, start
from invar.vm.qemu import Forward
from invar.vm.record import Machine
from invar.vm.ssh import KEY_NAME, SshAccess, ensure_key


@dataclass(frozen=True, slots=True)
class Equipment:
    """What booting and checking takes: QEMU, and a way to log in."""

    qemu: QemuInstall
    access: SshAccess

    @classmethod
    def from_tools(cls, tools: Tools, home: Home) -> Equipment:
        """Everything out of the tools layer; makes this user's key the first time. Raises InvarError."""
        install = SshInstall.from_tools(tools)
        return cls(QemuInstall.from_tools(tools), SshAccess(install, ensure_key(home, install)))


def for_checks(spec: MachineSpec, checks: Sequence[Check], access: SshAccess) -> MachineSpec:
    """The machine as asked for, with the ports that the checks need forwarded too and this user's key accepted."""
    asked = {forward.guest_port for forward in spec.forwards}
    missing = tuple(Forward(port) for port in guest_ports(checks) if port not in asked)
    keys = {**spec.public_keys, KEY_NAME: access.key.public}
    return replace(spec, forwards=(*spec.forwards, *missing), public_keys=keys)


def boot_and_check(
    spec: MachineSpec,
    checks: Sequence[Check],
    equipment: Equipment,
    home: Home,
    report: Report,
    *,
    until: ExitStack | None = None,
    boot_seconds: float = BOOT_SECONDS,
    automatic: bool = True,
) -> tuple[Machine, CheckReport]:
    """Start a machine and run its checks; see `checks.run_checks` for the times.

    The machine ends when `until` is closed, or with this process; without it the machine is detached and stays until it
    is stopped. Failed checks are no exception: see the report. Raises InvarError when the machine can't be started, or
    ends or panics before the checks are done; a detached one that panics stays, for a look at it.
    """
    full = for_checks(spec, checks, equipment.access)
    if until is None:
        machine = start(full, equipment.qemu, home, report)
    else:
        machine = until.enter_context(running(full, equipment.qemu, home, report))
    return machine, run_checks(
        machine, checks, equipment.access, report, boot_seconds=boot_seconds, automatic=automatic
    )
