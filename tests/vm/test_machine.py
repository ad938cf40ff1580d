"""Machines live as long as they should, with a real QEMU whose disk is empty: only firmware runs."""

from __future__ import annotations

import dataclasses
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.vm.console import Console
from invar.vm.control import connections, reset
from invar.vm.install import QemuInstall
from invar.vm.machine import MachineSpec, running, start, stop
from invar.vm.process import ProcessIdentity, send, wait_for_exit
from invar.vm.qemu import Forward
from invar.vm.record import Machine, find, list_machines

pytestmark = pytest.mark.build

FIRMWARE = r"BdsDxe|Shell>|UEFI"
"""What firmware says when it finds nothing to boot."""


@pytest.fixture
def spec(tmp_path: Path) -> MachineSpec:
    image = tmp_path / "empty.raw"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    image.chmod(0o444)
    return MachineSpec(image=image, format="raw", name="Test, one", memory=256, cpus=1, accelerator="tcg")


def gone(machine: Machine) -> bool:
    """Whether supervisor and QEMU have ended, or do so soon."""
    assert machine.qemu is not None
    return wait_for_exit(machine.supervisor, 60) and wait_for_exit(machine.qemu, 60)


def test_a_machine_is_found_reached_and_stopped(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    before = spec.image.read_bytes()
    started = start(spec, install, machines, Report())
    assert started.name == "test-one"
    assert started == find(machines, "test-one")
    assert (started.status, started.alive, started.detached) == ("running", True, True)
    with Console(started) as console:
        console.receive()
    socket.create_connection(("127.0.0.1", started.port(22)), timeout=30).close()
    assert {seen.state for seen in connections(started)} >= {"HOST_FORWARD"}
    reset(started)
    stop(started, graceful=False)
    assert gone(started)
    assert list_machines(machines) == []
    assert not started.directory.exists()
    stop(started)
    assert spec.image.read_bytes() == before


def test_of_one_name_two_machines_get_two(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    first = start(spec, install, machines, Report())
    second = start(spec, install, machines, Report())
    assert (first.name, second.name) == ("test-one", "test-one-2")
    assert first.port(22) != second.port(22)
    assert first.instance_id != second.instance_id


def test_a_foreground_machine_ends_with_its_block(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    with running(spec, install, machines, Report()) as machine:
        assert machine.alive
        assert not machine.detached
    assert gone(machine)
    assert not machine.directory.exists()


def test_a_foreground_machine_ends_when_its_block_does(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    with pytest.raises(KeyboardInterrupt), running(spec, install, machines, Report()) as machine:
        raise KeyboardInterrupt
    assert gone(machine)
    assert not machine.directory.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_foreground_machine_ends_with_its_starter(
    spec: MachineSpec, install: QemuInstall, machines: Home, number: signal.Signals
) -> None:
    starter = start_elsewhere("running", spec, install, machines)
    (machine,) = list_machines(machines)
    starter.send_signal(number)
    starter.wait(60)
    assert gone(machine)
    assert not machine.directory.exists()


def test_a_detached_machine_survives_its_starter(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    starter = start_elsewhere("start", spec, install, machines)
    starter.kill()
    starter.wait(60)
    (machine,) = list_machines(machines)
    with Console(machine) as console:
        assert console.receive()
    assert machine.status == "running"


def start_elsewhere(how: str, spec: MachineSpec, install: QemuInstall, home: Home) -> subprocess.Popen[bytes]:
    """Another process, in a session of its own, that starts a machine and then waits for ever."""
    script = f"""
import sys
from contextlib import ExitStack
from pathlib import Path, PosixPath
from invar.core.events import Report
from invar.core.home import Home
from invar.vm.install import QemuInstall
from invar.vm.machine import MachineSpec, running, start
from invar.vm.qemu import Forward
with ExitStack() as stack:
    started = {how}({spec!r}, {install!r}, {home!r}, Report())
    machine = stack.enter_context(started) if {how == "running"} else started
    print(machine.name, flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"test-one"
    return process


def test_without_its_supervisor_qemu_does_not_live_on(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    machine = start(spec, install, machines, Report())
    assert send(machine.supervisor, signal.SIGKILL)
    assert gone(machine)
    lost = find(machines, machine.name)
    assert lost.status == "lost"
    stop(lost)
    assert list_machines(machines) == []


def test_stopping_leaves_whoever_has_the_number_now(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    machine = start(spec, install, machines, Report())
    with subprocess.Popen(["sleep", "600"]) as bystander:
        now = ProcessIdentity.of(bystander.pid)
        assert now is not None
        recycled = dataclasses.replace(now, start_ticks=now.start_ticks - 1)
        stop(dataclasses.replace(machine, supervisor=recycled, qemu=recycled))
        assert bystander.poll() is None
        bystander.kill()
    stop(machine, graceful=False)
    assert gone(machine)


def test_when_qemu_dies_the_record_says_why(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    machine = start(spec, install, machines, Report())
    assert machine.qemu is not None
    assert send(machine.qemu, signal.SIGKILL)
    assert wait_for_exit(machine.supervisor, 60)
    ended = machine.refreshed()
    assert ended.status == "failed"
    assert "QEMU ended with" in str(ended.reason)


def test_a_taken_port_is_told_and_nothing_is_left(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wants = dataclasses.replace(spec, forwards=(Forward(22, port),))
        with pytest.raises(InvarError, match="could not start") as raised:
            start(wants, install, machines, Report())
    assert str(port) in str(raised.value.why)
    assert "host ports" in str(raised.value.hint)
    assert list_machines(machines) == []
    assert list(machines.machines.iterdir()) == []


def test_no_image_is_told_before_anything_is_made(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    with pytest.raises(InvarError, match="there is no image"):
        start(dataclasses.replace(spec, image=Path("/nowhere.raw")), install, machines, Report())
    assert not machines.machines.exists()


def test_a_file_that_is_no_qcow2_is_told_and_nothing_is_left(
    spec: MachineSpec, install: QemuInstall, machines: Home
) -> None:
    with pytest.raises(InvarError, match="disk can't be made") as raised:
        start(dataclasses.replace(spec, format="qcow2"), install, machines, Report())
    assert raised.value.why
    assert list(machines.machines.iterdir()) == []


def test_user_data_does_not_stay_on_the_disk(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    secret = b"SECRET-7f3a"
    machine = start(dataclasses.replace(spec, user_data=secret), install, machines, Report())
    for path in machine.directory.iterdir():
        if path.is_file():
            content = path.read_bytes()
            assert secret not in content, path
            assert secret.hex().encode() not in content, path
    assert machine.directory.stat().st_mode & 0o077 == 0


def test_firmware_runs_and_finds_nothing_to_boot(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    with running(spec, install, machines, Report()) as machine, Console(machine) as console:
        with pytest.raises(InvarError, match="did not come up") as raised:
            console.wait_for("login:", 120)
        assert "the console's last lines" in str(raised.value.why)
