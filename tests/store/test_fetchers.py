"""Fetching: files, archives, git; every hash checked, nothing outside of the store touched, the second time offline."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.core.events import Event, Report, Warned
from invar.nix import Evaluator, NixError, NixRestricted, print_value
from invar.nix.fetching import FetchError
from invar.store.fetchers import Fetchers
from invar.store.fetchers.fetchers import forge_archive
from invar.store.objects import Store

NIX = shutil.which("nix-instantiate")


class Server(ThreadingHTTPServer):
    """Serves a directory on loopback and counts the requests."""

    requests = 0


class Handler(SimpleHTTPRequestHandler):
    """Without a log."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.requests += 1
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Server, str, Path]]:
    """A web server: itself, its address, the directory that it serves."""
    root = tmp_path / "www"
    root.mkdir()
    made = Server(("127.0.0.1", 0), partial(Handler, directory=str(root)))
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made, f"http://127.0.0.1:{made.server_address[1]}", root
    made.shutdown()
    made.server_close()


@pytest.fixture
def events() -> list[Event]:
    """What a fetcher reports."""
    return []


@pytest.fixture
def fetchers(tmp_path: Path, events: list[Event]) -> Fetchers:
    """A fetcher with an empty store."""
    return Fetchers(Store(tmp_path / "store"), tmp_path / "cache", Report(events.append), os.environ)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with two commits."""
    root = tmp_path / "repository"
    (root / "d").mkdir(parents=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    (root / "d" / "default.nix").write_text("{ x = 1; }")
    commit(root, "one")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("d/default.nix")
    commit(root, "two")
    return root


def git(root: Path, *arguments: str) -> str:
    """git in a repository."""
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-C", str(root), *arguments]
    stamp = "2024-05-06T07:08:09+0000"
    environment = {**os.environ, "GIT_COMMITTER_DATE": stamp, "GIT_AUTHOR_DATE": stamp}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


def commit(root: Path, message: str) -> str:
    """Commit everything; the revision."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", message)
    return git(root, "rev-parse", "HEAD")


