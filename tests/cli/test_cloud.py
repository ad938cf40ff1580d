"""`invar cloud` as a user meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import Done, invar, succeed
from invar.core.home import Home
from invar.localcloud.process import stop


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Home]:
    """A home whose cloud is stopped in the end."""
    home = Home(tmp_path / "home")
    yield home
    stop(home.cloud)


def run_as(shell_lines: str, script: str) -> subprocess.CompletedProcess[str]:
    """A Python program in a shell that has evaluated these lines."""
    argv = ["sh", "-c", f'{shell_lines}\nexec "$0" -c "$1"', sys.executable, script]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)


def test_what_env_prints_makes_any_client_use_it(own_home: Home) -> None:
    started = succeed("cloud", "start", home=own_home)
    lines = succeed("cloud", "env", home=own_home).out
    assert started.out == lines
    script = "import boto3; boto3.client('ssm').put_parameter(Name='n', Value='v', Type='String'); print('done')"
    assert run_as(lines, script).stdout == "done\n"
    status = succeed("cloud", "status", "--json", home=own_home).json()
    assert status["running"]
    assert status["counters"]["done"]["PutParameter"] == 1


def test_starting_and_stopping_twice_is_nothing_new(own_home: Home) -> None:
    first = succeed("cloud", "start", "--json", home=own_home).json()
    assert succeed("cloud", "start", "--json", home=own_home).json() == first
    succeed("cloud", "stop", home=own_home)
    assert "was not running" in succeed("cloud", "stop", home=own_home).err
    status = invar("cloud", "status", "--json", home=own_home)
    assert (status.code, status.json()["running"]) == (1, False)


def test_faults_are_put_in_force_and_taken_back(own_home: Home) -> None:
    succeed("cloud", "start", home=own_home)
    succeed("cloud", "fault", "--operation", "PutParameter", "--code", "AccessDenied", "--times", "0", home=own_home)
    succeed("cloud", "control", "POST", "regions", '{"region": "eu-west-1", "down": true}', home=own_home)
    told = succeed("cloud", "status", home=own_home).out
    assert "PutParameter" in told
    assert "eu-west-1 is down" in told
    succeed("cloud", "fault", "--clear", home=own_home)
    assert "PutParameter" not in succeed("cloud", "status", home=own_home).out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("env",), 1, "invar cloud start"),
        (("fault",), 1, "invar cloud start"),
        (("control", "POST", "settings", "{"), 2, "not JSON"),
        (("fault", "--action", "explode"), 2, "explode"),
        (("restart",), 2, "restart"),
    ],
)
def test_wrong_use_says_what_is_wrong(own_home: Home, arguments: tuple[str, ...], code: int, said: str) -> None:
    done: Done = invar("cloud", *arguments, home=own_home)
    assert done.code == code
    assert said in done.err


def test_reset_asks_first(own_home: Home) -> None:
    succeed("cloud", "start", home=own_home)
    assert invar("cloud", "reset", home=own_home).code == 1
    succeed("cloud", "reset", "--yes", home=own_home)
