"""The process that owns one machine: QEMU, its console, its metadata service and its record.

Started as `python -m invar.vm.supervisor DIRECTORY`.

SIGTERM presses the machine's power button, SIGINT switches it off. Standard input is the lifeline of a foreground
machine: when the starter closes it, or dies, the machine is switched off and its directory deleted. Standard output
carries one line, once the machine runs or could not be started; then it is closed.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from invar.core.errors import InvarError
from invar.vm import unix_socket
from invar.vm.console_hub import ConsoleHub
from invar.vm.control import NEW_USER_DATA, ControlServer
from invar.vm.event_loop import dispatch
from invar.vm.metadata import Instance
from invar.vm.metadata_server import MetadataServer
from invar.vm.process import ProcessIdentity, start_with_descriptors
from invar.vm.qemu import LIFELINE_FD, QMP_FD, SERIAL_FD
from invar.vm.qmp import QmpClient, QmpClosed, QmpEvent
from invar.vm.record import Machine, State, read_record, write_record

LAUNCH = "launch.json"
METADATA_SOCKET = "metadata.sock"
CONSOLE_SOCKET = "console.sock"
CONTROL_SOCKET = "control.sock"
QEMU_LOG = "qemu.log"

_QUIT_SECONDS = 5.0
_LAST_BYTES = 4096
_LISTENING = "HOST_FORWARD"


@dataclass(frozen=True, slots=True)
class Launch:
    """What the supervisor needs beside the record: QEMU's whole command line and what the metadata service says."""

    argv: tuple[str, ...]
    instance: Instance

    def to_json(self) -> str:
        """As the text of the launch file. User data may hold secrets: the supervisor deletes the file once read."""
        instance = {name: getattr(self.instance, name) for name in self.instance.__dataclass_fields__}
        user_data = self.instance.user_data
        instance["user_data"] = None if user_data is None else user_data.hex()
        return json.dumps({"argv": self.argv, "instance": instance})

    @classmethod
    def from_json(cls, text: str) -> Launch:
        """The inverse of `to_json`."""
        data = json.loads(text)
        instance: dict[str, Any] = data["instance"]
        user_data = instance.pop("user_data")
        return cls(
            tuple(data["argv"]), Instance(**instance, user_data=None if user_data is None else bytes.fromhex(user_data))
        )


