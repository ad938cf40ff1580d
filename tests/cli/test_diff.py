"""`invar diff` as a user types it: configurations, commits, images, digests; and what is wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from command import copy_example, invar, succeed
from invar.core.home import Home

pytestmark = pytest.mark.build


def git(project: Path, *arguments: str) -> None:
    """A git command in a project, as somebody."""
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", project, *who, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(repository: Path, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, locked and committed in a directory of a repository, then changed in two lines."""
    project = copy_example(repository, tmp_path_factory.mktemp("diff") / "repository" / "web")
    succeed("lock", project, home=home)
    git(project.parent, "init", "--quiet")
    git(project.parent, "add", "--all")
    git(project.parent, "commit", "--quiet", "--message", "one")
    change(project, "production-web-01", "production-web-02")
    change(project, "allowedTCPPorts = [ 80 ]", "allowedTCPPorts = [ 80 443 ]")
    return project


def change(project: Path, old: str, new: str) -> None:
    """Replace a text in whichever file has it."""
    for file in sorted(project.glob("*.nix")):
        file.write_text(file.read_text().replace(old, new))


@pytest.fixture(scope="module")
def images(project: Path, home: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """An image of the committed configuration, outside of the store, and what building the changed one says."""
    out = tmp_path_factory.mktemp("images")
    before = tmp_path_factory.mktemp("before") / "web"
    subprocess.run(["git", "-C", project.parent, "archive", "HEAD:web", "-o", out / "tree.tar"], check=True)
    before.mkdir()
    subprocess.run(["tar", "-xf", out / "tree.tar", "-C", before], check=True)
    succeed("build", before, "--out", out / "old.raw", home=home)
    return out, succeed("build", project, "--json", home=home).json()


def test_a_commit_and_the_working_tree(project: Path, home: Home) -> None:
    done = succeed("diff", f"{project}@HEAD", project, home=home)
    for words in (
        '~ networking.hostName  "production-web-01" → "production-web-02"  configuration.nix:4',
        "~ networking.firewall.allowedTCPPorts  + 443  web.nix:",
        "~ host_name  production-web-01 → production-web-02",
        "~ nftables.service  restarts: files that it uses differ",
        "+    tcp dport { 22, 80, 443 } accept",
    ):
        assert words in done.out
    assert len(done.out.splitlines()) < 50
    assert "\033" not in done.out


def test_the_same_is_no_difference_with_exit_code_0(project: Path, home: Home) -> None:
    done = succeed("diff", project, project, "--exit-code", home=home)
    assert "no difference" in done.out


def test_json_and_exit_code_3(project: Path, home: Home) -> None:
    done = invar("diff", f"{project}@HEAD", project, "--json", "--exit-code", home=home)
    assert done.code == 3
    found = done.json()
    assert found["differs"]
    assert [option["path"] for option in found["options"]] == [
        "networking.firewall.allowedTCPPorts",
        "networking.hostName",
    ]
    assert found["packages"] == []
    assert {unit["name"] for unit in found["system"]["units"]} == {"nftables.service"}
    assert found["image"] is None


def test_an_image_and_a_digest_are_compared_with_their_disks(images: tuple[Path, dict[str, str]], home: Home) -> None:
    out, built = images
    done = succeed("diff", out / "old.raw", built["system_digest"][:16], "--json", home=home)
    found = done.json()
    assert [option["path"] for option in found["options"]] == [
        "networking.firewall.allowedTCPPorts",
        "networking.hostName",
    ]
    assert found["new"]["system_digest"] == built["system_digest"]
    assert 0 < found["image"]["changed_blocks"] < 0.1 * found["image"]["blocks"]


def test_an_image_and_the_configuration_it_was_built_of_are_the_same(
    images: tuple[Path, dict[str, str]], project: Path, home: Home
) -> None:
    assert "no difference" in succeed("diff", images[1]["image"], project, home=home).out
    assert "no difference" in succeed("diff", images[0], f"{project}@HEAD", home=home).out


def test_a_package_that_changed_is_marked_by_its_suite(project: Path, home: Home, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in project.glob("*.nix"):
        (other / file.name).write_text(file.read_text())
    lock = (project / "invar.lock").read_text()
    line = next(line for line in lock.splitlines() if line.strip().startswith('"nginx":'))
    changed = line.replace('"suite": "trixie"', '"suite": "trixie-security"')
    version = changed.split('"version": "')[1].split('"')[0]
    changed = (
        changed.replace(version, f"{version}.1")
        .replace('"sha256": "', '"sha256": "')
        .replace(changed.split('"sha256": "')[1][:64], "0" * 64)
    )
    (other / "invar.lock").write_text(lock.replace(line, changed))
    done = succeed("diff", project, other, home=home)
    assert "Packages: 1 upgraded; 1 from the security archive" in done.out
    assert f"↑ nginx  {version} → {version}.1  security" in done.out


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ("nowhere", "there is nothing called nowhere"),
        ("{project}@no-such-branch", "there is no commit no-such-branch"),
        ("ffffffffffff", "there is no image ffffffffffff in the store"),
        ("{project}/web.nix/x", "there is nothing called"),
        ("{outside}@HEAD", "there is no commit HEAD"),
        ("{stray}", "there is no image-info.json"),
    ],
)
def test_what_means_nothing_is_a_usage_error(project: Path, home: Home, tmp_path: Path, old: str, said: str) -> None:
    (tmp_path / "stray.raw").write_bytes(b"x")
    name = old.format(project=project, outside=tmp_path, stray=tmp_path / "stray.raw")
    done = invar("diff", name, project, home=home)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""
