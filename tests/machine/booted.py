"""A booted machine whose user data changes, and what it makes of each."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from command import Done, succeed
from invar.core.home import Home
from invar.system.proof import CONSOLE_PREFIX, Proof
from invar.vm.boot import Equipment
from invar.vm.companion import load_companion
from invar.vm.control import set_user_data
from invar.vm.inside import SSH_FAILED, LoginRefused, SshInside
from invar.vm.record import find

LONG = os.environ.get("INVAR_TEST_LONG") == "1"
CPUS = 2 if LONG else 1
"""Most instances have two or more. Where the tests' computer has two for two machines, one each takes a fifth less."""
SECONDS = 420.0


class Node:
    """A running machine by its name. What is run in it shares one connection, as to log in anew costs it a second."""

    def __init__(self, name: str, home: Home) -> None:
        self.name = name
        self.home = home
        self._inside: SshInside | None = None

    def run(self, command: str, seconds: float = 600) -> Done:
        """A shell line inside, as root; code 255 when nobody is let in. Raises subprocess.TimeoutExpired."""
        if self._inside is None:
            machine = find(self.home, self.name)
            try:
                self._inside = SshInside(machine, Equipment.from_tools(load_companion(machine).tools, self.home).access)
            except LoginRefused as fault:
                return Done(SSH_FAILED, "", str(fault))
        argv = self._inside.argv((command,))
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            self.hang_up()
            raise
        if done.returncode == SSH_FAILED:
            self.hang_up()
        return Done(done.returncode, done.stdout, done.stderr)

    def hang_up(self) -> None:
        """End the connection: the machine is about to restart, and would not tell."""
        if self._inside is not None:
            self._inside.close()
            self._inside = None

    def apply(self, user_data: bytes) -> Done:
        """Give the instance other user data and let it do what it does at boot; what its unit said."""
        set_user_data(find(self.home, self.name), user_data)
        return self.run(
            "cursor=$(journalctl -n0 --show-cursor -q | sed 's/-- cursor: //');"
            "systemctl restart fetch-ec2-metadata.service && systemctl restart amazon-init.service; status=$?;"
            'journalctl --no-pager -o cat -u amazon-init --after-cursor="$cursor"; exit $status'
        )

    def reboot(self) -> None:
        """Restart, and wait until user data has been dealt with in the new boot."""
        before, seen = self.run("cat /proc/sys/kernel/random/boot_id").out, len(self.console())
        self.restart_machine()
        self.await_proof(seen)
        self.await_user_data(lambda said: said.splitlines()[:1] != before.splitlines()[:1])

    def restart_machine(self) -> None:
        """Have it restart; returns at once."""
        self.run("systemctl --no-block reboot")
        self.hang_up()

    def await_user_data(self, holds: Callable[[str], bool] = lambda said: True) -> None:
        """Wait until amazon-init.service has ended."""
        deadline = time.monotonic() + SECONDS
        said, seen = "nothing", len(self.console())
        while time.monotonic() < deadline:
            try:
                done = self.run(
                    "cat /proc/sys/kernel/random/boot_id; systemctl show -P ActiveState amazon-init.service", 60
                )
            except subprocess.TimeoutExpired:
                continue  # a connection that the machine's restart cut off
            said = done.out
            if done.code == 0 and said.split()[-1:] in (["active"], ["failed"]) and holds(said):
                return
            self.pause(seen)
        raise AssertionError(f"after {SECONDS} s user data was not dealt with: {said}\n{self.console()[-3000:]}")

    def await_proof(self, seen: int, seconds: float = 240.0) -> None:
        """Leave a machine that starts alone until its console has a proof behind the first `seen` characters, or so
        long: to ask costs it dearly. Whoever waits then asks what came of it."""
        until = time.monotonic() + seconds
        while CONSOLE_PREFIX not in self.console()[seen:] and time.monotonic() < until:
            time.sleep(0.5)

    def pause(self, seen: int) -> None:
        """Wait a little before the machine is asked again, for longer as long as it has no proof on its console."""
        self.await_proof(seen, 12.0)
        time.sleep(2.0)

    def await_console(self, text: str) -> None:
        """Wait until this is on its console: a unit of its own shows it, whenever that has its turn."""
        deadline = time.monotonic() + SECONDS
        while text not in self.console():
            assert time.monotonic() < deadline, f"{text!r} is not on the console:\n{self.console()[-3000:]}"
            time.sleep(1)

    def proof(self, *arguments: str) -> Proof:
        """What it proves."""
        return Proof.from_json(succeed("proof", self.name, "--json", *arguments, home=self.home).out, where=self.name)

    def page(self) -> str:
        """What its web server says."""
        address = f"http://127.0.0.1:{find(self.home, self.name).port(80)}/"
        with urllib.request.urlopen(address, timeout=60) as answer:
            return str(answer.read().decode().strip())

    def console(self) -> str:
        """Everything on its serial console."""
        return Path(find(self.home, self.name).console_log).read_text(errors="replace")