class Supervisor:
    """Runs one machine to its end in a selector's loop, whose keys carry a callable that takes the ready mask."""

    def __init__(self, machine: Machine, launch: Launch) -> None:
        self._machine = machine
        self._launch = launch
        self._selector = selectors.DefaultSelector()
        self._asked_to_stop = False
        self._cut = False
        self._kill_at: float | None = None
        self._stopped_by_kvm: str | None = None

    def run(self) -> Machine:
        """Start QEMU and stay until it has ended; the machine's last record."""
        with ExitStack() as stack:
            stack.callback(self._selector.close)
            self._watch_signals(stack)
            if not self._machine.detached:
                os.set_blocking(0, False)
                self._selector.register(0, selectors.EVENT_READ, self._lifeline_ready)
            self._start(stack)
            self._loop()
        return self._finish()

    def _start(self, stack: ExitStack) -> None:
        directory = self._machine.directory
        serial, serial_inside = socket.socketpair()
        monitor, monitor_inside = socket.socketpair()
        lifeline_inside, lifeline = os.pipe()
        stack.callback(os.close, lifeline)
        listener = unix_socket.listen(directory / METADATA_SOCKET)
        handed_down = {SERIAL_FD: serial_inside.fileno(), QMP_FD: monitor_inside.fileno(), LIFELINE_FD: lifeline_inside}
        self._qemu = start_with_descriptors(self._launch.argv, handed_down, directory, directory / QEMU_LOG)
        serial_inside.close()
        monitor_inside.close()
        os.close(lifeline_inside)
        stack.callback(self._qemu.wait)
        stack.callback(self._qemu.kill)
        ended = os.pidfd_open(self._qemu.pid)
        stack.callback(os.close, ended)
        metadata = stack.enter_context(MetadataServer(listener, self._launch.instance))

        def take_user_data() -> None:
            path = directory / NEW_USER_DATA
            metadata.set_user_data(path.read_bytes())
            path.unlink()

        hub = ConsoleHub(
            self._selector, serial, unix_socket.listen(directory / CONSOLE_SOCKET), directory / "console.log"
        )
        stack.callback(hub.close)
        self._ended = False
        self._selector.register(ended, selectors.EVENT_READ, self._qemu_ended)
        self._qmp = QmpClient(monitor)
        stack.callback(self._qmp.close)
        self._qmp.negotiate()
        ports = {c.destination_port: c.source_port for c in self._qmp.user_connections() if c.state == _LISTENING}
        self._selector.register(monitor, selectors.EVENT_READ, lambda mask: None)
        self._monitor = monitor
        control_listener = unix_socket.listen(directory / CONTROL_SOCKET)
        control = ControlServer(self._selector, control_listener, self._qmp, take_user_data)
        stack.callback(control.close)
        self._record(state="running", ports=ports, qemu=ProcessIdentity.of(self._qemu.pid))
        _tell_starter("running")

    def _loop(self) -> None:
        while not self._ended:
            timeout = None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())
            dispatch(self._selector, timeout)
            self._take_events()
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._qemu.kill()
                self._kill_at = None

    def _watch_signals(self, stack: ExitStack) -> None:
        """Turn SIGTERM and SIGINT into bytes on a descriptor of the loop."""
        received, wakeup = socket.socketpair()
        received.setblocking(False)
        wakeup.setblocking(False)
        stack.callback(received.close)
        stack.callback(wakeup.close)
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, -1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, frame: None)

        def ready(mask: int) -> None:
            for number in received.recv(64):
                if number == signal.SIGTERM:
                    self._power_button()
                elif number == signal.SIGINT:
                    self._switch_off()

        self._selector.register(received, selectors.EVENT_READ, ready)

    def _lifeline_ready(self, mask: int) -> None:
        if not os.read(0, 64):
            self._selector.unregister(0)
            self._cut = True
            self._switch_off()

    def _power_button(self) -> None:
        self._asked_to_stop = True
        with suppress(QmpClosed):
            self._qmp.execute("system_powerdown")

    def _switch_off(self) -> None:
        self._asked_to_stop = True
        self._qemu.terminate()
        self._kill_at = time.monotonic() + _QUIT_SECONDS

    def _take_events(self) -> None:
        """React to QEMU's events, those that came while it was asked something else among them."""
        if self._monitor not in self._selector.get_map():
            return
        try:
            events = self._qmp.events()
        except QmpClosed:
            self._selector.unregister(self._monitor)
            return
        for event in events:
            self._react(event)

    def _react(self, event: QmpEvent) -> None:
        if event.name == "STOP" and self._qmp.execute("query-status")["status"] == "internal-error":
            self._stopped_by_kvm = "KVM could not go on with the machine (internal error); hint: INVAR_ACCEL=tcg"
            self._qemu.kill()

    def _qemu_ended(self, mask: int) -> None:
        self._ended = True

    def _finish(self) -> Machine:
        status = self._qemu.returncode
        if self._stopped_by_kvm:
            return self._record(state="failed", reason=self._stopped_by_kvm)
        if self._asked_to_stop:
            return self._record(state="stopped", reason="asked to stop")
        if status == 0:
            return self._record(state="stopped", reason="the machine switched itself off")
        return self._record(state="failed", reason=f"QEMU ended with {_status(status)}: {self.last_words()}")

    def last_words(self) -> str:
        """What QEMU itself said last."""
        return qemu_log_tail(self._machine.directory)

    def delete_when_wanted(self) -> None:
        """A foreground machine leaves nothing behind when it was asked to stop or its starter has gone."""
        if not self._machine.detached and (self._cut or self._asked_to_stop):
            shutil.rmtree(self._machine.directory, ignore_errors=True)

    def _record(
        self,
        *,
        state: State,
        ports: dict[int, int] | None = None,
        qemu: ProcessIdentity | None = None,
        reason: str | None = None,
    ) -> Machine:
        ports = self._machine.ports if ports is None else ports
        self._machine = replace(self._machine, state=state, ports=ports, qemu=qemu, reason=reason)
        write_record(self._machine)
        return self._machine


def qemu_log_tail(directory: Path) -> str:
    """The end of what QEMU wrote to its standard output and error."""
    try:
        return (directory / QEMU_LOG).read_bytes()[-_LAST_BYTES:].decode(errors="replace").strip()
    except FileNotFoundError:
        return ""


def _tell_starter(state: str) -> None:
    """Say one word on standard output and close it, so that the starter is not kept waiting for its end."""
    os.write(1, state.encode() + b"\n")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def _status(returncode: int) -> str:
    return signal.Signals(-returncode).name if returncode < 0 else f"exit status {returncode}"


def main(directory: Path) -> int:
    """Own the machine whose record and launch file lie in `directory`."""
    machine = read_record(directory)
    if machine is None:
        print(f"no machine in {directory}", file=sys.stderr)
        return 2
    launch_file = directory / LAUNCH
    launch = Launch.from_json(launch_file.read_text(encoding="utf-8"))
    launch_file.unlink()
    machine = replace(machine, supervisor=ProcessIdentity.own())
    write_record(machine)
    supervisor = Supervisor(machine, launch)
    try:
        supervisor.run()
    except Exception as fault:
        reason = supervisor.last_words() or str(fault)
        write_record(replace(machine, state="failed", reason=reason))
        if not isinstance(fault, InvarError | OSError):
            raise
        return 1
    finally:
        supervisor.delete_when_wanted()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
