"""What systemd and commands say is read right; commands run on this host, with a stand-in for systemctl."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from invar.vm import inside_probes
from invar.vm.inside import Ran

SYSTEMCTL = """#!/bin/sh
case "$*" in
"show "*good.service) printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\nResult=success\\n';;
"show "*slow.service) printf 'LoadState=loaded\\nActiveState=activating\\nSubState=start\\nResult=success\\n';;
"show "*bad.service) printf 'LoadState=loaded\\nActiveState=failed\\nSubState=failed\\nResult=exit-code\\n';;
"show "*) printf 'LoadState=not-found\\nActiveState=inactive\\nSubState=dead\\nResult=success\\n';;
"is-system-running --wait") echo "$STATE"; [ "$STATE" = running ];;
"list-units "*) printf "$FAILED";;
"status "*) echo "status: $*" | sed 's/.* //'; exit 3;;
esac
"""


class Here:
    """Runs commands on this host, `systemctl` from a directory of the test's."""

    def __init__(self, directory: Path, state: str = "running", failed: str = "") -> None:
        path = directory / "systemctl"
        path.write_text(SYSTEMCTL)
        path.chmod(0o755)
        self._environment = {"PATH": f"{directory}:{os.environ['PATH']}", "STATE": state, "FAILED": failed}

    def run(self, argv: Sequence[str], seconds: float) -> Ran:
        ran = subprocess.run(
            argv,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout)


@pytest.mark.parametrize(
    ("unit", "passed", "final", "seen"),
    [
        ("good.service", True, False, "active"),
        ("slow.service", False, False, "slow.service is activating (start, result success)"),
        ("bad.service", False, True, "bad.service is failed (failed, result exit-code)"),
        ("none.service", False, True, "there is no unit none.service"),
    ],
)
def test_the_state_of_a_unit(tmp_path: Path, unit: str, passed: bool, final: bool, seen: str) -> None:
    look = inside_probes.unit(Here(tmp_path), unit, 60)
    assert (look.passed, look.final, look.seen) == (passed, final, seen)


def test_a_command_passes_by_its_exit_status(tmp_path: Path) -> None:
    here = Here(tmp_path)
    assert inside_probes.command(here, ("true",), "root", 60).passed
    look = inside_probes.command(here, ("sh", "-c", "echo one; echo two >&2; exit 3"), "root", 60)
    assert (look.passed, look.final, look.seen) == (False, False, "exit status 3: one\ntwo")


def test_a_command_of_another_user_goes_through_runuser(tmp_path: Path) -> None:
    seen: list[Sequence[str]] = []

    class Noting(Here):
        def run(self, argv: Sequence[str], seconds: float) -> Ran:
            seen.append(argv)
            return Ran(0, "")

    inside_probes.command(Noting(tmp_path), ("id", "-u"), "deploy", 60)
    assert seen == [("runuser", "-u", "deploy", "--", "id", "-u")]


def test_another_digest_is_told(tmp_path: Path) -> None:
    class Kernel(Here):
        def run(self, argv: Sequence[str], seconds: float) -> Ran:
            return Ran(0, "console=ttyS0 invar.digest=abc invar.config=x:y:1\n")

    kernel = Kernel(tmp_path)
    assert inside_probes.system_digest(kernel, "abc", 60).passed
    look = inside_probes.system_digest(kernel, "abcd", 60)
    assert (look.passed, look.final, look.seen) == (False, True, "the machine runs abc, not abcd")


def test_a_kernel_without_a_digest_is_told(tmp_path: Path) -> None:
    look = inside_probes.system_digest(Here(tmp_path), "abc", 60)
    assert (look.passed, look.final) == (False, True)
    assert "no invar.digest" in look.seen


def test_failed_units_are_named(tmp_path: Path) -> None:
    listing = "nginx.service loaded failed failed Web server\\nx@1.service loaded failed failed X\\n"
    here = Here(tmp_path, state="degraded", failed=listing)
    look = inside_probes.no_failed_unit(here, 60)
    assert (look.passed, look.final, look.seen) == (False, True, "failed: nginx.service, x@1.service")
    assert inside_probes.failed_units_evidence(here) == "nginx.service\nx@1.service"


def test_a_system_without_failed_units_passes(tmp_path: Path) -> None:
    assert inside_probes.no_failed_unit(Here(tmp_path), 60).passed


@pytest.mark.parametrize(
    ("listing", "names"),
    [("", []), ("a.service loaded failed failed A\n", ["a.service"]), ("● a.service loaded failed\n", ["a.service"])],
)
def test_the_listing_of_failed_units_is_read(listing: str, names: list[str]) -> None:
    assert inside_probes.failed_units(listing) == names
