"""The record of a machine on disk, by which other processes find, reach and stop it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from invar.core.errors import InvarError
from invar.core.home import Home
from invar.vm.process import ProcessIdentity

State = Literal["starting", "running", "stopped", "failed"]
RECORD = "machine.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as its record described it at one moment; `refreshed` reads again.

    `ports` maps guest ports to host ports of `address`. `memory` is in MiB, `created` in seconds since 1970.
    `supervisor` owns the machine and writes the record. `reason` tells why a machine is stopped or failed. `starter` is
    the process with which a foreground machine ends; a detached machine has none.
    """

    name: str
    directory: Path
    state: State
    supervisor: ProcessIdentity
    qemu: ProcessIdentity | None
    image: str
    digest: str | None
    instance_id: str
    ports: dict[int, int]
    accelerator: str
    memory: int
    cpus: int
    starter: ProcessIdentity | None
    created: float
    reason: str | None = None
    address: str = "127.0.0.1"

    @property
    def detached(self) -> bool:
        """Whether the machine survives the process that started it."""
        return self.starter is None

    @property
    def alive(self) -> bool:
        """Whether the machine's supervisor still runs, whatever the record says."""
        return self.supervisor.alive

    @property
    def status(self) -> str:
        """The state, with "lost" for a machine that should run but whose supervisor is gone."""
        if self.state in ("starting", "running") and not self.alive:
            return "lost"
        return self.state

    @property
    def console_log(self) -> Path:
        """Everything the serial console has shown."""
        return self.directory / "console.log"

    @property
    def known_hosts(self) -> Path:
        """The ssh host keys that this machine has shown."""
        return self.directory / "known_hosts"

    def refreshed(self) -> Machine:
        """The record as it is now. Raises InvarError when it is gone."""
        found = read_record(self.directory)
        if found is None:
            raise InvarError(f"the machine {self.name} is gone", where=str(self.directory))
        return found

    def port(self, guest_port: int) -> int:
        """The host port that leads to a guest port. Raises InvarError when none does."""
        try:
            return self.ports[guest_port]
        except KeyError:
            raise InvarError(
                f"port {guest_port} of machine {self.name} is not forwarded",
                hint=f"forwarded: {', '.join(map(str, sorted(self.ports))) or 'none'}; ask for more when starting it",
            ) from None

    def to_data(self) -> dict[str, Any]:
        """The record as JSON data; also what `--json` shows, with `status`."""
        data: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["directory"] = str(self.directory)
        data["ports"] = {str(guest): host for guest, host in sorted(self.ports.items())}
        for role in ("supervisor", "qemu", "starter"):
            data[role] = _identity_data(data[role]) if data[role] else None
        return {"schema": SCHEMA, **data}


def list_machines(home: Home) -> list[Machine]:
    """All machines of this user, by name; what is not, or no longer, a machine is passed over."""
    if not home.machines.is_dir():
        return []
    found = (read_record(path) for path in sorted(home.machines.iterdir()) if not path.name.startswith("."))
    return [machine for machine in found if machine is not None]


def find(home: Home, name: str) -> Machine:
    """The machine of that name. Raises InvarError, which names those that there are."""
    if name and "/" not in name and not name.startswith("."):
        machine = read_record(home.machines / name)
        if machine is not None:
            return machine
    names = ", ".join(machine.name for machine in list_machines(home))
    raise InvarError(
        f"there is no machine called {name}", hint=f"there are {names}" if names else "none is running; see `invar run`"
    )


def read_record(directory: Path) -> Machine | None:
    """The record in a machine's directory; None when there is none, or none that this version wrote."""
    try:
        data = json.loads((directory / RECORD).read_bytes())
        return _from_data(data, directory) if data["schema"] == SCHEMA else None
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def write_record(machine: Machine) -> None:
    """Put the record in its place by one rename."""
    path = machine.directory / RECORD
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(machine.to_data(), indent=1), encoding="utf-8")
    temporary.replace(path)


def claim_name(home: Home, wanted: str, machine: Machine) -> Machine:
    """Move a machine's prepared directory to `machines/NAME` with the first free of `wanted`, `wanted-2`, ...

    The record moves along with it, so that a directory that others can see always has one. A name is claimed by
    rename(2), which refuses a directory that is not empty.
    """
    number = 1
    while True:
        name = wanted if number == 1 else f"{wanted}-{number}"
        named = replace(machine, name=name)
        write_record(named)
        directory = home.machines / name
        try:
            machine.directory.rename(directory)
        except OSError as fault:
            if not directory.exists():
                raise InvarError(f"the machine's directory can't be made: {directory}", why=str(fault)) from fault
            number += 1
            continue
        return replace(named, directory=directory)


def sweep(home: Home) -> None:
    """Delete what killed starters have left: half-made machines, and foreground ones whose supervisor is gone too."""
    if not home.machines.is_dir():
        return
    for directory in home.machines.iterdir():
        machine = read_record(directory)
        if machine is None or machine.alive:
            continue
        if directory.name.startswith(".") or (machine.starter is not None and not machine.starter.alive):
            shutil.rmtree(directory, ignore_errors=True)


def _from_data(data: dict[str, Any], directory: Path) -> Machine:
    fields: dict[str, Any] = {name: data[name] for name in Machine.__dataclass_fields__ if name != "address"}
    fields["address"] = data.get("address", "127.0.0.1")
    fields["directory"] = directory
    fields["ports"] = {int(guest): host for guest, host in data["ports"].items()}
    for role in ("supervisor", "qemu", "starter"):
        fields[role] = ProcessIdentity(**data[role]) if data[role] else None
    return Machine(**fields)


def _identity_data(identity: ProcessIdentity) -> dict[str, Any]:
    return {"pid": identity.pid, "start_ticks": identity.start_ticks, "boot_id": identity.boot_id}
