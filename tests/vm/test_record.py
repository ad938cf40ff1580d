"""Machines are found by their records, and what is stale is recognised."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.home import Home
from invar.vm.process import ProcessIdentity
from invar.vm.record import RECORD, Machine, claim_name, find, list_machines, read_record, sweep, write_record


def ended_process() -> ProcessIdentity:
    """The identity of a process that has ended."""
    with subprocess.Popen(["sleep", "600"]) as process:
        known = ProcessIdentity.of(process.pid)
        process.kill()
    assert known is not None
    return known


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.machines.mkdir()
    return home


def machine(directory: Path, **changes: object) -> Machine:
    """A record of a machine whose supervisor is this process, written to a directory."""
    made = Machine(
        name=directory.name,
        directory=directory,
        state="running",
        supervisor=ProcessIdentity.own(),
        qemu=ProcessIdentity.own(),
        image="/image.raw",
        digest="ab" * 32,
        instance_id="i-0",
        ports={22: 40022, 80: 40080},
        accelerator="tcg",
        memory=1024,
        cpus=2,
        starter=None,
        created=1.0,
    )
    made = dataclasses.replace(made, **changes)
    directory.mkdir()
    write_record(made)
    return made


def test_a_record_reads_back_as_it_was_written(home: Home) -> None:
    written = machine(home.machines / "web", starter=ProcessIdentity.own(), reason="none")
    assert find(home, "web") == written == written.refreshed()


def test_machines_are_listed_by_name(home: Home) -> None:
    for name in ("b", "a", ".half-made"):
        machine(home.machines / name)
    (home.machines / "no-record").mkdir()
    (home.machines / "a-file").write_text("")
    assert [found.name for found in list_machines(home)] == ["a", "b"]


def test_there_are_none_before_the_first(tmp_path: Path) -> None:
    assert list_machines(Home(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("name", ["nobody", "", ".", "..", "../web", "/etc"])
def test_an_unknown_name_is_told_with_the_known_ones(home: Home, name: str) -> None:
    machine(home.machines / "web")
    with pytest.raises(InvarError) as raised:
        find(home, name)
    assert "web" in str(raised.value.hint)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 99}', '{"schema": 1}'])
def test_a_record_of_another_kind_is_none(home: Home, text: str) -> None:
    directory = home.machines / "web"
    directory.mkdir()
    (directory / RECORD).write_text(text)
    assert read_record(directory) is None
    assert list_machines(home) == []


def test_a_machine_whose_supervisor_is_gone_is_lost(home: Home) -> None:
    gone = machine(home.machines / "web", supervisor=ended_process())
    assert (gone.alive, gone.status) == (False, "lost")
    assert machine(home.machines / "well").status == "running"
    assert machine(home.machines / "done", supervisor=ended_process(), state="stopped").status == "stopped"


def test_sweeping_takes_only_what_killed_starters_left(home: Home) -> None:
    gone, here = ended_process(), ProcessIdentity.own()
    machine(home.machines / "foreground-lost", supervisor=gone, starter=gone)
    machine(home.machines / ".starting-lost", supervisor=gone, starter=None)
    machine(home.machines / "detached-lost", supervisor=gone, starter=None)
    machine(home.machines / "ended-but-looked-at", supervisor=gone, starter=here, state="failed")
    machine(home.machines / "alive", supervisor=here, starter=gone)
    machine(home.machines / ".starting-now", supervisor=here)
    sweep(home)
    assert {path.name for path in home.machines.iterdir()} == {
        "detached-lost",
        "ended-but-looked-at",
        "alive",
        ".starting-now",
    }


def test_names_are_given_once(home: Home) -> None:
    def claim(number: int) -> str:
        return claim_name(home, "web", machine(home.machines / f".starting-{number}")).name

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(claim, range(8)))
    assert sorted(names) == ["web", *(f"web-{number}" for number in range(2, 9))]
    assert all(find(home, name).directory == home.machines / name for name in names)


def test_a_port_that_is_not_forwarded_names_those_that_are(home: Home) -> None:
    made = machine(home.machines / "web")
    assert made.port(80) == 40080
    with pytest.raises(InvarError, match="port 443") as raised:
        made.port(443)
    assert "22, 80" in str(raised.value.hint)


def test_the_record_is_plain_json(home: Home) -> None:
    data = machine(home.machines / "web").to_data()
    assert json.loads(json.dumps(data)) == data
    assert data["ports"] == {"22": 40022, "80": 40080}
