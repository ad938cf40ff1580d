"""Evaluates small configurations and shows what they put into /etc."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from invar.nix import NixString, deep_force, with_big_stack
from invar.nixos.configuration import Configuration, evaluate_configuration


class Trixie:
    """A universe in which every package has a version, and some have a known one."""

    known: dict[str, str] = {"postgresql-17": "17.5-1", "openssh-server": "1:10.0p1-7", "nginx": "1.26.3-3+deb13u1"}  # noqa: RUF012

    def version(self, name: str) -> str | None:
        return self.known.get(name)

    def digest(self, name: str) -> str | None:
        return "0" * 64 if name in self.known else None


def plain(value: Any) -> Any:
    """An evaluated value without contexts."""
    if isinstance(value, NixString):
        return str(value)
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


@dataclass
class Evaluated:
    configuration: Configuration
    warnings: list[str]
    _system: dict[str, Any] = field(default_factory=dict)

    def get(self, path: str) -> Any:
        return with_big_stack(lambda: plain(deep_force(self.configuration.attribute(path))))

    @property
    def system(self) -> dict[str, Any]:
        """The plain data of system.build.invar."""
        if not self._system:
            self._system = self.get("system.build.invar")
        return self._system

    @property
    def etc(self) -> dict[str, dict[str, Any]]:
        return {entry["target"]: entry for entry in self.system["etc"]}

    def text(self, target: str) -> str:
        text = self.etc[target]["text"]
        assert isinstance(text, str), f"/etc/{target} is a link to {self.etc[target]['source']}"
        return text

    def unit(self, name: str) -> str:
        return self.text(f"systemd/system/{name}")

    def link(self, target: str) -> str:
        source = self.etc[target]["source"]
        assert isinstance(source, str), f"/etc/{target} is a file"
        return source

    @property
    def packages(self) -> set[str]:
        return {package["name"] for package in self.system["packages"]}

    def script(self, path: str) -> str:
        """The text of a store object that is one file."""
        made = self.configuration.objects.get(path)
        assert made is not None, f"nothing made {path}"
        return str(made.entries[path.removeprefix(made.path).lstrip("/")]["text"])


Evaluate = Callable[..., Evaluated]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nix-cache")


@pytest.fixture(scope="session")
def evaluate_at(cache: Path) -> Callable[[Path], Evaluated]:
    """`evaluate_at(path)`: the configuration at a place."""

    def run(path: Path) -> Evaluated:
        warnings: list[str] = []
        configuration = with_big_stack(
            lambda: evaluate_configuration(path, Trixie(), cache_dir=cache, on_warn=warnings.append)
        )
        return Evaluated(configuration, warnings)

    return run


@pytest.fixture(scope="session")
def evaluate(tmp_path_factory: pytest.TempPathFactory, evaluate_at: Callable[[Path], Evaluated]) -> Evaluate:
    """`evaluate(body)`: the configuration `{ pkgs, lib, config, ... }: { BODY }`, with other files beside it."""
    known: dict[tuple[str, str], Evaluated] = {}

    def run(body: str, files: dict[str, str] | None = None) -> Evaluated:
        key = body, repr(files)
        if key not in known:
            project = tmp_path_factory.mktemp("project")
            text = f"{{ pkgs, lib, config, modulesPath, ... }}:\n{{\n{body}\n}}\n"
            for name, content in {"configuration.nix": text, **(files or {})}.items():
                (project / name).parent.mkdir(parents=True, exist_ok=True)
                (project / name).write_text(content)
            known[key] = evaluate_at(project)
        return known[key]

    return run
