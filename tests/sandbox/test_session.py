"""A sandbox that stays: overlays of many layers, and commands one after another."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.sandbox.removal import remove_tree
from invar.sandbox.session import Session
from invar.sandbox.spec import Command, Directory, Overlay


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A directory for an overlay."""
    place = tmp_path / "scratch"
    place.mkdir()
    return place


def overlay_of(scratch: Path, count: int) -> Overlay:
    """An overlay of `count` directories that each hold a file of their own and one in common."""
    lowers = []
    for number in range(count):
        lower = scratch.parent / f"lower-with-a-rather-long-name-{number:04}"
        (lower / "data").mkdir(parents=True)
        (lower / f"data/{number}").write_text(str(number))
        (lower / "data/common").write_text(str(number))
        lowers.append(lower)
    return Overlay(tuple(lowers), scratch)


def listing(session: Session, overlay: Overlay) -> list[str]:
    """Names in the overlay's data directory, listed by a program of the host."""
    done = session.run(Command(("ls", str(overlay.merged / "data")), in_root=False))
    return done.output.decode().split()


@pytest.mark.parametrize("count", [1, 2, 399, 401, 1201])
def test_any_number_of_layers_is_one_tree(scratch: Path, count: int) -> None:
    overlay = overlay_of(scratch, count)
    with Session(overlay) as session:
        assert sorted(listing(session, overlay)) == sorted([*map(str, range(count)), "common"])
        common = session.run(Command(("cat", str(overlay.merged / "data/common")), in_root=False))
        assert common.output == b"0", "the first layer lies on top"


def test_changes_stay_in_the_session_and_out_of_the_layers(scratch: Path) -> None:
    overlay = overlay_of(scratch, 3)
    with Session(overlay) as session:
        session.run(Command(("sh", "-ec", f"cd {overlay.merged}/data; rm 1; echo new > 2; mkdir more"), in_root=False))
        assert listing(session, overlay) == ["0", "2", "common", "more"]
    assert (overlay.lowers[1] / "data/1").read_text() == "1"
    assert (overlay.lowers[2] / "data/2").read_text() == "2"
    assert (overlay.upper / "data/2").read_text() == "new\n"


def test_mounts_are_gone_afterwards(scratch: Path) -> None:
    overlay = overlay_of(scratch, 2)
    before = Path("/proc/self/mounts").read_text()
    with Session(overlay):
        assert list(overlay.merged.iterdir()) == []
        assert Path("/proc/self/mounts").read_text() == before
    remove_tree(scratch)
    assert not scratch.exists()


def test_one_command_follows_another_in_the_same_root(scratch: Path) -> None:
    with Session(Directory(Path("/"))) as session:
        session.run(Command(("sh", "-c", "echo kept > /tmp/file")))
        assert session.run(Command(("cat", "/tmp/file"))).output == b"kept\n"
        assert session.run(Command(("false",)), check=False).status == 1
        assert session.run(Command(("id", "-u"), uid=7, gid=8)).output == b"7\n"


def test_stdin_and_stdout_can_be_files(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("b\na\n")
    with (
        Session(Directory(Path("/"))) as session,
        (tmp_path / "in").open("rb") as stdin,
        (tmp_path / "out").open("wb") as stdout,
    ):
        done = session.run(Command(("sh", "-c", "sort; echo said >&2")), stdin=stdin, stdout=stdout)
    assert (tmp_path / "out").read_text() == "a\nb\n"
    assert done.output == b"said\n"


def test_what_a_command_leaves_running_is_killed() -> None:
    with Session(Directory(Path("/"))) as session:
        session.run(Command(("sh", "-c", "sleep 1000 & sleep 1000 &")))
        left = session.run(Command(("sh", "-c", "grep -l sleep /proc/[0-9]*/comm || true"))).output
    assert left == b""


def test_a_time_out_ends_the_session() -> None:
    with Session(Directory(Path("/"))) as session:
        with pytest.raises(InvarError, match="did not end") as caught:
            session.run(Command(("sh", "-c", "echo so far; exec sleep 1000"), timeout=0.5))
        assert "so far" in (caught.value.why or "")
        with pytest.raises(InvarError, match="closed"):
            session.run(Command(("true",)))


def test_a_session_that_dies_is_an_error() -> None:
    with Session(Directory(Path("/"))) as session:
        os.kill(newest_child(), signal.SIGKILL)
        with pytest.raises(InvarError, match="ended before"):
            session.run(Command(("true",)))


def test_a_session_that_dies_with_a_request_unread_is_an_error() -> None:
    """The kernel answers with a reset then, not with an end of file."""
    with Session(Directory(Path("/"))) as session:
        group = newest_child()
        os.killpg(group, signal.SIGSTOP)
        death = threading.Timer(0.3, os.killpg, (group, signal.SIGKILL))
        death.start()
        with pytest.raises(InvarError, match="ended before"):
            session.run(Command(("true",)))
        death.join()


def newest_child() -> int:
    """The process that this thread started last."""
    return int(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()[-1])


def test_a_missing_layer_is_an_error(scratch: Path) -> None:
    with pytest.raises(InvarError, match="could not be made"), Session(Overlay((scratch / "absent", scratch), scratch)):
        pass


def test_descriptors_do_not_leak(scratch: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (iterdir would hold one itself)
    for _ in range(3):
        with Session(Directory(Path("/"))) as session:
            session.run(Command(("true",)))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
