"""URLs of inputs and the attributes behind them."""

from __future__ import annotations

import pytest

from invar.nix import NixError
from invar.nix.input_urls import format_input, git_url, parse_input_url

REV = "0123456789abcdef0123456789abcdef01234567"
CASES: dict[str, dict[str, str | int | bool]] = {
    "path:/a/b?lastModified=5": {"type": "path", "path": "/a/b", "lastModified": 5},
    "path:./a%20b": {"type": "path", "path": "./a b"},
    f"git+https://localhost/r.git?ref=main&rev={REV}": {
        "type": "git", "url": "https://localhost/r.git", "ref": "main", "rev": REV,
    },
    "git+ssh://git@localhost/r?submodules=1": {"type": "git", "url": "ssh://git@localhost/r", "submodules": True},
    "git+file:///r": {"type": "git", "url": "file:///r"},
    "git+file:.?dir=x": {"type": "git", "url": "file:.", "dir": "x"},
    "github:NixOS/nixpkgs": {"type": "github", "owner": "NixOS", "repo": "nixpkgs"},
    "github:NixOS/nixpkgs/nixos-24.05?dir=lib": {
        "type": "github", "owner": "NixOS", "repo": "nixpkgs", "ref": "nixos-24.05", "dir": "lib",
    },
    f"gitlab:o/r/{REV}": {"type": "gitlab", "owner": "o", "repo": "r", "rev": REV},
    "sourcehut:~o/r": {"type": "sourcehut", "owner": "~o", "repo": "r"},
    "https://localhost/x.tar.gz?narHash=sha256-a%2Bb": {
        "type": "tarball", "url": "https://localhost/x.tar.gz", "narHash": "sha256-a+b",
    },
    "tarball+https://localhost/x?k=v": {"type": "tarball", "url": "https://localhost/x?k=v"},
    "https://localhost/x.txt": {"type": "file", "url": "https://localhost/x.txt"},
    "file+https://localhost/x.zip": {"type": "file", "url": "https://localhost/x.zip"},
    "file:///x.zip": {"type": "tarball", "url": "file:///x.zip"},
    "flake:nixpkgs": {"type": "indirect", "id": "nixpkgs"},
    f"nixpkgs/nixos-24.05/{REV}": {"type": "indirect", "id": "nixpkgs", "ref": "nixos-24.05", "rev": REV},
}  # fmt: skip


@pytest.mark.parametrize(("url", "attributes"), CASES.items(), ids=CASES)
def test_url_and_attributes(url: str, attributes: dict[str, str | int | bool]) -> None:
    assert parse_input_url(url) == attributes
    if not {"lastModified", "submodules"} & attributes.keys():
        assert parse_input_url(format_input(attributes)) == attributes


@pytest.mark.parametrize(
    "url", ["", "./x", "bzr+https://localhost/x", "path://host/x", "github:only", "a/b/c/d", f"github:o/r/{REV}?ref=x"]
)
def test_what_is_no_input(url: str) -> None:
    with pytest.raises(NixError):
        parse_input_url(url)


def test_short_git_urls() -> None:
    assert git_url("/a/b") == "file:///a/b"
    assert git_url("git@host:a/b.git") == "ssh://git@host/a/b.git"
    assert git_url("https://localhost/x:y") == "https://localhost/x:y"
