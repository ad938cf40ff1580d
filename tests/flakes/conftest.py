"""Flakes written by tests: opened as the command opens them, and as real Nix does where that is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invar.core.events import Event, Report, Warned
from invar.flakes.attributes import find
from invar.flakes.flake import Flake, open_flake
from invar.flakes.place import local_reference
from invar.flakes.settings import Settings
from invar.nix import NixString, deep_force

STUBS = Path(__file__).parent / "stubs"

Write = Callable[..., Path]
Open = Callable[..., Flake]


def write_files(directory: Path, files: dict[str, str]) -> Path:
    """Files below a directory, by relative path."""
    for name, text in files.items():
        place = directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return directory


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write("flake", {"flake.nix": ...})`: a directory with these files."""
    return lambda name, files: write_files(tmp_path / name, files)


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled code, shared."""
    return tmp_path_factory.mktemp("code")


@pytest.fixture
def warnings() -> list[str]:
    """What was warned of."""
    return []


@pytest.fixture
def opened(code: Path, warnings: list[str]) -> Open:
    """`opened(directory)`: the flake there, its inputs locked."""

    def listen(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event.text)

    def run(directory: Path, *, update: Any = frozenset(), **settings: Any) -> Flake:
        return open_flake(
            local_reference(directory), Settings(cache_dir=code, **settings), Report(listen), update=update
        )

    return run


def value(flake: Flake, *path: str) -> Any:
    """An output as plain data."""
    return flake.explained(lambda: plain(deep_force(find(flake.value, [path], what=flake.name).value)))


def plain(found: Any) -> Any:
    """An evaluated value without contexts."""
    if isinstance(found, NixString):
        return str(found)
    if isinstance(found, dict):
        return {str(name): plain(item) for name, item in found.items()}
    if isinstance(found, list):
        return [plain(item) for item in found]
    return found


def git(directory: Path, *arguments: str) -> str:
    """A git command in a repository, with an identity of its own."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(directory: Path) -> Path:
    """The directory as a git repository with one commit of everything."""
    git(directory, "init", "-q")
    git(directory, "add", ".")
    git(directory, "commit", "-qm", "first")
    return directory


@pytest.fixture
def nix(tmp_path: Path) -> Callable[..., Any]:
    """`nix("eval", "--json", ...)`: what real Nix prints, with a store of its own; skips where there is none."""
    program = shutil.which("nix")
    if program is None:
        pytest.skip("nix is not installed here")

    def run(*arguments: str | Path, cwd: Path | None = None, parse: bool = True) -> Any:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "nix-home"),
            "NIX_CONFIG": "experimental-features = nix-command flakes\nbuild-users-group =\nsandbox = false\n",
            "NIX_REMOTE": f"local?root={tmp_path / 'nix-root'}",
        }
        (tmp_path / "nix-home").mkdir(exist_ok=True)
        command = [program, *map(str, arguments), "--offline"]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if parse else done.stdout

    return run
