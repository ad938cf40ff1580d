"""flake.lock: what real Nix writes for the same inputs; what stays, what is updated, what a wrong hash says."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flakes.conftest import STUBS, Open, Write, git, repository, value
from invar.core.errors import InvarError
from invar.core.events import Report
from invar.flakes.lockfile import lock_data, lock_text, read_lock_file
from invar.store.fetchers import Fetchers
from invar.store.objects import Store

LEAF = "{ outputs = { self }: { name = %s; }; }"


@pytest.fixture
def inputs(write: Write) -> Path:
    """Flakes that are inputs of others: a, b (which takes a), a repository g, and plain files."""
    directory = write(
        "inputs",
        {
            "a/flake.nix": LEAF % '"a"',
            "a2/flake.nix": LEAF % '"a2"',
            "g/flake.nix": LEAF % '"g"',
            "g/sub/flake.nix": LEAF % '"g/sub"',
            "files/data.txt": "data",
        },
    )
    outputs = '{ self, a }: { name = "b of ${a.name}"; }'
    write("inputs", {"b/flake.nix": f'{{ inputs.a.url = "path:{directory}/a"; outputs = {outputs}; }}'})
    repository(directory / "g")
    return directory


def flake_of(inputs: Path) -> str:
    return f"""{{
  inputs.a.url = "path:{inputs}/a";
  inputs.b = {{ url = "path:{inputs}/b"; inputs.a.follows = "a"; }};
  inputs.own = {{ url = "path:{inputs}/b"; }};
  inputs.g.url = "git+file://{inputs}/g";
  inputs.s.url = "git+file://{inputs}/g?dir=sub";
  inputs.files = {{ url = "path:{inputs}/files"; flake = false; }};
  inputs.same.follows = "b/a";
  outputs = {{ self, a, b, own, g, s, same, files }}: {{
    names = map (input: input.name) [ a b own g s same ];
    data = builtins.readFile "${{files}}/data.txt";
    rev = g.rev;
  }};
}}"""


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetchers:
    return Fetchers(Store(tmp_path / "store"), tmp_path / "cache", Report(), {})


def test_the_lock_is_the_one_that_nix_writes(
    inputs: Path, write: Write, opened: Open, fetcher: Fetchers, nix: Callable[..., Any]
) -> None:
    ours = write("ours", {"flake.nix": flake_of(inputs)})
    theirs = write("theirs", {"flake.nix": flake_of(inputs)})
    flake = opened(ours, fetcher=fetcher)
    names = nix("eval", "--json", f"path:{theirs}#names")
    assert (ours / "flake.lock").read_text() == without_quirks((theirs / "flake.lock").read_text())
    assert value(flake, "names") == names == ["a", "b of a", "b of a", "g", "g/sub", "a"]
    assert value(flake, "data") == "data" and value(flake, "rev") == git(inputs / "g", "rev-parse", "HEAD")
    seen = nix("flake", "metadata", "--json", f"path:{ours}")["locks"]
    assert json.loads(without_quirks(json.dumps(seen, indent=2))) == lock_data(flake.inputs)


def without_quirks(text: str) -> str:
    """The lock of Nix 2.8 as later versions write it: the branch is left out, `dir` is not in the URL too."""
    return re.sub(r'( *"ref": "main",\n)|\?dir=sub', "", text)


def test_what_nix_locked_is_read_and_stays(
    inputs: Path, write: Write, opened: Open, fetcher: Fetchers, nix: Callable[..., Any]
) -> None:
    directory = write("f", {"flake.nix": flake_of(inputs)})
    nix("flake", "lock", f"path:{directory}", parse=False)
    text = (directory / "flake.lock").read_text()
    flake = opened(directory, fetcher=fetcher)
    assert not flake.lock_differs and lock_text(flake.inputs) == text == (directory / "flake.lock").read_text()
    git(inputs / "g", "commit", "-q", "--allow-empty", "-m", "second")
    assert value(opened(directory, fetcher=fetcher), "rev") == git(inputs / "g", "rev-parse", "HEAD~")


def test_an_update_moves_what_was_asked_for(inputs: Path, write: Write, opened: Open, fetcher: Fetchers) -> None:
    directory = write("f", {"flake.nix": flake_of(inputs)})
    opened(directory, fetcher=fetcher)
    before = json.loads((directory / "flake.lock").read_text())["nodes"]
    git(inputs / "g", "commit", "-q", "--allow-empty", "-m", "second")
    (inputs / "files" / "data.txt").write_text("changed")
    opened(directory, fetcher=fetcher, update=frozenset({("g",)}))
    after = json.loads((directory / "flake.lock").read_text())["nodes"]
    assert [name for name in after if after[name] != before[name]] == ["g"]
    assert after["g"]["locked"]["revCount"] == 2
    with pytest.raises(InvarError, match="NAR hash mismatch in input 'files'") as caught:
        value(opened(directory, fetcher=fetcher), "data")
    assert "invar flake update files" in str(caught.value)
    assert value(opened(directory, fetcher=fetcher, update=None), "data") == "changed"
    with pytest.raises(InvarError, match="no input 'q'"):
        opened(directory, fetcher=fetcher, update=frozenset({("q",)}))


def test_a_wrong_hash_in_the_lock_is_an_error(inputs: Path, write: Write, opened: Open, fetcher: Fetchers) -> None:
    directory = write("f", {"flake.nix": flake_of(inputs)})
    opened(directory, fetcher=fetcher)
    lock = directory / "flake.lock"
    data = json.loads(lock.read_text())
    good = data["nodes"]["a"]["locked"]["narHash"]
    data["nodes"]["a"]["locked"]["narHash"] = "sha256-" + "A" * 43 + "="
    lock.write_text(json.dumps(data))
    with pytest.raises(InvarError) as caught:
        value(opened(directory, fetcher=fetcher), "names")
    assert good in str(caught.value) and "sha256-AAA" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version": 4}', '{"version": 7, "root": "r", "nodes": {}}', "<<<<<<< HEAD"]
)
def test_a_broken_lock_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "flake.lock").write_text(text)
    with pytest.raises(InvarError, match=r"flake.lock"):
        read_lock_file(tmp_path / "flake.lock")


def test_an_input_replaced_on_the_command_line_leaves_the_lock_alone(
    inputs: Path, write: Write, opened: Open, fetcher: Fetchers
) -> None:
    directory = write("f", {"flake.nix": flake_of(inputs)})
    opened(directory, fetcher=fetcher)
    text = (directory / "flake.lock").read_text()
    flake = opened(directory, fetcher=fetcher, overrides={"a": f"path:{inputs}/a2"})
    assert value(flake, "names") == ["a2", "b of a2", "b of a", "g", "g/sub", "a2"]
    assert (directory / "flake.lock").read_text() == text
    with pytest.raises(InvarError, match="no input 'z'"):
        opened(directory, fetcher=fetcher, overrides={"z": f"path:{inputs}/a2"})


def test_relative_inputs_are_part_of_the_flake_s_own_tree(write: Write, opened: Open) -> None:
    directory = write(
        "f",
        {
            "flake.nix": '{ inputs.sub.url = "./sub"; outputs = { self, sub }: { name = sub.name; }; }',
            "sub/flake.nix": LEAF % '"sub"',
        },
    )
    assert value(opened(directory), "name") == "sub"
    node = json.loads((directory / "flake.lock").read_text())["nodes"]["sub"]
    assert node == {
        "locked": {"path": "./sub", "type": "path"},
        "original": {"path": "./sub", "type": "path"},
        "parent": [],
    }
    (directory / "sub" / "flake.nix").write_text(LEAF % '"changed"')
    assert value(opened(directory), "name") == "changed"
    (directory / "flake.nix").write_text('{ inputs.up.url = "../up"; outputs = _: { }; }')
    with pytest.raises(InvarError, match="leads out of the flake's tree"):
        opened(directory)


def test_what_the_engine_provides_is_left_to_nix_in_the_lock(
    write: Write, opened: Open, nix: Callable[..., Any]
) -> None:
    text = """{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";
  inputs.a = { url = "path:A"; inputs.nixpkgs.follows = "nixpkgs"; };
  outputs = { self, nixpkgs, a }: { x = a.version; };
}"""
    a = write("a", {"flake.nix": "{ outputs = { self, nixpkgs }: { version = nixpkgs.lib ? nixosSystem; }; }"})
    directory = write("f", {"flake.nix": text.replace("path:A", f"path:{a}")})
    flake = opened(directory)
    assert value(flake, "x") is True
    nodes = json.loads((directory / "flake.lock").read_text())["nodes"]
    assert nodes["root"]["inputs"] == {"a": "a"} and nodes["a"]["inputs"] == {"nixpkgs": ["nixpkgs"]}
    override = ("--override-input", "nixpkgs", f"path:{STUBS / 'nixpkgs'}")
    assert nix("eval", "--json", f"path:{directory}#x", *override) is True
    github = {"type": "github", "owner": "NixOS", "repo": "nixpkgs"}
    nodes["nixpkgs"] = {
        "locked": {**github, "rev": "0" * 40, "narHash": "sha256-x", "lastModified": 1},
        "original": {**github, "ref": "nixos-25.11"},
    }
    nodes["root"]["inputs"]["nixpkgs"] = "nixpkgs"
    (directory / "flake.lock").write_text(json.dumps({"nodes": nodes, "root": "root", "version": 7}))
    flake = opened(directory)
    assert value(flake, "x") is True and not flake.lock_differs


def test_a_tarball_is_fetched_locked_and_not_fetched_again(write: Write, opened: Open, tmp_path: Path) -> None:
    source = write("tree", {"pkg/flake.nix": LEAF % '"from the tarball"'})
    served = tmp_path / "served"
    served.mkdir()
    subprocess.run(["tar", "-C", str(source), "-czf", str(served / "pkg.tar.gz"), "pkg"], check=True)
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/pkg.tar.gz"
    text = f'{{ inputs.p.url = "{url}"; outputs = {{ self, p }}: {{ name = p.name; }}; }}'
    directory = write("f", {"flake.nix": text})

    def fresh(store: str, *, offline: bool = False) -> Fetchers:
        return Fetchers(Store(tmp_path / store), tmp_path / "cache", Report(), {}, offline=offline)

    with pytest.raises(InvarError, match="--offline forbids"):
        opened(directory, fetcher=fresh("s", offline=True))
    assert value(opened(directory, fetcher=fresh("s")), "name") == "from the tarball"
    server.shutdown()
    locked = json.loads((directory / "flake.lock").read_text())["nodes"]["p"]["locked"]
    assert locked["url"] == url and locked["type"] == "tarball" and locked["narHash"].startswith("sha256-")
    assert value(opened(directory, fetcher=fresh("s", offline=True)), "name") == "from the tarball"
    server.server_close()
    with pytest.raises(InvarError, match="--offline forbids"):
        value(opened(directory, fetcher=fresh("another", offline=True)), "name")
