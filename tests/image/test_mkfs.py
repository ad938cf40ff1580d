"""mkfs.erofs on a disk that fills up: told at once, where it would wait for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from invar.image.tools import Tools

MEBIBYTES = 16
"""Of hexadecimal digits, which compress by half: mkfs.erofs keeps the stream beside the image that it makes of it.
In many files: it waits for ever only where more of them are under way than its queue holds (128).
"""

PROGRAM = f"""
import io, os, sys, tarfile
from pathlib import Path
from invar.image.mkfs import make_from_tar
from invar.image.tools import Tools
from invar.sandbox.spec import Bind, Completed
directory, tools = Path(sys.argv[1]), Tools(Path(sys.argv[2]))
(directory / "scratch").mkdir()
argv = tools.command(
    ["mkfs.erofs", "--tar=f", "--sort=none", "--quiet", "--workers=2", "-zlz4hc,level=3", "/output/layer.img"],
    binds=[Bind(directory, "/output", read_only=False)],
    environment={{"TMPDIR": "/output/scratch"}},
)
def feed(stream):
    try:
        with os.fdopen(os.dup(stream.fileno()), "wb") as pipe, tarfile.open(fileobj=pipe, mode="w|") as tar:
            for number in range({MEBIBYTES} << 6):
                member = tarfile.TarInfo(f"file-{{number}}")
                member.size = 1 << 14
                tar.addfile(member, io.BytesIO(os.urandom(member.size // 2).hex().encode()))
    except BrokenPipeError:
        return Completed(1, b"Broken pipe")
    return Completed(0, b"")
try:
    status = make_from_tar(argv, feed, directory, 60.0).status
    print(status, (directory / "layer.img").stat().st_size > {MEBIBYTES} << 19)
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system of its own takes root")
@pytest.mark.parametrize(
    ("size", "said"),
    [
        pytest.param(MEBIBYTES // 2, "[Errno 28] no space left: '{}'", id="too small for the stream"),
        pytest.param(MEBIBYTES * 5 // 4, "[Errno 28] no space left: '{}'", id="too small for what is made of it"),
        pytest.param(MEBIBYTES * 3, "0 True", id="large enough"),
    ],
)
def test_a_full_disk_is_told(tools: Tools, tmp_path: Path, size: int, said: str) -> None:
    run = 'mount -t tmpfs -o "size=$1m" none "$2" && exec "$3" -c "$4" "$2" "$5"'
    argv = ["sh", "-c", run, "sh", str(size), str(tmp_path), sys.executable, PROGRAM, str(tools.root)]
    done = subprocess.run(["unshare", "--mount", *argv], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, said.format(tmp_path)), done.stderr
