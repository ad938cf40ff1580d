"""Trees as tar streams and manifests; Python's own tarfile is the judge."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from invar.image.tree import Node, Tree, ordered, read_tree, text_file, write_tar

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60).filter(
    lambda name: name not in (".", "..") and len(name.encode()) <= 255
)


def packed(tree: Tree, mtime: int = 7) -> tuple[bytes, list[dict[str, object]]]:
    """The tar stream and the manifest's records."""
    stream, manifest = io.BytesIO(), io.StringIO()
    write_tar(tree, stream, manifest, mtime)
    return stream.getvalue(), [json.loads(line) for line in manifest.getvalue().splitlines()]


def test_a_tree_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(0o750)
    (tmp_path / "a/file").write_bytes(b"x" * 10)
    (tmp_path / "a/file").chmod(0o640)
    (tmp_path / "a/link").symlink_to("file")
    os.mkfifo(tmp_path / "a/pipe")
    (tmp_path / "skipped").mkdir()
    (tmp_path / "skipped/x").write_text("x")
    tree = read_tree(str(tmp_path), frozenset({"skipped"}))
    assert set(tree) == {"", "a", "a/file", "a/link", "skipped"}
    assert (tree["a"].kind, tree["a"].mode) == ("directory", 0o750)
    assert (tree["a/file"].mode, tree["a/file"].size, tree["a/file"].read()) == (0o640, 10, b"x" * 10)
    assert tree["a/link"].target == "file"


def test_tar_holds_modes_owners_and_contents() -> None:
    tree: Tree = {
        "": Node("directory"),
        "bin": Node("symlink", 0o777, target="usr/bin"),
        "usr": Node("directory", 0o2755, 0, 50),
        "usr/sudo": Node("file", 0o4755, 0, 42, content=b"elf", size=3),
    }
    stream, manifest = packed(tree)
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        members = {member.name: member for member in archive}
        content = archive.extractfile("./usr/sudo")
        assert content is not None and content.read() == b"elf"
    assert list(members) == [".", "./bin", "./usr", "./usr/sudo"]
    assert (members["./usr"].mode, members["./usr"].gid) == (0o2755, 50)
    assert (members["./usr/sudo"].mode, members["./usr/sudo"].mtime) == (0o4755, 7)
    assert members["./bin"].linkname == "usr/bin"
    assert manifest[3]["path"] == "/usr/sudo"
    assert manifest[3]["mode"] == "4755"


def test_further_names_of_a_file_are_hard_links_to_the_first(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("same")
    (tmp_path / "a").hardlink_to(tmp_path / "b")
    stream, manifest = packed(read_tree(str(tmp_path), frozenset()))
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert archive.getmember("./b").linkname == "./a"
    assert manifest[2]["link"] == "/a"


def test_capabilities_travel_as_an_extended_attribute() -> None:
    value = bytes.fromhex("0100000200040000000000000000000000000000")
    stream, _ = packed({"": Node("directory"), "ping": Node("file", 0o755, content=b"", capability=value)})
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        headers = archive.getmember("./ping").pax_headers
    assert headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == value


@given(st.lists(NAMES, max_size=6), NAMES)
def test_any_names_survive(directories: list[str], target: str) -> None:
    tree: Tree = {"": Node("directory")}
    path = ""
    for name in directories:
        path = f"{path}/{name}".lstrip("/") if path else name
        tree[path] = Node("directory")
    last = f"{path}/file" if path else "file"
    tree[last] = text_file("x")
    tree[f"{last}.link"] = Node("symlink", 0o777, target=target * 3)
    stream, _ = packed(tree)
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        names = archive.getnames()
        assert archive.getmember(f"./{last}.link").linkname == target * 3
    assert names == ["." if path == "" else f"./{path}" for path in ordered(tree)]


@given(st.permutations(["", "a", "a/b", "a.b", "a-b", "ä", "z"]))
def test_the_order_is_the_trees_own(names: list[str]) -> None:
    tree: Tree = {name: Node("directory") for name in names}
    assert ordered(tree) == ["", "a", "a-b", "a.b", "a/b", "z", "ä"]
