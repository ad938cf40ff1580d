"""A .deb unpacks to exactly its tree, once, and never outside of it."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
import subprocess
import tarfile
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from debian_archive import ar, directory, make_deb, tar_member

from invar.core.errors import InvarError
from invar.debian.deb import Owner, unpack
from invar.debian.dpkg import info_files, status, status_stanza, trigger_files
from invar.store.objects import Store

CONTROL = {"Package": "demo", "Version": "1:2-3", "Architecture": "amd64", "Multi-Arch": "same"}
MEMBERS = [
    directory("./etc/"),
    tar_member("./etc/demo.conf", b"answer = 42\n"),
    directory("./usr/"),
    directory("./usr/bin/"),
    tar_member("./usr/bin/demo", b"#!/bin/sh\n", mode=0o4755),
    tar_member("./usr/bin/alias", None, type=tarfile.SYMTYPE, linkname="/usr/bin/demo"),
    tar_member("./usr/bin/twin", None, type=tarfile.LNKTYPE, linkname="./usr/bin/demo"),
    tar_member("./usr/bin/chage", b"x", mode=0o2755, gid=42, gname="shadow"),
    directory("./tmp/", mode=0o1777),
]
SCRIPTS = {
    "postinst": "#!/bin/sh\ntrue\n",
    "conffiles": "/etc/demo.conf\nremove-on-upgrade /etc/old.conf\n",
    "triggers": "interest-noawait /usr/share/demo\nactivate-noawait ldconfig\ninterest demo-changed\n",
}


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "demo.deb"
    path.write_bytes(data)
    return path


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return written(tmp_path, make_deb(CONTROL, MEMBERS, SCRIPTS))


def test_tree_modes_links_and_times(demo: Path, store: Store) -> None:
    deb = unpack(demo, store)
    program = deb.data / "usr/bin/demo"
    assert program.read_bytes() == b"#!/bin/sh\n"
    assert program.stat().st_mode & 0o7777 == 0o4755
    assert (deb.data / "usr/bin/twin").stat().st_ino == program.stat().st_ino
    assert (deb.data / "usr/bin/alias").readlink() == Path("/usr/bin/demo")
    assert {int(path.lstat().st_mtime) for path in deb.data.rglob("*")} == {1_700_000_000}
    assert deb.paths[:3] == ("/.", "/etc", "/etc/demo.conf")
    assert (deb.name, deb.version, deb.architecture) == ("demo", "1:2-3", "amd64")


def test_owners_modes_and_conffiles_are_recorded(demo: Path, store: Store) -> None:
    deb = unpack(demo, store)
    assert deb.owners == {"/usr/bin/chage": Owner(0, 42, "root", "shadow")}
    assert deb.modes == {"/usr/bin/demo": 0o4755, "/usr/bin/chage": 0o2755, "/tmp": 0o1777}
    assert deb.conffiles == {"/etc/demo.conf": hashlib.md5(b"answer = 42\n").hexdigest()}
    assert (deb.data / "usr/bin/chage").stat().st_uid == os.getuid()


def test_second_time_nothing_is_unpacked(demo: Path, store: Store) -> None:
    first = unpack(demo, store)
    changed = first.root.stat().st_mtime_ns
    demo.write_bytes(b"no longer a deb")
    assert unpack(demo, store, sha256=first.sha256) == first
    assert first.root.stat().st_mtime_ns == changed


@pytest.mark.parametrize(("compress", "suffix"), [(gzip.compress, ".gz"), (lzma.compress, ".xz"), (bytes, "")])
def test_compressions(tmp_path: Path, store: Store, compress: object, suffix: str) -> None:
    path = written(tmp_path, make_deb(CONTROL, MEMBERS, None, compress, suffix))  # type: ignore[arg-type]
    assert (unpack(path, store).data / "etc/demo.conf").is_file()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb as the oracle")
def test_tree_is_dpkgs(demo: Path, store: Store, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", demo, tmp_path / "oracle"], check=True)

    def listing(root: Path) -> dict[str, tuple[int, int]]:
        return {
            str(p.relative_to(root)): (p.lstat().st_mode, p.lstat().st_size) for p in root.rglob("*") if p.is_file()
        }

    assert listing(unpack(demo, store).data) == listing(tmp_path / "oracle")


@pytest.mark.parametrize(
    "members",
    [
        [tar_member("../evil", b"x")],
        [tar_member("./a/../../evil", b"x")],
        [tar_member("./link", None, type=tarfile.SYMTYPE, linkname="/tmp"), tar_member("./link/evil", b"x")],
        [tar_member("./link", None, type=tarfile.SYMTYPE, linkname="."), tar_member("./link", b"x")],
        [tar_member("./hard", None, type=tarfile.LNKTYPE, linkname="/etc/passwd")],
        [
            tar_member("./link", None, type=tarfile.SYMTYPE, linkname="/etc"),
            tar_member("./hard", None, type=tarfile.LNKTYPE, linkname="link/passwd"),
        ],
        [tar_member("./twice", b"1"), tar_member("./twice", b"2")],
    ],
    ids=["parent", "parent-inside", "through-link", "over-link", "hardlink-out", "hardlink-through-link", "twice"],
)
def test_hostile_archives_are_refused(
    tmp_path: Path, store: Store, members: list[tuple[tarfile.TarInfo, bytes | None]]
) -> None:
    path = written(tmp_path, make_deb(CONTROL, members))
    with pytest.raises(InvarError, match="not a sound Debian package"):
        unpack(path, store)
    assert not list((store.root / ".tmp").iterdir())
    assert not list((store.root / "unpacked").iterdir())
    assert not (tmp_path / "evil").exists()


GOOD = make_deb(CONTROL, MEMBERS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        GOOD[:200],
        GOOD[:-40],
        ar([("debian-binary", b"2.0\n")]),
        ar([("debian-binary", b"3.0\n")]),
        ar([("debian-binary", b"2.0\n"), ("control.tar.br", b"x"), ("data.tar.br", b"x")]),
        make_deb({"Package": "demo"}),
    ],
    ids=["empty", "html", "header", "truncated", "no-members", "format-3", "unknown-compression", "no-version"],
)
def test_what_is_no_deb_is_refused(tmp_path: Path, store: Store, data: bytes) -> None:
    path = written(tmp_path, data)
    with pytest.raises(InvarError, match="not a sound Debian package") as caught:
        unpack(path, store)
    assert caught.value.where == str(path)
    assert not list((store.root / "unpacked").iterdir())


def test_cancelled_work_leaves_nothing(demo: Path, store: Store) -> None:
    with pytest.raises(CancelledError):
        unpack(demo, store, cancelled=lambda: True)
    assert not list((store.root / "unpacked").iterdir())


def test_status_of_an_unpacked_package(demo: Path, store: Store) -> None:
    deb = unpack(demo, store)
    lines = status_stanza(deb).splitlines()
    assert lines[:2] == ["Package: demo", "Status: install ok unpacked"]
    assert lines[-2:] == ["Conffiles:", f" /etc/demo.conf {deb.conffiles['/etc/demo.conf']}"]
    assert status([deb]) == status_stanza(deb)


def test_info_files_carry_the_architecture_of_multi_arch_same(demo: Path, store: Store) -> None:
    deb = unpack(demo, store)
    files = info_files(deb)
    assert sorted(files) == [f"demo:amd64.{name}" for name in ("conffiles", "list", "postinst", "triggers")]
    assert isinstance(files["demo:amd64.postinst"], Path)
    assert str(files["demo:amd64.list"]).splitlines() == list(deb.paths)


def test_trigger_interests(demo: Path, store: Store) -> None:
    assert trigger_files([unpack(demo, store)]) == {
        "File": "/usr/share/demo demo:amd64/noawait\n",
        "demo-changed": "demo:amd64\n",
    }


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg as the reader")
def test_dpkg_reads_the_database(demo: Path, store: Store, tmp_path: Path) -> None:
    deb = unpack(demo, store)
    admin = tmp_path / "dpkg"
    (admin / "info").mkdir(parents=True)
    (admin / "updates").mkdir()
    (admin / "status").write_text(status([deb]))
    (admin / "info" / "format").write_text("1\n")
    for name, content in info_files(deb).items():
        (admin / "info" / name).write_bytes(content.read_bytes() if isinstance(content, Path) else content.encode())
    query = [
        "dpkg-query",
        f"--admindir={admin}",
        "--show",
        "--showformat",
        "${Package} ${Version} ${db:Status-Status}\n",
    ]
    assert subprocess.run(query, check=True, capture_output=True, text=True).stdout == "demo 1:2-3 unpacked\n"
    files = subprocess.run(
        ["dpkg-query", f"--admindir={admin}", "-L", "demo"], check=True, capture_output=True, text=True
    )
    assert files.stdout.splitlines() == list(deb.paths)
