"""Running the command as a user does: a process of its own, with the tests' home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invar.core.home import Home


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


def invar(
    *arguments: str | Path,
    home: Home,
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
    seconds: float = 1500,
) -> Done:
    """Run `invar` and wait. Raises subprocess.TimeoutExpired."""
    command = [sys.executable, "-I", "-m", "invar", *map(str, arguments)]
    variables = {**os.environ, "INVAR_HOME": str(home.root), **(environment or {})}
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=seconds)
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def succeed(*arguments: str | Path, home: Home, cwd: Path | None = None) -> Done:
    """Run `invar`; anything but success is the test's failure, with what it said."""
    done = invar(*arguments, home=home, cwd=cwd)
    assert done.code == 0, done.err + done.out
    return done


def copy_example(repository: Path, target: Path) -> Path:
    """The example configuration in a directory of its own, with whatever lock it has."""
    shutil.copytree(repository / "examples" / "production-web", target)
    return target
