"""A tiny real guest, booted through UEFI from its disk, finds itself as if on EC2, and is checked from outside."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.system.record import Check
from invar.vm.boot import Equipment, boot_and_check
from invar.vm.console import Console
from invar.vm.control import reset
from invar.vm.install import QemuInstall, SshInstall
from invar.vm.machine import MachineSpec, running, start, stop
from invar.vm.probes import Outside
from invar.vm.process import wait_for_exit
from invar.vm.qemu import Forward, Identity
from invar.vm.record import Machine
from invar.vm.ssh import SshAccess, ensure_key
from vm.guest import NETWORK, POWER_OFF, GuestParts, make_image

pytestmark = [pytest.mark.build, pytest.mark.boot]

BOOT_SECONDS = 240

SCRIPT = (
    NETWORK
    + r"""
imds() { wget -q -O - --header "X-aws-ec2-metadata-token: $TOKEN" "http://169.254.169.254/latest/$1"; echo; }
PUT='PUT /latest/api/token HTTP/1.0\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n'
TOKEN=$(printf "$PUT" | nc 169.254.169.254 80 | tail -n 1)
echo "instance-id=$(imds meta-data/instance-id)"
echo "key=$(imds meta-data/public-keys/0/openssh-key)"
echo "user-data=$(imds user-data)"
for i in 1 2 3 4 5 6 7 8; do imds meta-data/mac >/mac.$i & done; wait; echo "macs=$(cat /mac.* | sort -u | tr '\n' ' ')"
wget -q -O - http://169.254.169.254/latest/meta-data/instance-id
echo "mac=$(cat /sys/class/net/eth0/address)"
echo "address=$(ip -4 -o address show eth0 | awk '{print $4}')"
cd /sys/class/dmi/id; echo "dmi=$(cat sys_vendor) $(cat board_asset_tag) $(cat product_uuid)"; cd /
echo "serial=$(cat /sys/block/nvme0n1/device/serial)"
echo "sectors=$(cat /sys/block/nvme0n1/size)"
mkdir /www; echo '<h1>Welcome</h1>' >/www/index.html; httpd -p 80 -h /www
(nc -ll -p 5432 -e cat) &
echo scribble | dd of=/dev/nvme0n1 conv=fsync 2>/dev/null
echo GUEST-READY
read line
echo "typed=$line"
read line
"""
    + POWER_OFF
)


@pytest.fixture(scope="module")
def image(guest_parts: GuestParts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guest's disk, which nobody may write."""
    made = make_image(guest_parts, tmp_path_factory.mktemp("guest"), SCRIPT)
    made.chmod(0o444)
    return made


@pytest.fixture(scope="module")
def spec(image: Path) -> MachineSpec:
    return MachineSpec(
        image=image,
        format="raw",
        name="guest",
        memory=512,
        accelerator="tcg",
        disk_size=1 << 30,
        forwards=tuple(Forward(port) for port in (22, 80, 81, 5432)),
        public_keys={"invar": "ssh-ed25519 AAAA invar"},
        user_data=b"hello from outside",
    )


