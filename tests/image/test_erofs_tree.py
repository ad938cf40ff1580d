"""What is in an EROFS image, read back: ours, and those of mkfs.erofs with compression, attributes and hard links."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.image.erofs import Directory, File, Symlink, Whiteout, build_erofs
from invar.image.erofs_tree import read_erofs
from invar.image.tools import Tools
from invar.image.tree import Node, Tree, write_tar
from invar.sandbox.spec import Bind

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..")
)
files = st.builds(File, st.binary(max_size=9000), st.integers(0, 0o7777), st.sampled_from([0, 7, 70_000]), st.just(0))
links = st.builds(Symlink, st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=60))
trees = st.recursive(
    st.one_of(files, links, st.just(Whiteout())),
    lambda children: st.builds(Directory, st.dictionaries(names, children, max_size=6), st.just(0o750)),
    max_leaves=20,
)


def flat(directory: Directory, prefix: str = "") -> tuple[Tree, set[str]]:
    tree: Tree = {prefix.rstrip("/"): Node("directory", directory.mode, directory.uid, directory.gid)}
    whiteouts = set()
    for name, node in directory.entries.items():
        path = prefix + name
        match node:
            case Directory():
                below, hidden = flat(node, f"{path}/")
                tree |= below
                whiteouts |= hidden
            case File(content, mode, uid, gid):
                tree[path] = Node("file", mode, uid, gid, size=len(content))
            case Symlink(target):
                tree[path] = Node("symlink", 0o777, target=target)
            case Whiteout():
                whiteouts.add(path)
    return tree, whiteouts


@settings(max_examples=60)
@given(entries=st.dictionaries(names, trees, max_size=6))
def test_what_was_written_is_found(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, File]) -> None:
    root = Directory(dict(entries))
    image = tmp_path_factory.mktemp("erofs") / "image"
    image.write_bytes(build_erofs(root, uuid=bytes(16), build_time=0))
    found = read_erofs(image)
    tree, whiteouts = flat(root)
    assert found.tree == tree
    assert found.whiteouts == whiteouts


def test_a_directory_of_many_blocks(tmp_path: Path) -> None:
    root = Directory({f"a rather long name, number {number}": File(b"") for number in range(2000)})
    image = tmp_path / "image"
    image.write_bytes(build_erofs(root, uuid=bytes(16), build_time=0))
    assert set(read_erofs(image).tree) == {"", *root.entries}


@pytest.mark.build
@pytest.mark.parametrize("compression", [(), ("-zlz4hc", "-Eztailpacking")])
def test_mkfs_erofs_agrees(tools: Tools, tmp_path: Path, compression: tuple[str, ...]) -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    content = b"some text, over and over. " * 5000
    tree: Tree = {
        "": Node("directory", 0o755),
        "bin": Node("symlink", 0o777, target="usr/bin"),
        "usr": Node("directory", 0o755),
        "usr/bin": Node("directory", 0o2755, 0, 42),
        "usr/bin/ping": Node("file", 0o755, content=content, size=len(content), capability=capability),
        "usr/bin/arping": Node("file", 0o755, content=content, size=len(content), capability=capability),
        "usr/bin/sudo": Node("file", 0o4755, content=b"x", size=1),
        "usr/bin/one": Node("file", 0o640, 70_000, 7, content=b"y" * 5000, size=5000, inode=(1, 1)),
        "usr/bin/two": Node("file", 0o640, 70_000, 7, content=b"y" * 5000, size=5000, inode=(1, 1)),
    }
    with (tmp_path / "tar").open("wb") as stream:
        write_tar(tree, stream, None, 1_000_000_000)
    bind = Bind(tmp_path, "/work.d", read_only=False)
    tools.run(["mkfs.erofs", "--tar=f", "--quiet", *compression, "/work.d/image", "/work.d/tar"], binds=[bind])
    found = read_erofs(tmp_path / "image").tree
    assert found["usr/bin/one"].inode == found["usr/bin/two"].inode is not None
    assert {path: dataclasses.replace(node, inode=None) for path, node in found.items()} == {
        path: dataclasses.replace(node, inode=None, content=None) for path, node in tree.items()
    }


def test_what_is_no_erofs_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(io.BytesIO(bytes(8192)).getvalue())
    with pytest.raises(InvarError, match="no EROFS"):
        read_erofs(image)