def archive(place: Path, members: dict[str, bytes | str], mode: str = "w:gz") -> None:
    """A tar archive: bytes are files, texts are links."""
    with tarfile.open(place, mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.mtime = 1700000000
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def value(fetchers: Fetchers, expression: str, **settings: bool) -> str:
    """An expression's value, printed."""
    evaluator = Evaluator(fetcher=fetchers, **settings)  # type: ignore[arg-type]
    return print_value(evaluator.eval_string(expression), strict=True)


def of_nix(expression: str, state: Path) -> str:
    """The same by real Nix."""
    assert NIX is not None
    environment = {**os.environ, "NIX_STATE_DIR": str(state), "NIX_REMOTE": "", "XDG_CACHE_HOME": str(state / "cache")}
    command = [NIX, "--eval", "--strict", "--option", "experimental-features", "flakes", "-E", expression]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(NIX is None, reason="nix-instantiate is not installed")
@pytest.mark.parametrize(
    "expression",
    [
        "builtins.fetchGit REPOSITORY",
        'builtins.fetchGit { url = REPOSITORY; rev = "REV"; ref = "main"; name = "x"; }',
        'builtins.fetchGit { url = REPOSITORY; ref = "main"; }',
        'builtins.fetchTree { type = "git"; url = "file://REPOSITORY"; ref = "main"; }',
        "builtins.fetchTarball file://ARCHIVE",
        'builtins.fetchTarball { url = "file://ARCHIVE"; name = "y"; }',
        "builtins.fetchurl file://ARCHIVE",
        'builtins.fetchurl { url = "file://ARCHIVE"; name = "z.tgz"; }',
        'import "${builtins.fetchTarball file://ARCHIVE}/a.nix"',
        'builtins.readDir (builtins.fetchTree { type = "path"; path = "REPOSITORY/d"; }).outPath',
    ],
)
def test_real_nix_gives_the_same(expression: str, fetchers: Fetchers, repository: Path, tmp_path: Path) -> None:
    packed = tmp_path / "a.tar.gz"
    archive(packed, {"top/a.nix": b"{ y = 2; }", "top/b": b"", "top/link": "/absolute"})
    text = expression.replace("REPOSITORY", str(repository)).replace("ARCHIVE", str(packed))
    text = text.replace("REV", git(repository, "rev-parse", "HEAD"))
    assert value(fetchers, text) == of_nix(text, tmp_path / "state")


@pytest.mark.skipif(NIX is None, reason="nix-instantiate is not installed")
def test_a_work_tree_with_changes_is_taken_as_it_is(
    fetchers: Fetchers, repository: Path, tmp_path: Path, events: list[Event]
) -> None:
    (repository / "run").write_text("changed")
    (repository / "untracked").write_text("not there")
    (repository / "link").unlink()
    expression = f"builtins.fetchGit {repository}"
    mine = value(fetchers, expression)
    assert mine == of_nix(expression, tmp_path / "state")
    assert 'shortRev = "0000000"' in mine
    assert [event.text for event in events if isinstance(event, Warned)] == [f"Git tree '{repository}' is dirty"]


def test_what_has_a_hash_is_fetched_once(fetchers: Fetchers, server: tuple[Server, str, Path], tmp_path: Path) -> None:
    running, address, root = server
    archive(root / "a.tar.xz", {"top/default.nix": b"42"}, "w:xz")
    first = fetchers.tree({"type": "tarball", "url": f"{address}/a.tar.xz"})
    assert first.locked["lastModified"] == 1700000000
    assert running.requests == 1
    again = Fetchers(Store(tmp_path / "store"), tmp_path / "cache", Report(), os.environ)
    locked = again.tree(first.locked)
    assert (locked.source, locked.nar_sha256, running.requests) == (first.source, first.nar_sha256, 1)
    assert (
        Evaluator(fetcher=again, pure=True).eval_string(
            f'import (fetchTarball {{ url = "{address}/a.tar.xz"; sha256 = "{first.locked["narHash"]}"; }})'
        )
        == 42
    )
    assert running.requests == 1
    unlocked = again.tree({"type": "tarball", "url": f"{address}/a.tar.xz"})
    assert (unlocked.source, running.requests) == (first.source, 2)


def test_a_wrong_hash_stores_nothing(fetchers: Fetchers, server: tuple[Server, str, Path], tmp_path: Path) -> None:
    _, address, root = server
    (root / "f").write_text("content")
    archive(root / "a.tar", {"top/a": b"1"}, "w")
    wrong = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    for attributes in (
        {"type": "tarball", "url": f"{address}/a.tar", "narHash": wrong},
        {"type": "file", "url": f"{address}/f", "narHash": wrong},
    ):
        with pytest.raises(FetchError, match=r"hash mismatch.*\n.*specified: sha256:0000.*\n.*got: "):
            fetchers.tree(attributes)
    with pytest.raises(FetchError, match="hash mismatch"):
        fetchers.file(f"{address}/f", bytes(32))
    kept = {path.name for path in (tmp_path / "store").rglob("*") if path.is_file()}
    assert not kept


def test_a_revision_is_found_offline_and_off_any_branch(fetchers: Fetchers, repository: Path, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD^")
    lost = commit_aside(repository)
    for rev in (first, lost):
        tree = fetchers.tree({"type": "git", "url": f"file://{repository}", "rev": rev})
        assert tree.locked["rev"] == rev
        assert tree.locked["lastModified"] == 1714979289
    count = fetchers.tree({"type": "git", "url": f"file://{repository}", "rev": first}).locked["revCount"]
    assert count == 1
    shutil.rmtree(repository)
    again = Fetchers(Store(tmp_path / "store"), tmp_path / "cache", Report(), os.environ)
    assert again.tree({"type": "git", "url": f"file://{repository}", "rev": first}).locked["revCount"] == 1
    with pytest.raises(FetchError, match="cannot find Git revision"):
        again.tree({"type": "git", "url": f"file://{repository}", "rev": "a" * 40})


def commit_aside(repository: Path) -> str:
    """A commit that only another branch has."""
    git(repository, "checkout", "--quiet", "-b", "aside", "HEAD^")
    (repository / "aside").write_text("x")
    rev = commit(repository, "aside")
    git(repository, "checkout", "--quiet", "main")
    return rev


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"top/a": b"", "../evil": b"x"}, "outside of itself"),
        ({"/evil": b"x"}, "outside of itself"),
        ({"top/link": "/tmp", "top/link/evil": b"x"}, "below what is no directory"),
        ({"top/a": b"", "other": b""}, "unexpected number of top-level files"),
        ({}, "unexpected number of top-level files"),
    ],
)
def test_hostile_and_odd_archives(
    members: dict[str, bytes | str], message: str, fetchers: Fetchers, tmp_path: Path
) -> None:
    archive(tmp_path / "a.tar.gz", members)
    with pytest.raises(FetchError, match=message):
        fetchers.tree({"type": "tarball", "url": f"file://{tmp_path}/a.tar.gz"})
    assert not list(tmp_path.rglob("evil"))


