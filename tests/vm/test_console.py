"""The console's record, its followers and what is typed; with a socket pair in the place of QEMU's serial port."""

from __future__ import annotations

import os
import pty
import re
import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.vm import unix_socket
from invar.vm.console import ESCAPE, Console, attach, fatal_line, log_text, plain_text, tail
from invar.vm.console_hub import ConsoleHub
from invar.vm.event_loop import dispatch
from invar.vm.process import ProcessIdentity
from invar.vm.record import Machine, write_record


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe: starting\r\n", "BdsDxe: starting\n"),
        (b"[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mnginx\x1b[0m.\r\n", "[  OK  ] Started nginx.\n"),
        (b"\x1b]0;root@web\x07# \x1b(B\x1b[m", "# "),
        (b"\x1b]8;;man:x\x1b\\x\x1b]8;;\x1b\\", "x"),
        (b"tab\there\x00\x07\x08", "tab\there"),
        (b"caf\xc3\xa9 \xff", "café \ufffd"),
    ],
)
def test_terminal_control_is_taken_out(raw: bytes, text: str) -> None:
    assert plain_text(raw) == text


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert plain_text(text.encode()) == text


@given(st.binary())
def test_no_control_character_gets_through(raw: bytes) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", plain_text(raw))


@pytest.mark.parametrize(
    "line",
    [
        "[    2.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
        "You are in emergency mode. After logging in, type ...",
        "BdsDxe: No bootable option or device was found.",
        "UEFI Interactive Shell v2.2",
    ],
)
def test_a_machine_that_will_not_come_up_is_recognised(line: str) -> None:
    assert fatal_line(f"before\n{line}\nafter\n") == line


def test_a_machine_that_boots_is_not_taken_for_one() -> None:
    assert fatal_line("panic=1 boot.panic_on_fail\nBdsDxe: starting Boot0001\nlogin: ") is None


