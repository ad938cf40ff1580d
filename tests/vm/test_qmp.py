"""The monitor of a real QEMU, with no machine behind it; and what its tables say."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.vm.install import QemuInstall, parse_version
from invar.vm.process import start_with_descriptors
from invar.vm.qemu import QMP_FD
from invar.vm.qmp import QmpClient, QmpClosed, QmpRefused, UserConnection, parse_user_connections

USERNET = (
    "Hub -1 (net):\r\n"
    "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
    "  TCP[ESTABLISHED]   22       127.0.0.1 40080    169.255.0.15    80     0     0\r\n"
    "  TCP[HOST_FORWARD]   9       127.0.0.1 40080    169.255.0.15    80     0     0\r\n"
    "  UDP[236 sec]       14    169.255.0.15 46178 169.254.169.123   123     0     0\r\n"
    "  TCP[SYN_SENT]      15       127.0.0.1 40022    169.255.0.15    22     0     0\r\n"
)


def test_the_connections_table_is_read() -> None:
    assert parse_user_connections(USERNET) == (
        UserConnection("ESTABLISHED", 40080, 80),
        UserConnection("HOST_FORWARD", 40080, 80),
        UserConnection("SYN_SENT", 40022, 22),
    )


@pytest.mark.parametrize(
    ("said", "version"),
    [("QEMU emulator version 10.0.13 (Debian 1:10.0.13)", (10, 0)), ("QEMU emulator version 7.2.22", (7, 2))],
)
def test_the_version_is_read(said: str, version: tuple[int, int]) -> None:
    assert parse_version(said) == version


def test_a_program_that_is_no_qemu_is_told() -> None:
    with pytest.raises(InvarError, match="does not tell its version"):
        parse_version("Segmentation fault")


@pytest.fixture
def qmp(install: QemuInstall, tmp_path: Path) -> Iterator[QmpClient]:
    """A client of a QEMU that has no machine, only a network."""
    ours, theirs = socket.socketpair()
    arguments = ("-machine", "none", "-nodefaults", "-display", "none")
    monitor = ("-chardev", f"socket,id=monitor,fd={QMP_FD}", "-mon", "chardev=monitor,mode=control")
    network = ("-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:0-:22")
    argv = install.argv((*install.system, *arguments, *monitor, *network), cwd=tmp_path)
    with theirs:
        process = start_with_descriptors(argv, {QMP_FD: theirs.fileno()}, tmp_path, tmp_path / "log")
    with ours:
        yield QmpClient(ours)
    process.kill()
    process.wait()


@pytest.mark.build
def test_a_real_qemu_greets_answers_and_refuses(qmp: QmpClient, install: QemuInstall) -> None:
    version = qmp.negotiate(60)
    assert tuple(map(int, version.split(".")[:2])) == install.version()
    assert qmp.execute("query-kvm")["enabled"] is False
    with pytest.raises(QmpRefused, match="no-such-command"):
        qmp.execute("no-such-command")
    assert qmp.execute("query-status")["status"] in ("prelaunch", "running"), "goes on after a refusal"


@pytest.mark.build
def test_a_free_port_is_picked_by_qemu_and_read_back(qmp: QmpClient) -> None:
    qmp.negotiate(60)
    (forward,) = qmp.user_connections()
    assert (forward.state, forward.destination_port) == ("HOST_FORWARD", 22)
    assert forward.source_port > 1023
    socket.create_connection(("127.0.0.1", forward.source_port), timeout=10).close()


@pytest.mark.build
def test_the_end_of_qemu_is_an_event_and_then_an_error(qmp: QmpClient) -> None:
    qmp.negotiate(60)
    qmp.execute("quit")
    with pytest.raises(QmpClosed):
        for _ in range(100):
            qmp.execute("query-status")
    assert "SHUTDOWN" in [event.name for event in qmp.events()]
    with pytest.raises(QmpClosed):
        qmp.events()
