"""The real terraform on a project of its own, against a local cloud, with Invar's provider from this clone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from command import copy_example
from invar.core.home import Home
from invar.localcloud.process import start, stop
from invar.localcloud.record import CloudRecord
from invar.terraform.install import SOURCE, install

PROVIDER = f"""
terraform {{
  required_providers {{
    invar = {{ source = "{SOURCE}" }}
  }}
}}
provider "invar" {{}}
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a terraform command ended, both streams together."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Project:
    """A directory with .tf files, and the environment that terraform gets there."""

    directory: Path
    environment: dict[str, str]

    def write(self, text: str) -> None:
        """The whole project, the provider's requirement aside."""
        (self.directory / "main.tf").write_text(PROVIDER + text)

    def run(self, *arguments: str) -> Ran:
        """One terraform command."""
        process = self.begin(*arguments)
        text, _ = process.communicate(timeout=900)
        assert "Traceback" not in text, text
        return Ran(process.returncode, text)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """One terraform command, in a process group of its own as a shell starts it."""
        return subprocess.Popen(
            ["terraform", *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def succeed(self, *arguments: str) -> str:
        """One terraform command that has to succeed."""
        done = self.run(*arguments)
        assert done.code == 0, done.text
        return done.text

    def plan(self) -> dict[str, Any]:
        """A plan as data."""
        self.succeed("plan", "-input=false", "-out=plan.bin")
        shown: dict[str, Any] = json.loads(self.succeed("show", "-json", "plan.bin"))
        return shown

    def state(self) -> dict[str, dict[str, Any]]:
        """Every resource's values, by address."""
        shown = json.loads(self.succeed("show", "-json"))
        resources = shown.get("values", {}).get("root_module", {}).get("resources", [])
        return {each["address"]: each["values"] for each in resources}

    def interrupt(self, process: subprocess.Popen[str]) -> Ran:
        """Ctrl-C: the signal goes to the whole group."""
        os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=300)
        return Ran(process.returncode, text)


@pytest.fixture(scope="session")
def terraform() -> str:
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("terraform is not installed (https://developer.hashicorp.com/terraform/install)")
    return found


@pytest.fixture(scope="session")
def cloud_record(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudRecord]:
    """A cloud of its own, whose machines come out of the tests' home."""
    root = tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVAR_HOME", str(home.root))
        started = start(root)
    yield started
    stop(root)


@pytest.fixture(scope="session")
def offline(repository: Path, home: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What terraform gets in every test: this clone's invar, no configuration of this computer's user, no account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    own = tmp_path_factory.mktemp("terraform") / "own.tfrc"
    own.write_text("")
    return {
        **kept,
        "INVAR_HOME": str(home.root),
        "INVAR_COMMAND": str(repository / "bin" / "invar"),
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": str(own),
        "TF_IN_AUTOMATION": "1",
        "TF_CLI_ARGS": "-no-color",
    }


@pytest.fixture(scope="session")
def environment(offline: dict[str, str], cloud_record: CloudRecord) -> dict[str, str]:
    """The same, with the local cloud."""
    return {
        **offline,
        "AWS_ENDPOINT_URL": cloud_record.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }


@pytest.fixture
def make_project(terraform: str, environment: dict[str, str], tmp_path: Path) -> Callable[[str], Project]:
    """An initialised project with this text."""

    def make(text: str) -> Project:
        directory = tmp_path / "infra"
        directory.mkdir()
        install(directory, {"HOME": str(tmp_path)})
        project = Project(directory, environment)
        project.write(text)
        project.succeed("init", "-input=false")
        return project

    return make


@pytest.fixture
def web(repository: Path, tmp_path: Path) -> Path:
    """The example configuration, to be changed at will."""
    return copy_example(repository, tmp_path / "web")
