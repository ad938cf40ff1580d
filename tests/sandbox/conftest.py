"""An ordinary user to be, for what must work without root as well."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.sandbox.identity import IDS_NEEDED, granted_ranges

SOURCES = Path(__file__).resolve().parent.parent.parent / "src"


@pytest.fixture
def as_ordinary_user(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Run Python code as an ordinary user with subordinate ids, in a directory of that user's; gives its output.

    Whoever runs the tests is that user, unless it is root: then one is sought in /etc/subuid.
    """
    if os.geteuid() != 0:
        yield lambda code: _run_python(sys.executable, code, tmp_path)
        return
    user = _user_with_ids()
    interpreter = _interpreter_for(user)
    if user is None or interpreter is None:
        pytest.skip("root has no ordinary user with subordinate ids and a readable Python 3.11 to become here")
    with tempfile.TemporaryDirectory(prefix="invar-test-", dir="/tmp") as place:
        os.chown(place, user.pw_uid, user.pw_gid)
        yield lambda code: _run_python(interpreter, code, Path(place), user)


def _user_with_ids() -> pwd.struct_passwd | None:
    for user in pwd.getpwall():
        ranges = granted_ranges(Path("/etc/subuid"), user.pw_name, user.pw_uid)
        if user.pw_uid != 0 and sum(count for _, count in ranges) >= IDS_NEEDED - 1:
            return user
    return None


def _interpreter_for(user: pwd.struct_passwd | None) -> str | None:
    for name in (sys.executable, "/usr/bin/python3.13", "/usr/bin/python3.12", "/usr/bin/python3.11"):
        if user is not None and Path(name).exists():
            try:
                _run_python(
                    name, "import sys, invar.sandbox.launch; sys.version_info >= (3, 11) or exit(1)", Path("/"), user
                )
            except (OSError, InvarError, subprocess.CalledProcessError):
                continue
            return name
    return None


def _run_python(interpreter: str, code: str, place: Path, user: pwd.struct_passwd | None = None) -> str:
    groups = [group.gr_gid for group in grp.getgrall() if user and user.pw_name in group.gr_mem]
    done = subprocess.run(
        [interpreter, "-B", "-c", code],
        cwd=place,
        env={"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"]},
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=groups if user else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, interpreter, done.stdout)
    return done.stdout
