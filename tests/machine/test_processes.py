"""Processes that the system does not declare: which of them, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from invar.machine.processes import (
    Process,
    UnitFiles,
    ancestry,
    group_of,
    idle_units,
    judge,
    read_processes,
    unit_of,
    units_in,
)
from invar.machine.sealed import Sealed, covering, read_mountinfo, sealed_devices

UNITS = {
    "nginx.service": UnitFiles("/etc/systemd/system/nginx.service"),
    "dbus.service": UnitFiles("/usr/lib/systemd/system/dbus.service", ("/etc/systemd/system/dbus.service.d/x.conf",)),
    "var-x.mount": UnitFiles("/run/systemd/generator/var-x.mount"),
    "generated.service": UnitFiles("/run/systemd/generator/generated.service"),
    "run-u1.service": UnitFiles("/run/systemd/transient/run-u1.service"),
    "edited.service": UnitFiles("/etc/systemd/system/edited.service", ("/run/systemd/system/edited.service.d/o.conf",)),
    "gone.service": UnitFiles(""),
}
USER = "/user.slice/user-0.slice"


def sealed(path: str) -> bool:
    return path.startswith(("/etc/", "/usr/"))


def process(
    pid: int, group: str, program: str = "/usr/bin/true", *, is_sealed: bool = True, parent: int = 1
) -> Process:
    return Process(pid, parent, group, program, is_sealed)


def found(
    *processes: Process, programs: tuple[str, ...] = (), allowed: tuple[str, ...] = ()
) -> list[tuple[str, str, str]]:
    return [(one.kind, one.unit, one.why) for one in judge(processes, UNITS, sealed, programs, allowed)]


def test_what_the_system_declares_is_not_told() -> None:
    declared = [
        process(1, "/init.scope", "/usr/lib/systemd/systemd"),
        process(30, "/system.slice/nginx.service"),
        process(31, "/system.slice/nginx.service/worker"),
        process(32, "/system.slice/system-x.slice/dbus.service"),
        process(33, "/", parent=2),
        process(34, "/system.slice/var-x.mount"),
    ]
    assert found(*declared) == []


@pytest.mark.parametrize(
    ("group", "why"),
    [
        ("/system.slice/run-u1.service", "/run/systemd/transient/run-u1.service is not of the sealed system"),
        ("/system.slice/edited.service", "/run/systemd/system/edited.service.d/o.conf is not of the sealed system"),
        (
            "/system.slice/generated.service",
            "/run/systemd/generator/generated.service is not of the sealed system",
        ),
        ("/system.slice/gone.service", "the unit has no file"),
        ("/system.slice/unheard-of.service", "the unit has no file"),
        ("/init.scope", "the unit has no file"),
        ("/", "it is in no unit"),
        ("/by-hand", "it is in no unit"),
    ],
)
def test_a_unit_that_is_not_of_the_sealed_system(group: str, why: str) -> None:
    assert found(process(50, group)) == [("undeclared", unit_of(group) or group, why)]


def test_a_program_of_a_declared_unit_that_is_not_of_the_sealed_system() -> None:
    stray = process(60, "/system.slice/nginx.service", "/var/lib/app/bin/x", is_sealed=False)
    assert [kind for kind, *_ in found(stray)] == ["foreign"]
    assert found(stray, programs=("/var/lib/app",)) == []
    assert [kind for kind, *_ in found(stray, programs=("/var/lib/ap",))] == ["foreign"]


def test_a_unit_that_declared_services_make_at_run_time() -> None:
    container = process(61, "/system.slice/docker-0a.scope", "/bin/app", is_sealed=False)
    assert [kind for kind, *_ in found(container)] == ["undeclared"]
    assert found(container, allowed=("docker-0a.scope",)) == []


def test_somebody_who_is_logged_in() -> None:
    sshd = process(70, f"{USER}/session-1.scope", "/usr/lib/openssh/sshd-session")
    shell = process(71, f"{USER}/session-1.scope", "/usr/bin/bash", parent=70)
    manager = process(72, f"{USER}/user@0.service/init.scope", "/usr/lib/systemd/systemd")
    stray = process(73, f"{USER}/session-1.scope", "/tmp/stray", is_sealed=False)
    app = process(74, f"{USER}/user@0.service/app.slice/x.service")
    kinds = [(one.kind, one.pids) for one in judge([sshd, shell, manager, stray, app], UNITS, sealed)]
    assert kinds == [("session", (70,)), ("session", (71,)), ("foreign", (73,)), ("session", (74,))]
    assert found(manager) == []  # it stays for some seconds when everybody is gone
    posing = process(75, f"{USER}/user@0.service/init.scope", "/usr/bin/python3")
    assert [kind for kind, *_ in found(posing)] == ["undeclared"]


def test_what_somebody_left_behind_is_no_session() -> None:
    left = process(80, f"{USER}/session-1.scope", "/usr/bin/python3")
    other = process(81, "/user.slice/user-1000.slice/session-2.scope", "/usr/lib/openssh/sshd-session")
    forged = process(82, f"{USER}/session-1.scope", "/tmp/sshd", is_sealed=False)
    kinds = [(kind, why) for kind, _, why in found(left, other, forged)]
    assert kinds == [
        ("undeclared", "nobody is logged in there any more"),
        ("session", ""),
        ("undeclared", "nobody is logged in there any more"),
    ]


def test_many_of_a_kind_are_told_once() -> None:
    (one,) = judge([process(pid, "/system.slice/run-u1.service") for pid in range(100, 150)], UNITS, sealed)
    assert (one.count, one.pids) == (50, (100, 101, 102, 103))


def test_whoever_asks_is_left_out() -> None:
    asker = [process(90, f"{USER}/session-3.scope"), process(91, "", parent=90), process(92, "", parent=91)]
    sibling = process(94, f"{USER}/session-3.scope")
    init = process(1, "/init.scope", parent=0)
    everything = [init, replace(asker[0], program="/usr/lib/openssh/sshd-session"), *asker[1:], sibling]
    own = ancestry(everything, 92)
    assert own == {90, 91, 92}
    (one,) = judge(everything, UNITS, sealed, asker=own)
    assert (one.kind, one.pids) == ("session", (94,))


@pytest.mark.parametrize(
    ("group", "unit"),
    [
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
        ("/system.slice/a.service/inner.scope", "a.service"),
        ("/user.slice/user-0.slice/user@0.service/app.slice/x.service", "user@0.service"),
        ("/system.slice/var-lib-x.mount", "var-lib-x.mount"),
        ("/system.slice", None),
        ("/", None),
    ],
)
def test_the_unit_of_a_control_group(group: str, unit: str | None) -> None:
    assert unit_of(group) == unit


def test_a_control_group_is_that_of_version_two() -> None:
    assert group_of("12:pids:/x\n0::/system.slice/a.service\n") == "/system.slice/a.service"
    assert group_of("0::/system.slice/a.service (deleted)\n") == "/system.slice/a.service"
    assert group_of("") == "/"


def test_what_systemd_tells_of_several_units() -> None:
    shown = (
        "FragmentPath=/etc/systemd/system/a.service\nDropInPaths=/x/1.conf /x/2.conf\nId=a.service\n\n"
        "Id=b.service\nFragmentPath=\nDropInPaths=\n"
    )
    assert units_in(shown) == {
        "a.service": UnitFiles("/etc/systemd/system/a.service", ("/x/1.conf", "/x/2.conf")),
        "b.service": UnitFiles(""),
    }


def test_units_made_by_hand_that_run_nothing_yet(tmp_path: Path) -> None:
    for name in ("evil.timer", "session-4.scope"):
        (tmp_path / name).touch()
    (tmp_path / "nginx.service.d").mkdir()
    told = [(one.unit, one.count) for one in idle_units([tmp_path, tmp_path / "missing"])]
    assert told == [("evil.timer", 0), ("nginx.service", 0)]


MOUNTS = r"""
20 1 0:30 / / ro,relatime - overlay invar ro,lowerdir=/config:/packages
21 20 254:0 / /run/invar/packages ro - erofs /dev/dm-0 ro
22 20 254:9 / /run/other ro - erofs /dev/dm-9 ro
23 20 7:0 / /run/loop ro - erofs /dev/loop0 ro
24 20 8:1 / /var rw - ext4 /dev/vda4 rw
25 20 0:40 / /etc ro - overlay invar ro,lowerdir=/run/invar/x/etc:/run/invar/packages/etc
26 20 0:41 / /nix rw - overlay invar rw,lowerdir=/x,upperdir=/y,workdir=/z
27 20 0:42 / /usr ro - overlay evil ro,lowerdir=/tmp/usr
28 20 0:43 / /with\040space rw - tmpfs tmpfs rw
""".strip()


def test_what_is_sealed_is_mounted_from_proven_layers() -> None:
    mounts = read_mountinfo(MOUNTS)
    assert mounts[28].place == "/with space"
    names = {"254:0": "invar-packages", "254:9": "swap"}
    assert sealed_devices(mounts, 20, names) == {"0:30", "254:0", "0:40"}


def test_what_is_mounted_over_the_sealed_system_is_told(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    for name in ("etc", "usr/bin", "mnt/data", "var/lib"):
        (layer / name).mkdir(parents=True)
    for name in ("etc/hosts", "etc/machine-id", "usr/bin/true"):
        (layer / name).touch()
    (layer / "usr/bin/link").symlink_to("nowhere")
    listed = """
