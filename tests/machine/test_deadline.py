"""The deadline of a soft-reboot: called off, passed, or taken over by another one."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from invar.machine.deadline import wait


@dataclass(frozen=True)
class Places:
    armed: Path
    sysrq: Path
    log: Path

    def waiting(self, seconds: float) -> threading.Thread:
        """A deadline in a thread of its own; returns once it is armed."""
        known = self.armed.stat().st_ino if self.armed.exists() else 0
        thread = threading.Thread(
            target=wait, args=(seconds, self.armed, self.sysrq, self.log), kwargs={"sync_seconds": 0.0}, daemon=True
        )
        thread.start()
        while not self.armed.exists() or self.armed.stat().st_ino == known:
            time.sleep(0.01)
        return thread


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path / "run/deadline", tmp_path / "sysrq-trigger", tmp_path / "kmsg")
    found.armed.parent.mkdir()
    return found


def test_what_is_called_off_does_nothing(places: Places) -> None:
    thread = places.waiting(600)
    places.armed.unlink()
    thread.join(60)
    assert not thread.is_alive() and places.sysrq.read_bytes() == places.log.read_bytes() == b""


def test_who_passes_it_is_told_synced_and_reset(places: Places) -> None:
    places.waiting(0.1).join(60)
    assert places.sysrq.read_bytes() == b"sb"
    assert b"no checks began within 0 seconds of a soft-reboot" in places.log.read_bytes()


def test_a_later_one_takes_over(places: Places) -> None:
    first = places.waiting(600)
    second = places.waiting(600)
    first.join(60)
    assert not first.is_alive() and second.is_alive()
    places.armed.unlink()
    second.join(60)
    assert places.sysrq.read_bytes() == b""
    assert list(places.armed.parent.iterdir()) == []


def test_the_paths_may_be_gone_by_then(places: Places, tmp_path: Path) -> None:
    """As in a soft-reboot, where another root is in the place of the one that it began in."""
    thread = places.waiting(0.5)
    places.armed.parent.rename(tmp_path / "elsewhere")
    with places.sysrq.open("rb") as sysrq:
        places.sysrq.unlink()
        thread.join(60)
        assert sysrq.read() == b"sb"


def test_systemd_is_told_once_it_waits(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(os.fspath(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", os.fspath(tmp_path / "notify"))
        thread = places.waiting(600)
        assert link.recv(100) == b"READY=1"
        places.armed.unlink()
        thread.join(60)
