"""The tools layer: one tree out of unpacked packages, and programs that run in it."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.debian.deb import UnpackedDeb
from invar.debian.mirrors import find_mirrors
from invar.debian.resolve import make_lock
from invar.image.tools import Tools, link_tree, realise_tools, tool_requests
from invar.sandbox.spec import Bind
from invar.store.objects import Store


def unpacked(root: Path, name: str, files: dict[str, str]) -> UnpackedDeb:
    """A package with these files."""
    for path, text in files.items():
        place = root / name / "data" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    fields = {"Package": name, "Version": "1", "Architecture": "all"}
    return UnpackedDeb(root / name, name, fields, tuple(f"/{path}" for path in files), {}, {}, {})


def test_packages_become_one_tree_of_hard_links(tmp_path: Path) -> None:
    first = unpacked(tmp_path, "first", {"usr/bin/a": "a", "usr/share/doc/a/x": "", "etc/a.conf": "", "var/lib/a": ""})
    second = unpacked(tmp_path, "second", {"usr/bin/b": "b", "usr/bin/a": "not this"})
    root = tmp_path / "tools"
    link_tree([first, second], root)
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and "usr" in path.parts)
    assert files == ["usr/bin/a", "usr/bin/b"]
    assert (root / "usr/bin/a").read_text() == "a"
    assert (root / "usr/bin/a").samefile(first.data / "usr/bin/a")
    assert (root / "etc/a.conf").exists()
    assert not (root / "var").exists()
    assert (root / "bin/b").read_text() == "b"


def test_a_file_that_the_tools_lack_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvarError, match="lack /usr/bin/absent"):
        Tools(tmp_path).path("usr/bin/absent")


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_requests_are_sorted_and_unique(architecture: str) -> None:
    requests = tool_requests(architecture)
    assert list(requests) == sorted(set(requests))


@pytest.fixture(scope="module")
def tools(home: Home) -> Tools:
    """Real tools, locked today."""
    store, report = Store(home.store), Report()
    mirrors = find_mirrors(environment=os.environ)
    lock = make_lock((), tool_requests("amd64"), mirrors, store, report, origins={}, now=datetime.now(UTC))
    return realise_tools(lock, store, mirrors, report)


@pytest.mark.build
@pytest.mark.parametrize(
    "argv",
    [
        ("mkfs.erofs", "--version"),
        ("qemu-system-x86_64", "--version"),
        ("qemu-img", "--version"),
        ("mke2fs", "-V"),
        ("lz4", "--version"),
        ("zstd", "--version"),
        ("dmsetup", "--help"),
        ("busybox", "true"),
    ],
    ids=lambda argv: argv[0],
)
def test_the_tools_run(tools: Tools, argv: tuple[str, ...]) -> None:
    assert tools.run(argv).status == 0


@pytest.mark.build
def test_a_tool_sees_what_is_bound_and_nothing_else(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("hello")
    binds = [Bind(tmp_path / "in", str(tmp_path / "in"), read_only=False)]
    tools.run(["lz4", "-q", str(tmp_path / "in/file"), str(tmp_path / "in/file.lz4")], binds=binds)
    assert (tmp_path / "in/file.lz4").read_bytes()[:4] == bytes.fromhex("04224d18")
    with pytest.raises(InvarError, match="lz4 failed"):
        tools.run(["lz4", "-q", str(tmp_path / "in/file"), "/tmp/x"])


@pytest.mark.build
def test_a_long_running_tool_is_a_process_of_the_callers(tools: Tools) -> None:
    with subprocess.Popen(tools.command(["busybox", "cat"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.communicate(b"through", timeout=30)[0] == b"through"
    assert process.returncode == 0


@pytest.mark.build
def test_the_firmware_and_the_boot_stub_are_there(tools: Tools) -> None:
    assert tools.path("usr/share/OVMF/OVMF_CODE_4M.fd").stat().st_size > 1 << 20
    assert tools.path("usr/lib/systemd/boot/efi/linuxx64.efi.stub").read_bytes()[:2] == b"MZ"