@pytest.fixture(scope="module")
def booted(spec: MachineSpec, install: QemuInstall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The guest, up."""
    home = Home(tmp_path_factory.mktemp("home"))
    with running(spec, install, home, Report()) as machine:
        with Console(machine) as console:
            console.wait_for("^GUEST-READY", BOOT_SECONDS)
        yield machine


def said(machine: Machine, name: str) -> str:
    """What the guest said of something: `name=...`."""
    with Console(machine) as console:
        return console.wait_for(rf"^{name}=(.*)$", 30)[1].strip()


def test_the_metadata_service_is_reached_at_its_address(booted: Machine) -> None:
    assert said(booted, "instance-id") == booted.instance_id
    assert said(booted, "key") == "ssh-ed25519 AAAA invar"
    assert said(booted, "user-data") == "hello from outside"


def test_metadata_is_served_to_several_at_once(booted: Machine) -> None:
    assert said(booted, "macs") == said(booted, "mac")


def test_metadata_without_a_token_is_refused(booted: Machine) -> None:
    with Console(booted) as console:
        console.wait_for("401 Unauthorized", 30)


def test_the_guest_sees_hardware_like_ec2s(booted: Machine) -> None:
    identity = Identity.of_instance(booted.instance_id)
    assert said(booted, "dmi") == f"Amazon EC2 {booted.instance_id} {identity.product_uuid}"
    assert said(booted, "mac") == identity.mac
    assert said(booted, "serial") == identity.volume_id.replace("-", "")
    assert said(booted, "address") == "169.255.0.15/15"


def test_the_disk_has_the_size_asked_for(booted: Machine) -> None:
    assert int(said(booted, "sectors")) * 512 == 1 << 30


def test_the_image_is_not_written(booted: Machine, image: Path) -> None:
    assert booted.status == "running"
    assert not image.read_bytes().startswith(b"scribble")


def test_ports_are_told_open_from_closed(booted: Machine) -> None:
    outside = Outside(booted)
    assert outside.tcp(5432).passed, "a server that waits for the client to speak"
    assert outside.tcp(80).passed
    assert not outside.tcp(81).passed
    assert outside.tcp(81).seen == "the connection was refused"
    assert not outside.ssh_greets(22).passed


@pytest.mark.parametrize(
    ("path", "status", "body", "passed"),
    [
        ("/", 200, None, True),
        ("/", 200, "Welcome", True),
        ("/no", 404, None, True),
        ("/", 200, "Goodbye", False),
        ("/no", 200, None, False),
    ],
)
def test_answers_over_http_are_compared(
    booted: Machine, path: str, status: int, body: str | None, passed: bool
) -> None:
    assert Outside(booted).http_get(80, path, status, body).passed is passed


def test_checks_pass_and_fail_with_their_reasons(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    access = SshInstall.from_host()
    equipment = Equipment(install, SshAccess(access, ensure_key(machines, access)))
    checks = (
        Check("web", "http", 60, port=80, path="/", status=200, body="Welcome"),
        Check("database", "tcp", 60, port=5432),
        Check("missing page", "http", 3, port=80, path="/no", status=200),
        Check("closed", "tcp", 3, port=81),
        Check("inside", "unit", 3, unit="web.service"),
    )
    with ExitStack() as until:
        _, report = boot_and_check(
            spec, checks, equipment, machines, Report(), until=until, boot_seconds=BOOT_SECONDS, automatic=False
        )
        assert [result.passed for result in report.results] == [True, True, False, False, False]
        assert not report.passed
        why = [str(result.why) for result in report.results]
        assert why[2].startswith("status 404, not 200")
        assert why[3] == "the connection was refused"
        assert why[4].startswith("no login as root")
        assert "GUEST-READY" in str(report.console), "nobody could log in, so the console is shown"


def test_typing_a_reset_and_switching_off_by_itself(spec: MachineSpec, install: QemuInstall, machines: Home) -> None:
    machine = start(spec, install, machines, Report())
    with Console(machine) as console:
        console.wait_for("^GUEST-READY", BOOT_SECONDS)
        console.type(b"something\n")
        console.wait_for("^typed=something", 60)
        reset(machine)
        console.wait_for(r"(?s)GUEST-READY.*GUEST-READY", BOOT_SECONDS)
        console.type(b"a\nb\n")
    assert wait_for_exit(machine.supervisor, 60)
    ended = machine.refreshed()
    assert (ended.status, ended.reason) == ("stopped", "the machine switched itself off")
    stop(ended)


def test_a_panic_ends_the_checks_with_the_consoles_tail(
    guest_parts: GuestParts, install: QemuInstall, spec: MachineSpec, tmp_path: Path, machines: Home
) -> None:
    image = make_image(guest_parts, tmp_path, "\nexit 3\n")
    access = SshInstall.from_host()
    equipment = Equipment(install, SshAccess(access, ensure_key(machines, access)))
    panicking = dataclasses.replace(spec, image=image)
    with ExitStack() as until, pytest.raises(InvarError, match="Kernel panic") as raised:
        boot_and_check(panicking, (), equipment, machines, Report(), until=until, boot_seconds=BOOT_SECONDS)
    assert "Attempted to kill init" in str(raised.value.why)