class Serial:
    """A console hub in a thread, the machine that it belongs to, and the far end of its serial port."""

    def __init__(self, directory: Path) -> None:
        self.machine = Machine(
            name="test",
            directory=directory,
            state="running",
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
        write_record(self.machine)
        self.port, inside = socket.socketpair()
        self.port.settimeout(30)
        self._end, self._ended = socket.socketpair()
        selector = selectors.DefaultSelector()
        hub = ConsoleHub(selector, inside, unix_socket.listen(directory / "console.sock"), directory / "console.log")
        self._thread = threading.Thread(target=self._serve, args=(selector, hub))
        self._thread.start()

    def _serve(self, selector: selectors.BaseSelector, hub: ConsoleHub) -> None:
        ended: list[int] = []
        selector.register(self._ended, selectors.EVENT_READ, ended.append)
        while not ended:
            dispatch(selector, None)
        hub.close()
        selector.close()

    def end(self) -> None:
        """QEMU ends, and the supervisor with it."""
        self.port.close()
        self._end.close()
        self._thread.join()


@pytest.fixture
def serial(tmp_path: Path) -> Iterator[Serial]:
    made = Serial(tmp_path)
    yield made
    made.end()


def test_who_comes_late_sees_everything_and_what_follows(serial: Serial) -> None:
    serial.port.sendall(b"early\r\n")
    with Console(serial.machine) as first:
        first.wait_for("early", 30)
        with Console(serial.machine) as second:
            serial.port.sendall(b"late\r\n")
            second.wait_for(r"early\nlate", 30)
        first.wait_for("late", 30)
    assert log_text(serial.machine) == "early\nlate\n"


def test_what_anyone_types_reaches_the_machine(serial: Serial) -> None:
    with Console(serial.machine) as first, Console(serial.machine) as second:
        first.type(b"a")
        assert serial.port.recv(1) == b"a"
        second.type(b"b")
        assert serial.port.recv(1) == b"b"


def test_much_output_arrives_whole(serial: Serial) -> None:
    lines = b"".join(b"%06d " % number + b"x" * 90 + b"\n" for number in range(20_000))
    with Console(serial.machine) as console:
        sender = threading.Thread(target=serial.port.sendall, args=(lines + b"END\n",))
        sender.start()
        received = bytearray()
        while not received.endswith(b"END\n"):
            received += console.receive()
        sender.join()
    assert bytes(received) == lines + b"END\n"
    assert serial.machine.console_log.read_bytes() == bytes(received)


def test_an_idle_follower_does_not_hold_up_the_machine(serial: Serial) -> None:
    piece_size, pieces = 1 << 20, 16
    with Console(serial.machine) as idle, Console(serial.machine) as active:
        for _ in range(pieces):
            serial.port.sendall(b"y" * piece_size)
            left = piece_size
            while left:
                piece = active.receive()
                assert piece, "it was dropped, though it reads"
                left -= len(piece)
        received = 0
        while piece := idle.receive():
            received += len(piece)
        assert received < pieces * piece_size, "it was dropped"


def test_followers_that_come_and_go_while_it_writes_do_no_harm(serial: Serial) -> None:
    for number in range(50):
        with Console(serial.machine), Console(serial.machine):
            serial.port.sendall(b"line %d\r\n" % number)
    with Console(serial.machine) as console:
        console.wait_for("line 49$", 30)
        assert console.text.splitlines() == [f"line {number}" for number in range(50)]


def test_what_one_callable_closes_is_not_called_in_the_same_round() -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    called = []
    with selectors.DefaultSelector() as selector:

        def close_the_other(mine: int) -> None:
            called.append(mine)
            other = pairs[1 - mine][0]
            selector.unregister(other)
            other.close()

        for number, (ours, theirs) in enumerate(pairs):
            selector.register(ours, selectors.EVENT_READ, lambda mask, number=number: close_the_other(number))
            theirs.sendall(b"x")
        dispatch(selector, 30)
    assert len(called) == 1
    for pair in pairs:
        for end in pair:
            end.close()


def test_a_panic_ends_the_wait_and_shows_the_tail(serial: Serial) -> None:
    serial.port.sendall(b"one\r\n[ 1.0] Kernel panic - not syncing: no init\r\n")
    with Console(serial.machine) as console, pytest.raises(InvarError, match="Kernel panic") as raised:
        console.wait_for("login:", 30)
    assert "one" in str(raised.value.why)


def test_the_end_of_the_machine_ends_the_wait(tmp_path: Path) -> None:
    serial = Serial(tmp_path)
    serial.port.sendall(b"last words\r\n")
    with Console(serial.machine) as console:
        console.wait_for("last words", 30)
        serial.end()
        with pytest.raises(InvarError, match="does not run") as raised:
            console.wait_for("login:", 30)
    assert "last words" in str(raised.value.why)


def test_what_does_not_come_in_time_is_told_with_the_tail(serial: Serial) -> None:
    serial.port.sendall(b"something else\r\n")
    with Console(serial.machine) as console:
        console.wait_for("else", 30)
        with pytest.raises(InvarError, match="did not show 'login:'") as raised:
            console.wait_for("login:", 0)
    assert "something else" in str(raised.value.why)


def test_the_tail_of_a_silent_console_says_so(serial: Serial) -> None:
    assert tail(serial.machine) == "the console has shown nothing"


def test_attached_a_terminal_types_and_leaves_by_the_escape(serial: Serial) -> None:
    keyboard, terminal = pty.openpty()
    shown, output = os.pipe()
    left: list[bool] = []
    thread = threading.Thread(
        target=lambda: left.append(attach(serial.machine, output=output, keyboard=terminal)), daemon=True
    )
    thread.start()
    serial.port.sendall(b"login: ")
    assert os.read(shown, 100) == b"login: "
    os.write(keyboard, b"root\x03")
    typed = b""
    while len(typed) < 5:
        typed += serial.port.recv(100)
    assert typed == b"root\x03", "Ctrl-C goes to the machine"
    os.write(keyboard, ESCAPE)
    thread.join(30)
    assert left == [True]


def test_of_a_machine_that_has_ended_the_record_is_shown(tmp_path: Path) -> None:
    serial = Serial(tmp_path)
    serial.port.sendall(b"all of it")
    serial.end()
    shown, output = os.pipe()
    assert attach(serial.machine, output=output, keyboard=None) is False
    assert os.read(shown, 100) == b"all of it"
