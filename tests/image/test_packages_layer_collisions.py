"""Packages that ship the same path: allowed when one replaces the other, else an error that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.debian.deb import UnpackedDeb
from invar.image.collisions import Collision, Diversion, diverted, find_collisions, read_diversions
from invar.image.compose import link_winners

Make = Callable[..., UnpackedDeb]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A maker of unpacked packages: name, files (a trailing slash makes a directory), fields."""

    def unpacked(name: str, paths: list[str], **fields: str) -> UnpackedDeb:
        root = tmp_path / name
        for path in paths:
            place = root / "data" / path.strip("/")
            if path.endswith("/"):
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(name)
        listed = tuple("/" + path.strip("/") for path in paths)
        every = {"Package": name, "Version": "1", "Architecture": "all", **fields}
        return UnpackedDeb(root, name, every, listed, {}, {}, {})

    return unpacked


def test_directories_are_shared(make: Make) -> None:
    debs = {"a": make("a", ["usr/", "usr/a"]), "b": make("b", ["usr/", "usr/b"])}
    assert find_collisions(debs) == []


def test_a_file_of_two_packages_is_an_error(make: Make) -> None:
    debs = {"a": make("a", ["usr/", "usr/x"]), "b": make("b", ["usr/", "usr/x"])}
    with pytest.raises(InvarError, match="same file") as caught:
        find_collisions(debs)
    assert caught.value.why == "/usr/x: a, b"


def test_the_replacing_package_wins(make: Make, tmp_path: Path) -> None:
    debs = {"a": make("a", ["usr/x"]), "b": make("b", ["usr/x"], Replaces="c, a (<< 2)")}
    collisions = find_collisions(debs)
    assert collisions == [Collision("/usr/x", "b", ("a",))]
    link_winners(collisions, debs, tmp_path / "top")
    assert (tmp_path / "top/usr/x").read_text() == "b"


def test_a_directory_on_a_file_is_an_error(make: Make) -> None:
    debs = {"a": make("a", ["usr/x/"]), "b": make("b", ["usr/x"], Replaces="a")}
    with pytest.raises(InvarError, match="same file"):
        find_collisions(debs)


def test_diversions_are_read_and_their_victims_found(make: Make) -> None:
    diversions = read_diversions("/usr/bin/pg_config\n/usr/bin/pg_config.libpq-dev\npostgresql-common\n/x\n/y\n:\n")
    assert diversions == [
        Diversion("/usr/bin/pg_config", "/usr/bin/pg_config.libpq-dev", "postgresql-common"),
        Diversion("/x", "/y", None),
    ]
    debs = {"postgresql-common": make("postgresql-common", ["usr/bin/pg_config"]), "libpq-dev": make("libpq-dev", [])}
    assert diverted(diversions, debs) == []
    debs["libpq-dev"] = make("libpq-dev", ["usr/bin/pg_config"])
    assert diverted(diversions, debs) == [(diversions[0], "libpq-dev")]
