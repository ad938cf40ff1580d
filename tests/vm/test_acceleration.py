"""KVM is used only where it works, and asked for once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from invar.core.errors import ExitCode, InvarError
from invar.core.events import Event, Report, StageStarted
from invar.core.home import Home
from invar.vm.acceleration import kvm_works, resolve, wanted_from_environment
from invar.vm.install import QemuInstall

USABLE = os.access("/dev/kvm", os.R_OK | os.W_OK)


@pytest.mark.parametrize(
    ("environment", "wanted"), [({}, "auto"), ({"INVAR_ACCEL": "tcg"}, "tcg"), ({"INVAR_ACCEL": "kvm"}, "kvm")]
)
def test_the_environment_decides(environment: dict[str, str], wanted: str) -> None:
    assert wanted_from_environment(environment) == wanted


def test_an_unknown_accelerator_is_a_usage_error() -> None:
    with pytest.raises(InvarError) as raised:
        wanted_from_environment({"INVAR_ACCEL": "hvf"})
    assert raised.value.exit_code == ExitCode.USAGE
    assert raised.value.hint == "it is auto, kvm or tcg"


@pytest.mark.build
@pytest.mark.skipif(not USABLE, reason="/dev/kvm is not there, or not ours to use")
def test_what_was_found_out_is_remembered(install: QemuInstall, tmp_path: Path) -> None:
    home = Home(tmp_path)
    events: list[Event] = []
    first = resolve("auto", install, home, Report(events.append))
    assert first == ("kvm" if kvm_works(install, home) else "tcg")
    assert [event for event in events if isinstance(event, StageStarted)] == [StageStarted("try KVM")]
    events.clear()
    assert resolve("auto", install, home, Report(events.append)) == first
    assert events == []


@pytest.mark.build
@pytest.mark.skipif(not USABLE, reason="/dev/kvm is not there, or not ours to use")
def test_after_a_reboot_it_is_tried_again(install: QemuInstall, tmp_path: Path) -> None:
    home = Home(tmp_path)
    resolve("auto", install, home, Report())
    remembered = home.machines / ".kvm.json"
    known = json.loads(remembered.read_text())
    known["for"][0] = "another boot"
    remembered.write_text(json.dumps(known))
    events: list[Event] = []
    resolve("auto", install, home, Report(events.append))
    assert StageStarted("try KVM") in events


@pytest.mark.skipif(USABLE, reason="/dev/kvm can be opened here")
def test_without_kvm_machines_are_emulated(tmp_path: Path) -> None:
    nothing = QemuInstall((), (), (), "", tmp_path, None)
    assert resolve("auto", nothing, Home(tmp_path), Report()) == "tcg"


@pytest.mark.parametrize("wanted", ["kvm", "tcg"])
def test_what_was_asked_for_is_not_questioned(tmp_path: Path, wanted: str) -> None:
    nothing = QemuInstall((), (), (), "", tmp_path, None)
    assert resolve("kvm" if wanted == "kvm" else "tcg", nothing, Home(tmp_path), Report()) == wanted


@pytest.mark.parametrize("wanted", ["kvm", "tcg"])
def test_what_the_environment_asks_for_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("INVAR_ACCEL", wanted)
    nothing = QemuInstall((), (), (), "", tmp_path, None)
    assert resolve("auto", nothing, Home(tmp_path), Report()) == wanted
