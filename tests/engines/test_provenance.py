"""The provenance of a real image: what it names, and that it is the same wherever the same is built."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from command import copy_example, succeed
from invar.core.errors import InvarError
from invar.core.home import Home
from invar.engines.repository import NOWHERE, checked_out, revision_of


def git(directory: Path, *arguments: str) -> str:
    """A git command, as somebody."""
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", "-C", directory, *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository_of_two(tmp_path: Path) -> Path:
    """A repository with `web/configuration.nix` in two commits, and another directory."""
    root = tmp_path / "repository"
    (root / "web").mkdir(parents=True)
    git(root, "init", "--quiet")
    for text in ("one", "two"):
        (root / "web" / "configuration.nix").write_text(text)
        (root / "other").write_text(text)
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", text)
    return root


def test_a_clean_directory_is_at_its_commit(repository_of_two: Path) -> None:
    web = repository_of_two / "web"
    found = revision_of(web, [web / "configuration.nix"])
    assert (found.commit, found.dirty, found.remote) == (git(web, "rev-parse", "HEAD"), False, None)


@pytest.mark.parametrize("case", ["changed", "deleted", "untracked", "ignored", "elsewhere", "unused"])
def test_what_makes_a_configuration_dirty(repository_of_two: Path, case: str) -> None:
    web = repository_of_two / "web"
    files = [web / "configuration.nix"]
    match case:
        case "changed":
            files[0].write_text("three")
        case "deleted":
            files[0].unlink()
        case "untracked":
            files.append(web / "new.nix")
            files[-1].write_text("new")
        case "ignored":
            (repository_of_two / ".git" / "info" / "exclude").write_text("*.lock\n")
            files.append(web / "invar.lock")
            files[-1].write_text("lock")
        case "elsewhere":
            (repository_of_two / "other").write_text("three")
        case "unused":
            (web / "result.raw").write_text("an image that nobody reads")
    assert revision_of(web, files).dirty == (case not in ("elsewhere", "unused"))


def test_outside_of_a_repository_there_is_no_revision(tmp_path: Path) -> None:
    assert revision_of(tmp_path) == NOWHERE


def test_the_remote_is_told_without_credentials(repository_of_two: Path) -> None:
    git(repository_of_two, "remote", "add", "origin", "https://joe:hunter2@example.org/team/web.git")
    assert revision_of(repository_of_two).remote == "https://example.org/team/web.git"


def test_a_commit_is_checked_out_beside_and_nothing_remains(repository_of_two: Path) -> None:
    web = repository_of_two / "web"
    (web / "configuration.nix").write_text("uncommitted")
    with checked_out(web, "HEAD~1") as tree:
        assert (tree / "configuration.nix").read_text() == "one"
        assert [path.name for path in tree.iterdir()] == ["configuration.nix"]
    assert not tree.exists()
    with checked_out(web / "configuration.nix", "HEAD") as file:
        assert file.read_text() == "two"
    assert (web / "configuration.nix").read_text() == "uncommitted"
    assert git(web, "status", "--porcelain") == "M web/configuration.nix"


@pytest.mark.parametrize("commit", ["no-such", "--help", "HEAD:web"])
def test_a_commit_that_is_none_is_refused(repository_of_two: Path, commit: str) -> None:
    with pytest.raises(InvarError, match="there is no commit"), checked_out(repository_of_two / "web", commit):
        pass


def test_a_directory_that_a_commit_lacks_is_refused(repository_of_two: Path) -> None:
    (repository_of_two / "later").mkdir()
    with pytest.raises(InvarError, match="is not in commit"), checked_out(repository_of_two / "later", "HEAD"):
        pass


@pytest.fixture(scope="module")
def project(repository: Path, tmp_path_factory: pytest.TempPathFactory, home: Home) -> Path:
    """The example in a clean repository."""
    project = copy_example(repository, tmp_path_factory.mktemp("provenance") / "web")
    (project / "motd.txt").write_text("hello\n")
    web = project / "web.nix"
    web.write_text(
        web.read_text().replace("services.postgresql", "environment.etc.motd.source = ./motd.txt; services.postgresql")
    )
    succeed("lock", project, home=home)
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "one")
    return project


def build(project: Path, home: Home, out: Path) -> dict[str, Any]:
    """The provenance of a build, checked against what lies beside it."""
    out.mkdir()
    succeed("build", project, "--out", out / "web.raw", home=home)
    found: dict[str, Any] = json.loads((out / "provenance.json").read_text())
    for one in found["predicate"]["runDetails"]["byproducts"]:
        assert hashlib.sha256((out / one["name"]).read_bytes()).hexdigest() == one["digest"]["sha256"]
    return found


@pytest.mark.build
def test_it_names_the_configurations_files_the_commit_and_the_images_digests(
    project: Path, home: Home, tmp_path: Path
) -> None:
    found = build(project, home, tmp_path / "out")
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    info = json.loads((tmp_path / "out" / "image-info.json").read_text())
    subjects = {one["name"]: next(iter(one["digest"].values())) for one in found["subject"]}
    assert subjects == {
        "system": info["system_digest"],
        "packages": info["layers"][0]["root_hash"],
        "config": info["layers"][1]["root_hash"],
        "kernel": info["kernel"]["sha256"],
        "initrd": info["initrd"]["sha256"],
    }
    definition = found["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["source"] == {"commit": git(project, "rev-parse", "HEAD"), "dirty": False}
    digests = {one["name"]: one["digest"]["sha256"] for one in definition["resolvedDependencies"]}
    for name in ("configuration.nix", "web.nix", "motd.txt"):
        assert digests[name] == hashlib.sha256((project / name).read_bytes()).hexdigest()
    assert digests["lock"] == info["lock_digest"]
    assert {"InRelease of trixie", "InRelease of trixie-security"} <= digests.keys()


@pytest.mark.build
def test_a_clone_elsewhere_gives_the_same_bytes_and_a_changed_tree_says_so(
    project: Path, home: Home, tmp_path: Path
) -> None:
    build(project, home, tmp_path / "one")
    clone = tmp_path / "elsewhere" / "web"
    shutil.copytree(project, clone)
    build(clone, home, tmp_path / "two")
    for name in ("provenance.json", "image-record.json", "sbom.spdx.json", "sbom.cdx.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    (clone / "motd.txt").write_text("changed\n")
    changed = build(clone, home, tmp_path / "three")
    assert changed["predicate"]["buildDefinition"]["externalParameters"]["source"]["dirty"] is True
