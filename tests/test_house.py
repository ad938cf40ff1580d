"""The house keeps its rules: floors, types, style. Linters are tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*argv: str) -> str:
    """Run a linter of this environment; its output is the failure's text."""
    done = subprocess.run([sys.executable, "-m", *argv], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_a_room_imports_only_rooms_below_it() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_are_strict() -> None:
    assert not (said := run("mypy")), said


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff_is_content(command: tuple[str, ...]) -> None:
    assert not (said := run("ruff", *command, "src", "tests", "bench", "bin")), said


def test_no_mirror_host_is_written_in_the_code() -> None:
    hosts = re.compile(
        r"https?://(?!127\.0\.0\.1|localhost|169\.254\.169\.254|\[|\{|HOST|example\.|mirror\.example)[a-z0-9-]+\.[a-z.]+"
    )
    allowed = ("registry.terraform.io",)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in ("src", "bin", "bench")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".sh", ""} and path.is_file()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if hosts.search(line)
        and re.search(r"deb(ian)?[./]|pypi|snapshot", line)
        and not any(a in line for a in allowed)
    ]
    assert not found, "\n".join(found)
