"""Whether KVM can be used. /dev/kvm may be there and yet fail (nested machines): firmware is booted once to see."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.vm import qemu
from invar.vm.install import QemuInstall
from invar.vm.process import boot_id, start_with_descriptors
from invar.vm.qmp import QmpClient

Wanted = Literal["auto", "kvm", "tcg"]
VARIABLE = "INVAR_ACCEL"

_KVM = Path("/dev/kvm")
_PROBE_SECONDS = 15.0
_REMEMBERED = ".kvm.json"


def wanted_from_environment(environment: Mapping[str, str] | None = None) -> Wanted:
    """What INVAR_ACCEL says: auto (the default), kvm or tcg. Raises InvarError for anything else."""
    value = (os.environ if environment is None else environment).get(VARIABLE, "auto")
    for choice in get_args(Wanted):
        if value == choice:
            wanted: Wanted = choice
            return wanted
    raise InvarError(f"{VARIABLE} is {value!r}", hint="it is auto, kvm or tcg", exit_code=ExitCode.USAGE)


def resolve(wanted: Wanted, install: QemuInstall, home: Home, report: Report) -> qemu.Accelerator:
    """The accelerator to use. "auto" is what INVAR_ACCEL says, else KVM if firmware runs under it.

    The latter is remembered until the host reboots. Raises InvarError when INVAR_ACCEL is none of the choices.
    """
    if wanted == "auto":
        wanted = wanted_from_environment()
    if wanted != "auto":
        return wanted
    if not os.access(_KVM, os.R_OK | os.W_OK):
        return "tcg"
    works = _remembered(home, install)
    if works is None:
        with report.stage("try KVM"):
            works = kvm_works(install, home)
        _remember(home, install, works)
        if not works:
            report.note("KVM is there but does not work; machines are emulated, which is slower")
    return "kvm" if works else "tcg"


def kvm_works(install: QemuInstall, home: Home, seconds: float = _PROBE_SECONDS) -> bool:
    """Boot firmware alone under KVM, at most `seconds`; whether it wrote to the console before anything went wrong."""
    home.machines.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".kvm-", dir=home.machines) as name:
        directory = Path(name)
        shutil.copyfile(install.firmware_vars, directory / "firmware.fd")
        arguments = qemu.firmware_only_arguments(install.firmware_code, "firmware.fd", "kvm", install.version())
        argv = install.argv((*install.system, *arguments), cwd=directory, writes=(_KVM,))
        serial, serial_inside = socket.socketpair()
        monitor, monitor_inside = socket.socketpair()
        with serial, monitor:
            handed_down = {qemu.SERIAL_FD: serial_inside.fileno(), qemu.QMP_FD: monitor_inside.fileno()}
            with serial_inside, monitor_inside:
                process = start_with_descriptors(argv, handed_down, directory, directory / "qemu.log")
            try:
                return _reaches_console(serial, QmpClient(monitor), time.monotonic() + seconds)
            finally:
                process.kill()
                process.wait()


def _reaches_console(serial: socket.socket, qmp: QmpClient, deadline: float) -> bool:
    try:
        qmp.negotiate()
        while (left := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([serial.fileno(), qmp.fileno()], [], [], left)
            if serial.fileno() in readable:
                return bool(serial.recv(1))
            if qmp.fileno() in readable and any(event.name in ("STOP", "SHUTDOWN") for event in qmp.events()):
                return False
    except InvarError:
        return False
    return False


def _remembered(home: Home, install: QemuInstall) -> bool | None:
    try:
        known = json.loads((home.machines / _REMEMBERED).read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return bool(known["works"]) if known.get("for") == _circumstances(install) else None


def _remember(home: Home, install: QemuInstall, works: bool) -> None:
    home.machines.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = home.machines / _REMEMBERED
    temporary = path.with_name(f"{_REMEMBERED}.{os.getpid()}")
    temporary.write_text(json.dumps({"for": _circumstances(install), "works": works}), encoding="utf-8")
    temporary.replace(path)


def _circumstances(install: QemuInstall) -> list[str]:
    return [boot_id(), str(install.root), *install.system]
