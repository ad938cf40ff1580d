"""State that is declared immutable: put in its place, recorded at first, and compared file by file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.machine.immutable import Audited, Immutable, compare, declared, place, record
from invar.machine.trees import MAX_FILES, TooMuch, read_tree


class State:
    """A source, where it belongs, and what the machine remembers."""

    def __init__(self, root: Path) -> None:
        self.records = root / "state" / "immutable.json"
        self.source = root / "source"
        self.path = root / "var" / "model"
        self.source.mkdir()
        (self.source / "weights").write_text("1 2 3")
        (self.source / "sub").mkdir()
        (self.source / "sub" / "tool").write_text("#!/bin/sh\n")
        (self.source / "sub" / "tool").chmod(0o555)
        (self.source / "link").symlink_to("weights")

    def sourced(self, max_size: int = 64) -> Immutable:
        return Immutable(str(self.path), str(self.source), max_size)

    def found(self, max_size: int = 64) -> Immutable:
        return Immutable(str(self.path), None, max_size)

    def place(self) -> list[str]:
        return place([self.sourced()], self.records)

    def standing(self, tree: Immutable | None = None) -> tuple[str, tuple[str, ...]]:
        (one,) = compare([tree or self.sourced()], self.records)
        return one.state, one.changed


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def test_a_source_is_put_in_its_place_once(state: State) -> None:
    assert state.standing() == ("missing", ())
    assert len(state.place()) == 1
    assert (state.path / "sub" / "tool").stat().st_mode & 0o777 == 0o555
    assert (state.path / "link").readlink() == Path("weights")
    assert state.standing() == ("kept", ())
    before = (state.path / "weights").stat().st_ino
    assert state.place() == []
    assert (state.path / "weights").stat().st_ino == before


def test_an_empty_directory_in_its_place_is_nothing(state: State) -> None:
    state.path.mkdir(parents=True)
    state.place()
    assert state.standing() == ("kept", ())


def content(path: Path) -> None:
    (path / "weights").write_text("1 2 4")


def same_size_and_time(path: Path) -> None:
    before = (path / "weights").stat()
    (path / "weights").write_text("3 2 1")
    os.utime(path / "weights", ns=(before.st_atime_ns, before.st_mtime_ns))


def mode(path: Path) -> None:
    (path / "weights").chmod(0o666)


def owner(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(path / "weights", 1000, 1000)


def link(path: Path) -> None:
    (path / "link").unlink()
    (path / "link").symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("change", "named"),
    [(content, "weights"), (same_size_and_time, "weights"), (mode, "weights"), (owner, "weights"), (link, "link")],
)
def test_whatever_is_altered_is_named_and_left_for_the_audit(
    state: State, change: Callable[[Path], None], named: str
) -> None:
    state.place()
    change(state.path)
    assert state.standing() == ("altered", (named,))
    assert "left as it is" in state.place()[0]
    assert state.standing() == ("altered", (named,))


def test_files_that_came_and_went_are_named(state: State) -> None:
    state.place()
    (state.path / "new").touch()
    (state.path / "sub" / "tool").unlink()
    assert state.standing() == ("altered", ("new", "sub/tool"))


def test_only_the_first_few_are_named(state: State) -> None:
    state.place()
    for number in range(20):
        (state.path / f"{number:02}").touch()
    changed = state.standing()[1]
    assert len(changed) == 9 and changed[-1] == "and 12 more"


def test_another_generation_replaces_what_was_not_altered(state: State) -> None:
    state.place()
    (state.source / "weights").write_text("4 5 6")
    assert state.standing()[0] == "altered"
    state.place()
    assert state.standing() == ("kept", ()) and (state.path / "weights").read_text() == "4 5 6"
    assert [one.name for one in state.path.parent.iterdir()] == ["model"]


def test_a_single_file_may_be_the_source(state: State, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("public")
    one = Immutable(str(tmp_path / "var" / "key"), str(tmp_path / "key"), 1)
    place([one], state.records)
    assert state.standing(one) == ("kept", ())
    (tmp_path / "var" / "key").write_text("other")
    assert state.standing(one) == ("altered", (".",))


def test_without_a_source_what_is_first_there_counts(state: State) -> None:
    tree = state.found()
    record([tree], state.records)
    assert state.standing(tree) == ("new", ())
    state.path.mkdir(parents=True)
    record([tree], state.records)
    assert state.standing(tree) == ("new", ())  # nothing was written yet
    (state.path / "licence").write_text("granted")
    record([tree], state.records)
    assert state.standing(tree) == ("kept", ())
    (state.path / "licence").write_text("revoked")
    record([tree], state.records)
    assert state.standing(tree) == ("altered", ("licence",))
    (state.path / "licence").unlink()
    state.path.rmdir()
    assert state.standing(tree) == ("missing", ())


def test_what_is_no_longer_declared_is_forgotten(state: State) -> None:
    state.path.mkdir(parents=True)
    (state.path / "licence").write_text("granted")
    record([state.found()], state.records)
    record([], state.records)
    (state.path / "licence").write_text("another")
    record([state.found()], state.records)
    assert state.standing(state.found()) == ("kept", ())


def test_more_than_may_be_read_cannot_be_proven(state: State) -> None:
    state.place()
    (state.path / "weights").write_bytes(bytes(2 << 20))
    (one,) = compare([state.sourced(max_size=1)], state.records)
    assert one.state == "unread" and one.message == "it has more than 1 MiB (invar.immutable.<path>.maxSize)"


def test_a_tree_of_too_many_files_is_not_read(tmp_path: Path) -> None:
    for number in range(MAX_FILES):
        (tmp_path / str(number)).touch()
    with pytest.raises(TooMuch, match="10,000 files"):
        read_tree(tmp_path, 1)


def test_a_pipe_is_not_read_from(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    tree = read_tree(tmp_path, 1)
    assert tree is not None and tree.entries["pipe"].startswith("special ")


def test_a_source_that_is_not_there_is_told(state: State) -> None:
    gone = Immutable(str(state.path), str(state.source / "nothing"), 1)
    (one,) = compare([gone], state.records)
    assert (one.state, one.message.startswith("the source is not there")) == ("unread", True)


def test_what_the_system_declares(tmp_path: Path) -> None:
    assert declared(tmp_path / "nothing") == Audited()
    file = tmp_path / "audit.json"
    file.write_text(
        '{"programs": ["/x"], "units": ["*.scope"], "immutable": [{"path": "/var/a", "source": null, "max_size": 3}]}'
    )
    assert declared(file) == Audited(("/x",), ("*.scope",), (Immutable("/var/a", None, 3),))
    file.write_text('{"programs": 1}')
    with pytest.raises(InvarError):
        declared(file)
