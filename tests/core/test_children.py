"""Ctrl-C while a program is being started, and while it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from invar.core.children import child, interrupts_held

SLEEPER = (sys.executable, "-I", "-c", "import time; time.sleep(600)")


def test_an_interrupt_is_raised_when_the_block_has_ended() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        signal.raise_signal(signal.SIGINT)
        done.append("to its end")
    assert done == ["to its end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_handler_and_no_main_thread_change_nothing() -> None:
    seen = []

    def work() -> None:
        with interrupts_held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_an_interrupt_in_the_block_ends_the_program_before_it_goes_on() -> None:
    with pytest.raises(KeyboardInterrupt), child(SLEEPER) as process:
        signal.raise_signal(signal.SIGINT)
    assert process.returncode == -signal.SIGKILL


def test_an_interrupt_at_any_moment_of_a_start_leaves_no_program(tmp_path: Path) -> None:
    """A process is interrupted by itself after so many steps of its own: in the start, between it and the block."""
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2] / "src")!r})
from invar.core.children import child
left = int(sys.argv[1])
def step(frame, event, argument):
    global left
    left -= 1
    if left == 0:
        signal.raise_signal(signal.SIGINT)
    return step
try:
    sys.settrace(step)
    with child(["sleep", "600"]):
        sys.settrace(None)
        os._exit(7)
except KeyboardInterrupt:
    sys.settrace(None)
print(open(f"/proc/self/task/{{os.getpid()}}/children").read().split())
"""
    ended = 0
    for steps in range(1, 400, 23):
        done = subprocess.run([sys.executable, "-I", "-c", code, str(steps)], capture_output=True, text=True)
        if done.returncode == 7:
            break
        assert done.stdout == "[]\n", (steps, done.stdout, done.stderr)
        ended += 1
    assert ended > 3


def test_a_program_that_does_not_start_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), child([os.fspath(tmp_path / "none")]):
        pass
