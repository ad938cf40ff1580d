"""Store objects: paths, references, closures; and what `pkgs` knows before anything is evaluated."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.nix import NixError, context_of
from invar.nix.store_objects import SourceObject
from invar.nixos.configuration import split_attribute_path
from invar.nixos.names import EmptyUniverse, curated, debian_names, meaning
from invar.nixos.objects import Objects, store_path
from invar.nixos.pkgs import upstream_version
from invar.nixos.sources import source_entries


def file(text):
    return {"type": "file", "text": text, "executable": False}


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_path_follows_from_the_content(one, other):
    paths = {store_path("a", {"": file(one)}), store_path("a", {"": file(other)})}
    assert len(paths) == (1 if one == other else 2)
    assert all(re.fullmatch(r"/nix/store/[0-9a-df-np-sv-z]{32}-a", path) for path in paths)


def test_a_path_carries_itself_as_context():
    path = Objects().add("a", {"": file("x")})
    assert context_of(path) == {path}


def test_a_closure_has_everything_that_is_referred_to_once():
    objects = Objects()
    leaf = objects.add("leaf", {"": file("x")})
    middle = objects.add("middle", {"l": {"type": "symlink", "target": str(leaf)}}, {leaf})
    top = objects.add("top", {"": file(f"{middle}/l {leaf}")}, {leaf, middle})
    objects.add("unused", {"": file("y")})
    assert {one.path for one in objects.closure([f"{top}/deep/inside"])} == {leaf, middle, top}


def test_a_path_that_nothing_makes_is_told():
    with pytest.raises(NixError, match="which nothing in it makes"):
        Objects().closure(["/nix/store/00000000000000000000000000000000-ghost"])


@pytest.mark.parametrize("name", ["", ".hidden", "a b", "a/b", "x" * 212])
def test_impossible_names_are_refused(name):
    with pytest.raises(NixError, match="store path"):
        Objects().add(name, {})


def test_a_directory_beside_the_configuration_is_copied_without_clocks(tmp_path):
    site = tmp_path / "site"
    (site / "css").mkdir(parents=True)
    (site / "index.html").write_text("<p>")
    (site / "run.sh").write_text("#!/bin/sh\n")
    (site / "run.sh").chmod(0o755)
    (site / "css" / "link").symlink_to("../index.html")
    assert source_entries(SourceObject(str(site), b"")) == {
        "css/link": {"type": "symlink", "target": "../index.html"},
        "index.html": {"type": "file", "text": "<p>", "executable": False},
        "run.sh": {"type": "file", "text": "#!/bin/sh\n", "executable": True},
    }


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(InvarError, match="is not UTF-8 text"):
        source_entries(SourceObject(str(tmp_path / "logo.png"), b""))


def test_curated_names_are_packages_of_trixie():
    assert len(curated()) >= 150
    unknown = {name for spec in curated().values() for name in spec["debian"]} - debian_names()
    assert not unknown


def test_a_name_of_the_universe_is_a_package():
    class Extra(EmptyUniverse):
        def version(self, name):
            return "1" if name == "my-own-package" else None

    assert meaning("my-own-package", Extra()).debian == ("my-own-package",)
    assert meaning("my-own-package", EmptyUniverse()) is None


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [
        ("1:10.0p1-7+deb13u4", "10.0p1"),
        ("1.26.3-3", "1.26.3"),
        ("3.0.5+dfsg-2", "3.0.5"),
        ("20250419", "20250419"),
        ("1.9~dfsg1-4", "1.9"),
        ("2:8.2-1", "8.2"),
    ],
)
def test_upstream_versions(debian, upstream):
    assert upstream_version(debian) == upstream


def test_attribute_paths_are_split():
    assert split_attribute_path('services.nginx.virtualHosts."a.b".root') == [
        "services",
        "nginx",
        "virtualHosts",
        "a.b",
        "root",
    ]
    for wrong in ("", "a..b", 'a."b', 'a."b"c'):
        with pytest.raises(InvarError, match="is not an attribute path"):
            split_attribute_path(wrong)
