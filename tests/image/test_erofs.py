"""The EROFS writer: what the kernel and fsck.erofs read back is the tree that went in."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.image.crc32c import crc32c
from invar.image.erofs import BLOCK, Directory, File, Node, Symlink, Whiteout, build_erofs

UUID = bytes(range(16))
EPOCH = 1_735_689_600

needs_fsck = pytest.mark.skipif(shutil.which("fsck.erofs") is None, reason="fsck.erofs (erofs-utils) is not installed")
needs_mount = pytest.mark.skipif(
    os.geteuid() != 0 or "erofs" not in Path("/proc/filesystems").read_text(),
    reason="mounting EROFS needs root and a kernel that has it",
)

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..")
)
owners = st.sampled_from([0, 1, 999, 65534, 65536, 200_000])
modes = st.sampled_from([0o600, 0o644, 0o755, 0o4755])
contents = st.one_of(
    st.binary(max_size=100),
    st.sampled_from([0, 1, 4031, 4032, 4033, 4063, 4064, 4065, 4095, 4096, 4097, 9000, 12288]).map(lambda n: b"x" * n),
)
leaves = st.one_of(
    st.builds(File, contents, modes, owners, owners),
    st.builds(Symlink, st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=4000)),
    st.just(Whiteout()),
)
trees = st.recursive(
    leaves, lambda inner: st.builds(Directory, st.dictionaries(names, inner, max_size=8), modes, owners, owners)
)
roots = st.builds(Directory, st.dictionaries(names, trees, max_size=8), modes, owners, owners)


def build(root: Directory) -> bytes:
    return build_erofs(root, uuid=UUID, build_time=EPOCH)


@contextmanager
def mounted(image: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        file, point = Path(scratch, "image"), Path(scratch, "point")
        file.write_bytes(image)
        point.mkdir()
        subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", str(file), str(point)], check=True)
        try:
            yield point
        finally:
            subprocess.run(["umount", str(point)], check=True)


def read_back(path: Path) -> Node:
    """The tree as a file system shows it."""
    status = path.lstat()
    assert status.st_mtime == EPOCH
    mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
    if stat.S_ISDIR(status.st_mode):
        entries = {entry.name: read_back(entry) for entry in path.iterdir()}
        assert status.st_nlink == 2 + sum(isinstance(node, Directory) for node in entries.values())
        return Directory(entries, mode, *owner)
    if stat.S_ISLNK(status.st_mode):
        return Symlink(os.readlink(path))  # noqa: PTH115 (a Path drops a slash at the end)
    if stat.S_ISCHR(status.st_mode):
        assert status.st_rdev == 0
        return Whiteout()
    content = path.read_bytes()
    assert status.st_size == len(content)
    return File(content, mode, *owner)


def check_with_fsck(image: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(image)
        file.flush()
        run = subprocess.run(["fsck.erofs", file.name], capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr


@needs_mount
@settings(max_examples=40)
@given(roots)
def test_the_kernel_reads_the_tree_that_was_written(root: Directory) -> None:
    with mounted(build(root)) as point:
        assert read_back(point) == root


@needs_fsck
@settings(max_examples=40)
@given(roots)
def test_fsck_finds_nothing(root: Directory) -> None:
    check_with_fsck(build(root))


def big_directory() -> Directory:
    files: dict[str, Node] = {f"{index:05}-{'n' * (index % 200)}": File(b"%d" % index) for index in range(3000)}
    return Directory({"many": Directory(files), "-before-dot": Directory(), "+": Symlink("many")})


@needs_fsck
def test_fsck_accepts_a_directory_of_many_blocks() -> None:
    check_with_fsck(build(big_directory()))


@needs_mount
def test_the_kernel_finds_every_name_in_a_directory_of_many_blocks() -> None:
    root = big_directory()
    with mounted(build(root)) as point:
        assert read_back(point) == root


@settings(max_examples=20)
@given(roots)
def test_equal_trees_are_equal_bytes_whatever_order_they_were_made_in(root: Directory) -> None:
    def reversed_tree(node: Node) -> Node:
        if not isinstance(node, Directory):
            return node
        entries = {name: reversed_tree(child) for name, child in reversed(node.entries.items())}
        return Directory(entries, node.mode, node.uid, node.gid)

    image = build(root)
    again = reversed_tree(root)
    assert isinstance(again, Directory)
    assert build(again) == image
    assert len(image) % BLOCK == 0


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "nul\0", "n" * 256, "ü" * 128])
def test_an_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        build(Directory({name: File(b"")}))


@pytest.mark.parametrize("target", ["", "t" * 4096, "a\0b"])
def test_an_impossible_link_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="symbolic link"):
        build(Directory({"link": Symlink(target)}))


def test_crc32c_matches_the_published_check_value() -> None:
    assert crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283
