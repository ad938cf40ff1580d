"""Fetching from Mercurial: what real Nix gives, and what is told without hg."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.events import Report
from invar.nix import Evaluator, NixError
from invar.nix.builtins.data import to_json
from invar.store.fetchers import Fetchers
from invar.store.objects import Store

HG = shutil.which("hg")
NIX = shutil.which("nix-instantiate")
needs_hg = pytest.mark.skipif(HG is None, reason="hg is not installed")


@pytest.fixture
def evaluator(tmp_path: Path) -> Evaluator:
    """An evaluator that fetches into an empty store."""
    store = Store(tmp_path / "store")
    return Evaluator(fetcher=Fetchers(store, tmp_path / "cache", Report(), os.environ))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two changesets on its default branch and one on another."""
    root = tmp_path / "repository"
    root.mkdir()
    hg(root, "init")
    for name in ("one", "two"):
        (root / name).write_text(name)
        commit(root, name)
    hg(root, "branch", "other")
    (root / "three").write_text("three")
    commit(root, "three")
    hg(root, "update", "default")
    return root


def hg(root: Path, *arguments: str) -> str:
    """hg in a repository."""
    command = ["hg", "--config", "ui.username=t <t@localhost>", "--cwd", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(root: Path, message: str) -> None:
    """Commit everything."""
    hg(root, "addremove")
    hg(root, "commit", "--message", message, "--date", "1700000000 0")


def answer(evaluator: Evaluator, expression: str) -> object:
    """The value as data."""
    return json.loads(str(to_json(evaluator.eval_string(expression), None)))


@needs_hg
@pytest.mark.skipif(NIX is None, reason="nix is not installed: nothing to compare with")
@pytest.mark.parametrize("rest", ["", 'rev = "other";', 'rev = "REV"; name = "named";'])
def test_real_nix_gives_the_same(rest: str, evaluator: Evaluator, repository: Path, tmp_path: Path) -> None:
    rest = rest.replace("REV", hg(repository, "log", "--rev", "0", "--template", "{node}"))
    expression = f'(builtins.fetchMercurial {{ url = "{repository}"; {rest} }})'
    environment = {
        **os.environ, "NIX_REMOTE": "", "HOME": str(tmp_path), "NIX_STORE_DIR": "/nix/store",
        **{f"NIX_{name}_DIR": str(tmp_path / "nix" / name) for name in ("STATE", "LOG", "CONF")},
        "NIX_CONFIG": "store = local?root=" + str(tmp_path / "nix"),
    }  # fmt: skip
    command = [str(NIX), "--eval", "--strict", "--json", "-E", f'{expression} // {{ outPath = "" + {expression}; }}']
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    assert answer(evaluator, f'{expression} // {{ outPath = "" + {expression}; }}') == json.loads(said)


@needs_hg
def test_a_revision_is_fetched_once(evaluator: Evaluator, repository: Path, tmp_path: Path) -> None:
    rev = hg(repository, "log", "--rev", "1", "--template", "{node}")
    expression = (
        f'builtins.attrNames (builtins.readDir (builtins.fetchMercurial {{ url = "{repository}"; rev = "%s"; }}))'
    )
    assert answer(evaluator, expression % rev) == ["one", "two"]
    (repository / "four").write_text("four")
    commit(repository, "four")
    newest = hg(repository, "log", "--rev", "tip", "--template", "{node}")
    assert answer(evaluator, expression % newest) == ["four", "one", "two"]
    shutil.rmtree(repository)
    assert answer(evaluator, expression % rev) == ["one", "two"]
    with pytest.raises(NixError, match="hg pull failed"):
        answer(evaluator, expression % ("1" * 40))


def test_without_hg_it_is_told_what_is_needed(tmp_path: Path) -> None:
    fetchers = Fetchers(Store(tmp_path / "store"), tmp_path / "cache", Report(), {"PATH": str(tmp_path)})
    with pytest.raises(InvarError, match="hg is needed to fetch from a Mercurial repository"):
        Evaluator(fetcher=fetchers).eval_string('builtins.fetchMercurial "/repository"')
