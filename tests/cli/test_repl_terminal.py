"""`invar repl` on a terminal: completion, inputs of several lines, faults in their place, history."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
SECONDS = 60


class Terminal:
    """The near end of a pseudo-terminal with the REPL at its far end."""

    def __init__(self, home: Path) -> None:
        self.end, far = pty.openpty()
        termios.tcsetwinsize(far, (40, 100))
        environment = {**os.environ, "INVAR_HOME": str(home), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-m", "invar", "repl"], stdin=far, stdout=far, stderr=far, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(far)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())

    def wait_for(self, text: str) -> str:
        """What was shown from the last such place up to and with `text`."""
        until = time.monotonic() + SECONDS
        while text not in _CONTROL.sub("", self.seen):
            ready, _, _ = select.select([self.end], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"no {text!r} in {self.seen!r}"
            self.seen += os.read(self.end, 65536).decode(errors="replace")
        before, found, self.seen = _CONTROL.sub("", self.seen).partition(text)
        return before + found


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    made.wait_for("invar>")
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    os.close(made.end)


def test_names_are_completed(terminal: Terminal) -> None:
    terminal.type("builtins.stringL\t")
    terminal.wait_for("stringLength")
    terminal.type(' "abcde"\r')
    terminal.wait_for("\n5\r\n")


def test_an_input_goes_on_over_lines(terminal: Terminal) -> None:
    terminal.type("let x = {\r")
    terminal.type("foo = 7; };\r")
    terminal.type("in x.foo\r")
    terminal.wait_for("\n7\r\n")


def test_a_fault_stands_below_what_was_typed_and_the_session_goes_on(terminal: Terminal) -> None:
    terminal.type('throw "gone"\r')
    shown = terminal.wait_for("error: gone")
    assert "throw" in shown
    terminal.wait_for("invar>")
    terminal.type("1 + 2\r")
    terminal.wait_for("\n3\r\n")


def test_the_history_outlives_the_session(terminal: Terminal, tmp_path: Path) -> None:
    terminal.type("1 + 2\r")
    terminal.wait_for("\n3\r\n")
    terminal.wait_for("invar>")
    terminal.type("\x04")
    assert terminal.process.wait(SECONDS) == 0
    assert "+1 + 2" in (tmp_path / "repl-history").read_text()
    assert (tmp_path / "repl-history").stat().st_mode & 0o077 == 0
