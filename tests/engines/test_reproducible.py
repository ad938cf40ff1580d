"""Two builds from nothing, by another user and in another directory, give the same bytes.

That a shifted clock changes nothing is shown for the packages layer, in tests/image.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command import copy_example, succeed
from invar.core.home import Home

pytestmark = pytest.mark.build

ORDINARY = "invar-test"


def test_an_ordinary_user_elsewhere_builds_the_same_bytes(
    repository: Path, home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    user = ordinary_user()
    first_project = copy_example(repository, tmp_path_factory.mktemp("first") / "production-web")
    first = succeed("build", first_project, "--json", home=home).json()

    work = Path("/var/tmp") / f"invar-reproducible-{os.getpid()}"
    try:
        second_home = Home(work / "a" / "longer" / "way" / "home")
        shutil.copytree(home.store / "deb", second_home.store / "deb", copy_function=os.link)
        project = copy_example(repository, work / "elsewhere")
        shutil.copyfile(first_project / "invar.lock", project / "invar.lock")
        shutil.copytree(repository / "src", work / "src")
        chown(work, user)
        second = build_as(user, work / "src", project, second_home)
        assert_same(first, second)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def ordinary_user() -> pwd.struct_passwd:
    """A user with subordinate ids; made when there is none, which needs useradd and uidmap."""
    if not shutil.which("newuidmap"):
        pytest.skip("newuidmap is not installed: apt-get install uidmap")
    try:
        user = pwd.getpwnam(ORDINARY)
    except KeyError:
        subprocess.run(["useradd", "--create-home", ORDINARY], check=True)
        user = pwd.getpwnam(ORDINARY)
    if not any(line.startswith(f"{ORDINARY}:") for line in Path("/etc/subuid").read_text().splitlines()):
        pytest.skip(
            f"{ORDINARY} has no subordinate ids: usermod --add-subuids 200000-265535 --add-subgids 200000-265535"
        )
    return user


def chown(tree: Path, user: pwd.struct_passwd) -> None:
    """Give a tree to the user, except for hard-linked files, which others need: those become copies."""
    for path in [tree, *tree.rglob("*")]:
        if path.is_file() and path.stat().st_nlink > 1:
            copy = path.with_name(path.name + ".copy")
            shutil.copyfile(path, copy)
            copy.replace(path)
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def build_as(user: pwd.struct_passwd, source: Path, project: Path, home: Home) -> dict[str, object]:
    """`invar build --json` as another user, with the source at another place and another environment."""
    site = project.parent / "site-packages"
    shutil.copytree(
        Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages", site
    )
    done = subprocess.run(
        [readable_python(project.parent), "-m", "invar", "build", str(project), "--json"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": user.pw_dir,
            "LANG": "de_DE.UTF-8",
            "TZ": "Pacific/Auckland",
            "INVAR_HOME": str(home.root),
            "PYTHONPATH": f"{source}:{site}",
        },
        cwd="/",
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        umask=0o027,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


def readable_python(work: Path) -> str:
    """An interpreter of this version that other users may run: the one that runs this, or a copy of its prefix."""
    prefix = Path(sys.base_prefix)
    if prefix.stat().st_mode & 0o005 == 0o005 and all(parent.stat().st_mode & 0o001 for parent in prefix.parents):
        return str(prefix / "bin" / "python3")
    shutil.copytree(prefix, work / "python", symlinks=True)
    return str(work / "python" / "bin" / "python3")


def assert_same(first: dict[str, object], second: dict[str, object]) -> None:
    """The same digests and the same bytes; else the paths that differ."""
    if first["system_digest"] != second["system_digest"]:
        pytest.fail("the builds differ:\n" + "\n".join(differing_paths(first, second)))
    compared = subprocess.run(["cmp", str(first["image"]), str(second["image"])], capture_output=True, text=True)
    assert compared.returncode == 0, compared.stdout + compared.stderr


def differing_paths(first: dict[str, object], second: dict[str, object]) -> list[str]:
    """Lines of the packages layers' manifests that one build has and the other has not."""
    manifests = []
    for built in (first, second):
        store = Path(str(built["image"])).parents[2]
        newest = max((store / "packages-layer").iterdir(), key=lambda path: path.stat().st_mtime)
        manifests.append(set((newest / "manifest.jsonl").read_text().splitlines()))
    return [f"layers: {first['layers']} {second['layers']}", *sorted(manifests[0] ^ manifests[1])[:60]]
