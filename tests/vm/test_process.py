"""A process that was recorded is never taken for another one with its number."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from invar.vm.process import ProcessIdentity, send, start_with_descriptors, wait_for_exit


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def identity(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    found = ProcessIdentity.of(process.pid)
    assert found is not None
    return found


def test_a_running_process_is_alive(child: subprocess.Popen[bytes]) -> None:
    assert identity(child).alive
    assert not wait_for_exit(identity(child), 0)


def test_a_process_that_ended_is_not(child: subprocess.Popen[bytes]) -> None:
    known = identity(child)
    assert send(known, signal.SIGTERM)
    assert wait_for_exit(known, 30)
    assert not known.alive, "a zombie counts as ended"
    child.wait()
    assert not known.alive
    assert not send(known, signal.SIGTERM)
    assert wait_for_exit(known, 0)


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another boot"}])
def test_the_same_number_of_another_process_is_let_be(
    child: subprocess.Popen[bytes], change: dict[str, object]
) -> None:
    recycled = dataclasses.replace(identity(child), **change)
    assert not recycled.alive
    assert not send(recycled, signal.SIGKILL)
    assert wait_for_exit(recycled, 0)
    assert child.poll() is None


def test_nobody_has_a_number_that_is_free(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    assert ProcessIdentity.of(child.pid) is None


def test_descriptors_arrive_at_their_numbers_and_no_others(tmp_path: Path) -> None:
    given, other = tmp_path / "given", tmp_path / "other"
    with given.open("wb") as file, other.open("wb") as kept:
        script = f"""
import os
os.write(100, b"here")
print([number for number in ({file.fileno()}, {kept.fileno()}) if os.path.exists(f"/proc/self/fd/{{number}}")])
"""
        argv = [sys.executable, "-c", script]
        process = start_with_descriptors(argv, {100: file.fileno()}, tmp_path, tmp_path / "log")
        assert process.wait(60) == 0, (tmp_path / "log").read_text()
    assert given.read_bytes() == b"here"
    assert (tmp_path / "log").read_text() == "[]\n"


def test_a_child_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from invar.vm.process import start_with_descriptors\n"
        "child = start_with_descriptors(['sleep', '600'], {}, Path('.'), Path('log'))\n"
        "print(child.pid, flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(argv, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        grandchild = ProcessIdentity.of(int(parent.stdout.readline()))
        assert grandchild is not None
        parent.kill()
        parent.wait()
    assert wait_for_exit(grandchild, 30)
