"""Machines for instances: each instance of kind "machine" is a QEMU that ends with the cloud at the latest."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.localcloud.base_disks import BaseDisks
from invar.vm.install import QemuInstall
from invar.vm.machine import DISK, MachineSpec, running
from invar.vm.metadata import Instance as Metadata
from invar.vm.probes import Look, Outside
from invar.vm.process import send, wait_for_exit
from invar.vm.qemu import Forward
from invar.vm.record import Machine, sweep

POWER_OFF_SECONDS = 60.0
AT_ONCE = 4
"""How many machines are started or stopped at the same time."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What to start. `memory` is in MiB; `ports` are opened on `address`, those of them that are free."""

    instance: str
    region: str
    snapshot: str
    disk_gib: int
    address: str
    ports: tuple[int, ...]
    memory: int
    cpus: int
    metadata: Metadata


@dataclass(slots=True)
class _Held:
    """A machine as it stands. `phase`: starting, running, stopped, failed."""

    phase: str = "starting"
    why: str = ""
    machine: Machine | None = None
    stack: ExitStack = field(default_factory=ExitStack)
    lock: threading.Lock = field(default_factory=threading.Lock)
    console: bytes = b""


class Hypervisor:
    """All machines of a cloud, below one directory. Methods return at once; `phase` tells what became of it."""

    def __init__(self, directory: Path, bases: BaseDisks, find_qemu: Callable[[], QemuInstall]) -> None:
        self._home = Home(directory)
        self._disks = directory / "disks"
        self._bases = bases
        self._find_qemu = find_qemu
        self._qemu: QemuInstall | None = None
        self._qemu_lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hypervisor")
        shutil.rmtree(self._disks, ignore_errors=True)
        sweep(self._home)

    def start(self, boot: Boot) -> None:
        """Start a machine, on the disk that it had if it was stopped."""
        held = self._held[boot.instance] = _Held()
        self._workers.submit(self._start, held, boot)

    def stop(self, instance: str) -> None:
        """Press the power button, and switch off what does not go down within a minute. The disk stays."""
        held = self._held.get(instance)
        if held is not None:
            self._workers.submit(self._stop, held, graceful=True)

    def terminate(self, instance: str) -> None:
        """Switch off, and delete the disk."""
        held = self._held.get(instance)
        if held is not None:
            self._workers.submit(self._terminate, held, instance)

    def reboot(self, boot: Boot) -> None:
        """Switch off and on again."""
        held = self._held.get(boot.instance)
        if held is not None:
            self._workers.submit(self._reboot, held, boot)

    def phase(self, instance: str) -> tuple[str, str]:
        """How the machine is: "starting", "running", "stopped" or "failed", and why."""
        held = self._held.get(instance)
        if held is None:
            return "failed", "the local cloud was stopped meanwhile"
        machine = held.machine
        if held.phase == "running" and machine is not None and not machine.alive:
            held.console = _read(machine.console_log) or held.console
            held.phase = "stopped"
            held.why = "the machine switched itself off"
        return held.phase, held.why

    def console(self, instance: str) -> bytes:
        """Everything on its serial console so far."""
        held = self._held.get(instance)
        if held is None:
            return b""
        return (_read(held.machine.console_log) if held.machine else b"") or held.console

    def look(self, instance: str, port: int) -> Look:
        """Whether the guest accepts connections on a port."""
        held = self._held.get(instance)
        if held is None or held.machine is None or held.phase != "running":
            return Look(False, "the machine does not run")
        if port not in held.machine.ports:
            return Look(False, f"port {port} is not forwarded")
        return Outside(held.machine).tcp(port)

    def close(self) -> None:
        """End all machines. Their disks are lost."""
        self._workers.shutdown(wait=True, cancel_futures=True)
        with ThreadPoolExecutor(16) as workers:
            for held in self._held.values():
                workers.submit(held.stack.close)
        self._held.clear()
        shutil.rmtree(self._disks, ignore_errors=True)

    def forget(self) -> None:
        """End all machines, and be ready for others."""
        for identity, held in list(self._held.items()):
            self._workers.submit(self._terminate, held, identity)

    def _start(self, held: _Held, boot: Boot) -> None:
        with held.lock:
            try:
                machine = held.stack.enter_context(running(self._spec(boot), self._install(), self._home, Report()))
                disk = self._disk(boot.instance)
                if not disk.exists():
                    disk.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    disk.hardlink_to(machine.directory / DISK)
                held.machine, held.phase = machine, "running"
            except KeyError as error:
                held.phase, held.why = "failed", f"there is no snapshot {error}"
            except (InvarError, OSError) as error:
                print(f"{boot.instance}: {error}", file=sys.stderr, flush=True)
                held.phase, held.why = "failed", str(error)

    def _stop(self, held: _Held, *, graceful: bool) -> None:
        with held.lock:
            machine = held.machine
            if machine is not None:
                if graceful and send(machine.supervisor, signal.SIGTERM):
                    wait_for_exit(machine.supervisor, POWER_OFF_SECONDS)
                held.console = _read(machine.console_log) or held.console
            held.stack.close()
            held.machine, held.phase, held.why = None, "stopped", ""

    def _terminate(self, held: _Held, instance: str) -> None:
        self._stop(held, graceful=False)
        self._disk(instance).unlink(missing_ok=True)

    def _reboot(self, held: _Held, boot: Boot) -> None:
        self._stop(held, graceful=False)
        held.phase = "starting"
        self._start(held, boot)

    def _spec(self, boot: Boot) -> MachineSpec:
        disk = self._disk(boot.instance)
        return MachineSpec(
            image=self._bases.materialise(boot.region, boot.snapshot),
            format="raw",
            name=boot.instance,
            memory=boot.memory,
            cpus=boot.cpus,
            disk_size=boot.disk_gib << 30,
            forwards=tuple(Forward(port, port, boot.address) for port in boot.ports),
            address=boot.address,
            instance=boot.metadata,
            instance_type=boot.metadata.instance_type,
            disk=disk if disk.exists() else None,
        )

    def _disk(self, instance: str) -> Path:
        return self._disks / f"{instance}.qcow2"

    def _install(self) -> QemuInstall:
        with self._qemu_lock:
            if self._qemu is None:
                self._qemu = self._find_qemu()
            return self._qemu


def own_qemu(home: Home) -> QemuInstall:
    """QEMU out of the tools that this user's `tools.lock` pins. Raises InvarError."""
    from invar.engines.native import NativeEngine

    return QemuInstall.from_tools(NativeEngine(home, Report(), environment=os.environ).own_tools())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
