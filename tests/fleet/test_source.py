"""The source commit: found, judged dirty, checked out again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.events import Event, Note, Report
from invar.fleet.source import checked_out, find_source


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A configuration in a repository with one commit, two directories down."""
    path = tmp_path / "repository" / "hosts" / "web" / "configuration.nix"
    path.parent.mkdir(parents=True)
    path.write_text("{ }\n")
    git(path, "init", "--quiet", str(tmp_path / "repository"))
    git(path, "add", ".")
    commit(path)
    return path


def git(configuration: Path, *arguments: str) -> str:
    argv = ["git", "-C", str(configuration.parent), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def commit(configuration: Path) -> str:
    git(configuration, "commit", "--quiet", "--all", "--message", "as it is")
    return git(configuration, "rev-parse", "HEAD")


def test_a_clean_checkout(configuration: Path) -> None:
    found = find_source(configuration, Report())
    assert found is not None
    assert (found.commit, found.dirty) == (git(configuration, "rev-parse", "HEAD"), False)
    assert found.path == "hosts/web/configuration.nix"


@pytest.mark.parametrize("changed", ["hosts/web/configuration.nix", "shared/new.nix"])
def test_any_change_makes_it_dirty(configuration: Path, changed: str) -> None:
    path = configuration.parents[2] / changed
    path.parent.mkdir(exist_ok=True)
    path.write_text("{ a = 1; }\n")
    found = find_source(configuration, Report())
    assert found is not None
    assert found.dirty


def test_without_a_repository_or_a_commit_there_is_none_and_a_note_says_so(tmp_path: Path) -> None:
    events: list[Event] = []
    path = tmp_path / "configuration.nix"
    path.write_text("{ }\n")
    assert find_source(path, Report(events.append)) is None
    git(path, "init", "--quiet", str(tmp_path))
    assert find_source(path, Report(events.append)) is None
    assert [type(event) for event in events] == [Note, Note]


def test_a_commit_can_be_had_again_and_leaves_nothing(configuration: Path) -> None:
    first = git(configuration, "rev-parse", "HEAD")
    configuration.write_text("{ changed = true; }\n")
    commit(configuration)
    with checked_out(configuration.parent, first) as tree:
        assert (tree / "hosts/web/configuration.nix").read_text() == "{ }\n"
    assert not tree.exists()
    assert len(git(configuration, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize("unknown", ["0" * 40, "--orphan", "HEAD", "../x"])
def test_what_is_no_commit_here_is_an_error_with_a_way_out(configuration: Path, unknown: str) -> None:
    with pytest.raises(InvarError) as caught, checked_out(configuration.parent, unknown):
        pass
    assert caught.value.hint
