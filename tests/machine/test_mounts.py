"""The exchange of mounts, on this kernel, in a mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parent.parent.parent / "src"
BEFORE = """
import os, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from invar.machine.mounts import *
work = Path(sys.argv[2])
for name in ("one", "two", "etc", "copy"):
    (work / name).mkdir()
for name in ("one", "two"):
    (work / name / "file").write_text(name)
    (work / name / "sub").touch()
count = lambda: sum(1 for mount in read_mounts() if mount.place.startswith(str(work)))
"""


def run_in_namespace(code: str, tmp_path: Path, propagation: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 5):
        pytest.skip("MOVE_MOUNT_BENEATH is in Linux from 6.5 on")
    command = ["unshare", "--mount", f"--propagation={propagation}", sys.executable, "-I", "-c", BEFORE + code]
    done = subprocess.run([*command, str(SOURCES), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("propagation", ["private", "shared"])
def test_what_is_exchanged_is_never_absent_and_leaves_no_mount(tmp_path: Path, propagation: str) -> None:
    run_in_namespace(
        """
import threading
exchange(work / "one", work / "etc")
assert (work / "etc/file").read_text() == "one" and count() == 1
seen, stop = set(), threading.Event()
def look():
    while not stop.is_set():
        seen.add((work / "etc/file").read_text())
looker = threading.Thread(target=look)
looker.start()
for _ in range(50):
    exchange(work / "two", work / "etc")
    exchange(work / "one", work / "etc")
stop.set()
looker.join()
assert seen <= {"one", "two"}, seen
assert count() == 1, read_mounts()
unmount(work / "etc")
assert count() == 0
""",
        tmp_path,
        propagation,
    )


def test_a_copy_is_not_mounted_over_with_its_original(tmp_path: Path) -> None:
    run_in_namespace(
        """
exchange(work / "one", work / "etc")
bind(work / "etc", work / "copy")
exchange(work / "two", work / "etc")
assert (work / "copy/file").read_text() == "one"
unmount(work / "copy")
assert (work / "etc/file").read_text() == "two"
bind(work / "two/file", work / "etc/sub")
assert (work / "etc/sub").read_text() == "two"
""",
        tmp_path,
        "shared",
    )


def test_what_is_mounted_below_is_told_once_and_nothing_that_is_covered(tmp_path: Path) -> None:
    run_in_namespace(
        """
(work / "one/other").touch()
bind(work / "two/file", work / "one/other")
bind(work / "two/file", work / "one/sub")
bind(work / "two/file", work / "one/sub")
assert mounted_below(work / "one") == (work / "one/other", work / "one/sub")
assert mounted_below(work / "two") == ()
subprocess.run(["mount", "--bind", str(work / "two"), str(work / "one")], check=True)
assert mounted_below(work / "one") == ()
bind(work / "copy", work / "one")
assert mounted_below(work / "one") == ()
""",
        tmp_path,
        "private",
    )
