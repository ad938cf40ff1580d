"""Start a machine from an image, and stop it. The image is never written: each has a copy-on-write disk of its own."""

from __future__ import annotations

import os
import re
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.vm import qemu
from invar.vm.acceleration import Wanted, resolve
from invar.vm.install import QemuInstall
from invar.vm.metadata import Instance
from invar.vm.process import ProcessIdentity, send, wait_for_exit
from invar.vm.record import Machine, claim_name, sweep
from invar.vm.supervisor import LAUNCH, METADATA_SOCKET, Launch, qemu_log_tail

DISK = "disk.qcow2"
FIRMWARE_VARIABLES = "firmware.fd"

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_KILL_SECONDS = 15.0
_STEP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What to start.

    `digest` is the image's system digest, `memory` in MiB, `disk_size` in bytes (None: the image's size).


    `name` is what the machine is called, with a number appended when that is taken. `public_keys` maps names to
    authorized_keys lines for the metadata service. `forwards` are TCP ports of `address`; 22 should be among them.

    `instance` replaces what the metadata service and the machine's own identity would say. `disk` is a disk that an
    earlier machine of the same image left: it is gone on with, and written.
    """

    image: Path
    format: qemu.DiskFormat
    name: str
    digest: str | None = None
    memory: int = 1024
    cpus: int = 2
    disk_size: int | None = None
    disk_device: qemu.DiskDevice = "nvme"
    accelerator: Wanted = "auto"
    forwards: tuple[qemu.Forward, ...] = (qemu.Forward(22),)
    public_keys: dict[str, str] = field(default_factory=dict)
    user_data: bytes | None = None
    instance_type: str = "t3.small"
    tags: dict[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"
    instance: Instance | None = None
    disk: Path | None = None


def start(spec: MachineSpec, install: QemuInstall, home: Home, report: Report) -> Machine:
    """Start a machine that lives on until it is stopped.

    Returns when QEMU runs and its ports are known, long before the guest is up. Raises InvarError when it can't be
    started; then nothing is left of it.
    """
    machine, _ = _start(spec, install, home, report, lifeline=None)
    return machine


@contextmanager
def running(spec: MachineSpec, install: QemuInstall, home: Home, report: Report) -> Iterator[Machine]:
    """As `start`, but machine and directory are gone at the end of the block, or when this process ends in any way."""
    held, lifeline = os.pipe()
    try:
        machine, supervisor = _start(spec, install, home, report, lifeline=held)
        try:
            yield machine
        finally:
            os.close(lifeline)
            lifeline = -1
            _await_supervisor(supervisor)
            shutil.rmtree(machine.directory, ignore_errors=True)
    finally:
        os.close(held)
        if lifeline >= 0:
            os.close(lifeline)


def stop(machine: Machine, *, graceful: bool = True, seconds: float = _STOP_SECONDS) -> None:
    """Stop a machine and delete its directory. Does nothing more for one that is already gone.

    With `graceful` the machine's power button is pressed first; after `seconds` it is switched off. Raises InvarError
    when it can't be stopped.
    """
    try:
        _end(machine, graceful, seconds)
    except PermissionError as fault:
        raise InvarError(
            f"the machine {machine.name} belongs to another user", where=str(machine.directory), why=str(fault)
        ) from fault
    shutil.rmtree(machine.directory, ignore_errors=True)


def _end(machine: Machine, graceful: bool, seconds: float) -> None:
    if graceful and send(machine.supervisor, signal.SIGTERM) and wait_for_exit(machine.supervisor, seconds):
        return
    for target, number in (
        (machine.supervisor, signal.SIGINT),
        (machine.supervisor, signal.SIGKILL),
        (machine.qemu, signal.SIGKILL),
    ):
        if target is not None:
            send(target, number)
            if not wait_for_exit(target, _KILL_SECONDS) and number == signal.SIGKILL:
                raise InvarError(f"the machine {machine.name} can't be stopped", where=f"process {target.pid}")


def _start(
    spec: MachineSpec, install: QemuInstall, home: Home, report: Report, *, lifeline: int | None
) -> tuple[Machine, subprocess.Popen[bytes]]:
    if not spec.image.is_file():
        raise InvarError(f"there is no image {spec.image}", hint="see `invar build`")
    sweep(home)
    home.machines.mkdir(parents=True, exist_ok=True, mode=0o700)
    accelerator = resolve(spec.accelerator, install, home, report)
    with report.stage("start machine"):
        temporary = Path(tempfile.mkdtemp(prefix=".starting-", dir=home.machines))
        machine = _new_record(spec, temporary, accelerator, detached=lifeline is None)
        try:
            machine = claim_name(home, _clean_name(spec.name), machine)
            _prepare_disk(spec, install, machine.directory)
            _write_launch(spec, install, machine)
            supervisor = _spawn(machine, lifeline)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(machine.directory, ignore_errors=True)
            raise
        try:
            return _await_running(machine, supervisor), supervisor
        except BaseException:
            supervisor.terminate()
            supervisor.send_signal(signal.SIGINT)
            _await_supervisor(supervisor)
            shutil.rmtree(machine.directory, ignore_errors=True)
            raise


def _new_record(spec: MachineSpec, directory: Path, accelerator: qemu.Accelerator, *, detached: bool) -> Machine:
    return Machine(
        name=spec.name,
        directory=directory,
        state="starting",
        supervisor=ProcessIdentity.own(),
        qemu=None,
        image=str(spec.image),
        digest=spec.digest,
        instance_id=spec.instance.instance_id if spec.instance else "i-0" + secrets.token_hex(8),
        ports={},
        accelerator=accelerator,
        memory=spec.memory,
        cpus=spec.cpus,
        starter=None if detached else ProcessIdentity.own(),
        created=time.time(),
        address=spec.address,
    )


def _prepare_disk(spec: MachineSpec, install: QemuInstall, directory: Path) -> None:
    shutil.copyfile(install.firmware_vars, directory / FIRMWARE_VARIABLES)
    if spec.disk is not None:
        (directory / DISK).hardlink_to(spec.disk)
        return
    arguments = qemu.create_overlay_arguments(DISK, str(spec.image), spec.format, spec.disk_size)
    argv = install.argv((*install.image, *arguments), cwd=directory, reads=(spec.image,))
    made = subprocess.run(argv, cwd=directory, capture_output=True, text=True, timeout=_STEP_SECONDS, check=False)
    if made.returncode != 0:
        raise InvarError("the machine's disk can't be made", where=str(spec.image), why=made.stderr.strip() or None)


def _write_launch(spec: MachineSpec, install: QemuInstall, machine: Machine) -> None:
    identity = qemu.Identity.of_instance(machine.instance_id)
    hardware = qemu.Hardware(
        name=machine.name,
        identity=identity,
        instance_type=spec.instance_type,
        disk=DISK,
        disk_device=spec.disk_device,
        firmware_code=install.firmware_code,
        firmware_vars=FIRMWARE_VARIABLES,
        memory=spec.memory,
        cpus=spec.cpus,
        accelerator="kvm" if machine.accelerator == "kvm" else "tcg",
        forwards=spec.forwards,
        metadata_relay=(*install.relay, METADATA_SOCKET),
    )
    instance = spec.instance or Instance(
        instance_id=machine.instance_id,
        image_id="ami-0" + (spec.digest or "0" * 16)[:16],
        local_ipv4=qemu.GUEST_ADDRESS,
        mac=identity.mac,
        public_keys=spec.public_keys,
        user_data=spec.user_data,
        instance_type=spec.instance_type,
        pending_time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(machine.created)),
        tags=spec.tags,
    )
    argv = install.argv(
        (*install.system, *qemu.arguments(hardware, install.version())),
        cwd=machine.directory,
        reads=(spec.image,),
        writes=(Path("/dev/kvm"),) if machine.accelerator == "kvm" else (),
        lifeline=qemu.LIFELINE_FD,
    )
    path = machine.directory / LAUNCH
    path.touch(mode=0o600)
    path.write_text(Launch(tuple(argv), instance).to_json(), encoding="utf-8")


def _spawn(machine: Machine, lifeline: int | None) -> subprocess.Popen[bytes]:
    with (machine.directory / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "invar.vm.supervisor", str(machine.directory)],
            stdin=subprocess.DEVNULL if lifeline is None else lifeline,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )


def _await_running(machine: Machine, supervisor: subprocess.Popen[bytes]) -> Machine:
    """Wait for the supervisor's word. Its silence or end is an error, told with what it and QEMU said."""
    assert supervisor.stdout is not None
    with supervisor.stdout as said:
        if not select.select([said], [], [], _START_SECONDS)[0]:
            raise InvarError(
                f"the machine {machine.name} did not start within {_START_SECONDS:.0f} s",
                why=qemu_log_tail(machine.directory),
            )
        if said.readline().strip() == b"running":
            return machine.refreshed()
    supervisor.wait(timeout=_KILL_SECONDS)
    why = machine.refreshed().reason or (machine.directory / "supervisor.log").read_text(errors="replace").strip()
    raise InvarError("QEMU could not start the machine", why=why, hint=_start_hint(why))


def _start_hint(why: str) -> str | None:
    if "host forwarding rule" in why:
        return "one of the host ports asked for is taken; leave it out to get a free one"
    if "KVM" in why or "kvm" in why:
        return "set INVAR_ACCEL=tcg to do without KVM"
    return None


def _await_supervisor(supervisor: subprocess.Popen[bytes]) -> None:
    try:
        supervisor.wait(timeout=_KILL_SECONDS)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()


def _clean_name(wanted: str) -> str:
    """The wanted name as lower-case letters, digits and hyphens, as host names are."""
    return re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[:48] or "machine"