def test_zip_archives(fetchers: Fetchers, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("top/default.nix", "7")
        run = zipfile.ZipInfo("top/run")
        run.external_attr = 0o100755 << 16
        packed.writestr(run, "#!/bin/sh")
        link = zipfile.ZipInfo("top/link")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "run")
    tree = Path(fetchers.tree({"type": "tarball", "url": f"file://{tmp_path}/a.zip"}).source)
    assert (tree / "default.nix").read_text() == "7"
    assert os.access(tree / "run", os.X_OK)
    assert (tree / "link").readlink() == Path("run")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"type": "tarball", "url": "file:///no/such.tar"}, "unable to download .*no such file"),
        ({"type": "tarball"}, "attribute 'url' is missing"),
        ({"type": "git", "url": "ext::sh -c 'touch /tmp/evil'"}, "not the URL of a git repository"),
        ({"type": "git", "url": "file:///no/such/repository"}, "git fetch failed"),
        ({"type": "git", "url": "file:///r", "ref": "--upload-pack=x"}, "check-ref-format failed|invalid Git branch"),
        ({"type": "git", "url": "file:///r", "rev": "zz"}, "not a Git revision"),
        ({"type": "path", "path": "relative"}, "not absolute"),
        ({"type": "path", "path": "/no/such"}, "No such file"),
        ({"type": "indirect", "id": "nixpkgs"}, "no fetcher for type 'indirect'"),
        ({"type": "mercurial", "url": "https://localhost/x"}, "no fetcher for type 'mercurial'"),
    ],
)
def test_what_cannot_be_fetched_says_why(attributes: dict[str, str], message: str, fetchers: Fetchers) -> None:
    with pytest.raises((FetchError, InvarError), match=message):
        fetchers.tree(attributes)


def test_a_web_servers_answer_is_told(fetchers: Fetchers, server: tuple[Server, str, Path]) -> None:
    _, address, _ = server
    with pytest.raises(FetchError, match=r"unable to download .*HTTP 404"):
        fetchers.file(f"{address}/none", None)


def test_pure_evaluation_needs_a_hash_and_ordinary_one_can_ask_for_it(fetchers: Fetchers) -> None:
    cases = {
        "fetchTarball file:///x.tar": "in pure evaluation mode, 'fetchTarball' requires a 'sha256' argument",
        "builtins.fetchurl file:///x": "in pure evaluation mode, 'fetchurl' requires a 'sha256' argument",
        "fetchGit file:///x": "in pure evaluation mode, 'fetchGit' requires a locked input",
        'fetchTree { type = "tarball"; url = "file:///x"; }': "in pure evaluation mode, 'fetchTree' requires a locked",
    }
    for expression, message in cases.items():
        with pytest.raises(NixRestricted, match=message):
            value(fetchers, expression, pure=True)
        with pytest.raises(NixRestricted, match=r"--impure|has no 'sha256'|tomorrow"):
            value(fetchers, expression, fetch_unlocked=False)


def test_restricted_evaluation_fetches_only_from_allowed_addresses(
    fetchers: Fetchers, server: tuple[Server, str, Path]
) -> None:
    _, address, root = server
    (root / "f").write_text("x")
    allowed = Evaluator(fetcher=fetchers, restricted=True, allowed_uris=[address])
    assert allowed.eval_string(f"builtins.readFile (builtins.fetchurl {address}/f)") == "x"
    with pytest.raises(NixRestricted, match=r"access to URI 'http://127.0.0.1:1/f' is forbidden in restricted mode"):
        allowed.eval_string("builtins.fetchurl http://127.0.0.1:1/f")


def test_without_a_fetcher_fetching_is_an_error() -> None:
    with pytest.raises(NixError, match="no way to the network"):
        Evaluator().eval_string("fetchTarball file:///x.tar")


def test_archives_of_forges() -> None:
    base = {"owner": "o", "repo": "r", "rev": "a" * 40}
    assert forge_archive({"type": "github", **base}) == f"https://github.com/o/r/archive/{'a' * 40}.tar.gz"
    assert forge_archive({"type": "gitlab", **base}).endswith(f"/o/r/-/archive/{'a' * 40}.tar.gz")
    assert forge_archive({"type": "sourcehut", **base, "owner": "~o"}).startswith("https://git.sr.ht/~o/r/archive/")
    assert forge_archive({"type": "github", **base, "owner": "../x"}).startswith("https://github.com/..%2Fx/r/")
