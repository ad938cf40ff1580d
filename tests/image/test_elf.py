"""ELF linkage, against what the loader of this machine says."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.image.elf import Linkage, closure, read_linkage


@pytest.mark.parametrize("program", ["sh", "ls", "tar", "mount"])
def test_needed_libraries_are_those_that_readelf_shows(program: str) -> None:
    readelf, path = shutil.which("readelf"), shutil.which(program)
    if readelf is None or path is None:
        pytest.skip(f"readelf (binutils) or {program} is not installed")
    run = subprocess.run([readelf, "-dl", path], capture_output=True, text=True, check=True)
    linkage = read_linkage(Path(path).read_bytes())
    assert list(linkage.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", run.stdout)
    interpreter = re.search(r"Requesting program interpreter: (.*)\]", run.stdout)
    assert linkage.interpreter == (interpreter[1] if interpreter else None)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="looks for libraries where amd64 has them")
def test_the_closure_has_the_loader_and_libraries_of_libraries(tmp_path: Path) -> None:
    mount = Path("/usr/bin/mount")
    if not mount.is_file() or not Path("/usr/lib/x86_64-linux-gnu").is_dir():
        pytest.skip("no Debian-like system")
    found = closure(["usr/bin/mount"], Path("/"), "amd64")
    names = {Path(path).name for path in found}
    assert {"mount", "libc.so.6", "libmount.so.1", "libblkid.so.1", "ld-linux-x86-64.so.2"} <= names
    for inside, file in found.items():
        place = tmp_path / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    assert closure(["usr/bin/mount"], tmp_path, "amd64").keys() == found.keys()
    next(path for path in tmp_path.rglob("libblkid.so.1")).unlink()
    with pytest.raises(InvarError, match=r"needs the library libblkid\.so\.1"):
        closure(["usr/bin/mount"], tmp_path, "amd64")


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvarError, match="needs /usr/sbin/dmsetup"):
        closure(["usr/sbin/dmsetup"], tmp_path, "amd64")


def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(InvarError, match="not a 64-bit ELF"):
        read_linkage(b"#!/bin/sh\n", "script")


def test_a_static_program_needs_nothing() -> None:
    busybox = shutil.which("busybox")
    if busybox is None or sys.platform != "linux":
        pytest.skip("busybox is not installed")
    linkage = read_linkage(Path(busybox).read_bytes())
    if linkage.interpreter is None:
        assert linkage == Linkage(None, ())