20 1 0:30 / / ro - overlay invar ro,lowerdir=/config:/packages
25 20 0:40 / /etc ro - overlay invar ro,lowerdir=/run/invar/x/etc
30 25 0:24 /machine-id /etc/machine-id ro - tmpfs run rw
31 25 0:24 /x /etc/hosts rw - tmpfs run rw
32 20 0:50 / /mnt/data rw - ext4 /dev/vdb rw
33 20 0:51 / /usr/bin rw - tmpfs evil rw
34 33 0:51 / /usr/bin/true rw - tmpfs evil rw
35 20 8:1 / /var rw - ext4 /dev/vda4 rw
36 20 0:52 / /usr/bin/link rw - tmpfs evil rw
37 25 0:24 / /etc/nothing rw - tmpfs run rw
""".strip()
    found = covering(read_mountinfo(listed), frozenset({"0:30", "0:40"}), [layer])
    assert [(place, mount.source) for place, mount in found] == [
        ("/etc/hosts", "run"), ("/usr/bin", "evil"), ("/usr/bin/link", "evil"),
    ]  # fmt: skip


def test_the_processes_of_this_computer_can_be_read() -> None:
    """None of them is of a sealed system, and this one is among them."""
    import os

    sealed_here = Sealed()
    processes = {one.pid: one for one in read_processes(sealed_here)}
    own = processes[os.getpid()]
    assert (own.parent, own.sealed) == (os.getppid(), False)
    assert Path(own.program).name.startswith("python")
