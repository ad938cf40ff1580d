"""A Packages file is parsed once and answers by name."""

from __future__ import annotations

import lzma
from collections.abc import Callable

import pytest

from invar.core.errors import InvarError
from invar.debian.index import Index, Universe, find_index, parse_index, parse_packages
from invar.debian.lock import LockedIndex
from invar.store.objects import Store

TEXT = """\
Package: nginx
Version: 1.26-3
Architecture: amd64
Filename: pool/main/n/nginx/nginx_1.26-3_amd64.deb
SHA256: {zero}
Size: 12
Priority: optional
Depends: libc6 (>= 2.38),
 nginx-common
Description: a server
 Package: not-a-field
Provides: httpd, httpd-cgi (= 1)

Package: bash
Essential: yes
Priority: required
Version: 5
Architecture: amd64
Filename: pool/main/b/bash/bash_5_amd64.deb
SHA256: {zero}
Size: 34
""".format(zero="0" * 64)


def locked(suite: str = "trixie") -> LockedIndex:
    return LockedIndex(suite, "main", "2026-01-01T00:00:00Z", "0" * 64, "0" * 64)


def index(store: Store, text: str, suite: str = "trixie") -> Index:
    return parse_index(store, lzma.compress(text.encode()), suite, where="test")


def test_fields_of_a_package(store: Store) -> None:
    (package,) = index(store, TEXT).packages("nginx")
    assert package.version == "1.26-3"
    assert package.size == 12
    assert package.depends == "libc6 (>= 2.38),\n nginx-common"
    assert package.suite == "trixie"
    assert not package.essential


def test_providers_and_base(store: Store) -> None:
    universe = Universe([(locked(), index(store, TEXT))])
    assert [(package.name, version) for package, version in universe.providers("httpd-cgi")] == [("nginx", "1")]
    assert universe.base() == ["bash"]
    assert universe.names() == ["bash", "nginx"]
    assert universe.version("nginx") == "1.26-3"
    assert universe.digest("nothing") is None


def test_newest_version_of_all_suites_is_taken(store: Store) -> None:
    newer = TEXT.replace("1.26-3", "1.26-3+deb13u1")
    indices = [(locked(), index(store, TEXT)), (locked("trixie-security"), index(store, newer, "trixie-security"))]
    for order in (indices, indices[::-1]):
        package = Universe(order).find("nginx")
        assert package is not None
        assert (package.version, package.suite) == ("1.26-3+deb13u1", "trixie-security")


def test_parsed_index_is_found_by_its_hash(store: Store, universe_of: Callable[[str], Universe]) -> None:
    universe = universe_of("Package: a")
    assert find_index(store, universe.locked[0].packages, "trixie") is not None
    assert find_index(store, "f" * 64, "trixie") is None


def test_paragraph_without_a_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="the paragraph of a lacks SHA256"):
        list(parse_packages("Package: a\nVersion: 1\nArchitecture: all\nFilename: pool/a.deb\nSize: 1\n"))


def test_answer_that_is_not_an_index_leaves_nothing(store: Store) -> None:
    with pytest.raises(InvarError, match="malformed"):
        parse_index(store, b"<html>", "trixie", where="test")
    assert not list((store.root / "index").iterdir())
