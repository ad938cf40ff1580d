"""What is forwarded and accepted for checks, and how their results are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.system.record import Check
from invar.vm.boot import for_checks
from invar.vm.checks import CheckReport, CheckResult, automatic_tasks, guest_ports, run_checks
from invar.vm.install import SshInstall
from invar.vm.machine import MachineSpec
from invar.vm.process import ProcessIdentity
from invar.vm.qemu import Forward
from invar.vm.record import Machine
from invar.vm.ssh import SshAccess, SshKey

CHECKS = (
    Check("web", "http", 60, port=80),
    Check("also web", "http", 60, port=80, path="/x"),
    Check("database", "tcp", 60, port=5432),
    Check("unit", "unit", 60, unit="nginx.service"),
)
ACCESS = SshAccess(SshInstall(("ssh",), ("ssh-keygen",), ("ssh-keyscan",)), SshKey(Path("/key"), "ssh-ed25519 AAAA"))


def test_the_ports_of_checks_are_forwarded_once_and_sshs_always() -> None:
    assert guest_ports(CHECKS) == (22, 80, 5432)
    assert guest_ports((), extra=(8080, 22)) == (22, 8080)


def test_what_was_asked_for_stays_as_asked() -> None:
    spec = MachineSpec(Path("/i"), "raw", "web", forwards=(Forward(80, 8080),), public_keys={"mine": "ssh-rsa BBBB"})
    full = for_checks(spec, CHECKS, ACCESS)
    assert full.forwards == (Forward(80, 8080), Forward(22), Forward(5432))
    assert full.public_keys == {"mine": "ssh-rsa BBBB", "invar": "ssh-ed25519 AAAA"}


def test_the_digest_is_checked_where_it_is_known() -> None:
    assert [task.name for task in automatic_tasks(None)] == ["no failed unit"]
    assert [task.name for task in automatic_tasks("ab")] == ["no failed unit", "system digest"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine that does not run."""
    return Machine(
        name="web",
        directory=tmp_path,
        state="stopped",
        supervisor=ProcessIdentity.own(),
        qemu=None,
        image="/image",
        digest=None,
        instance_id="i-0",
        ports={},
        accelerator="tcg",
        memory=0,
        cpus=0,
        starter=None,
        created=0.0,
    )


@pytest.mark.parametrize(
    "check",
    [Check("x", "tcp", 60), Check("x", "http", 60), Check("x", "unit", 60), Check("x", "command", 60)],
    ids=lambda check: check.kind,
)
def test_a_check_that_lacks_its_object_is_told(machine: Machine, check: Check) -> None:
    with pytest.raises(InvarError, match="the check x lacks"):
        run_checks(machine, (check,), ACCESS, Report())


def test_a_machine_that_does_not_run_is_told(machine: Machine) -> None:
    machine.console_log.write_text("last words\n")
    with pytest.raises(InvarError, match="the machine web does not run") as raised:
        run_checks(machine, CHECKS, ACCESS, Report())
    assert "last words" in str(raised.value.why)


def test_failures_are_told_with_reason_evidence_and_console(machine: Machine) -> None:
    report = CheckReport(
        (
            CheckResult("web", "http", True, 1.0),
            CheckResult("unit", "unit", False, 2.0, why="nginx.service is failed", evidence="one\ntwo"),
        ),
        boot_seconds=0.5,
        console="the console's last lines:\nthree",
    )
    assert not report.passed
    error = report.error(machine)
    assert error.what == "1 of 2 checks failed"
    assert str(error.why).splitlines() == [
        "unit (unit): nginx.service is failed",
        "  one",
        "  two",
        "the console's last lines:",
        "three",
    ]
    assert json.loads(json.dumps(report.to_data()))["checks"][1]["why"] == "nginx.service is failed"
