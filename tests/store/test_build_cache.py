"""Files of a build cache appear whole, and are not written again."""

from __future__ import annotations

from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.store.build_cache import BuildCache


def test_a_file_is_copied_once_and_readable_by_a_web_server(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"layer")
    source.chmod(0o400)
    cache = BuildCache(tmp_path / "cache")
    assert cache.put_file("layers/ab", source)
    assert not cache.put_file("layers/ab", source)
    assert cache.path("layers/ab").read_bytes() == b"layer"
    assert cache.path("layers/ab").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in (tmp_path / "cache/layers").iterdir()] == ["ab"]


def test_a_copy_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"layer")
    cache = BuildCache(tmp_path / "cache")
    cache.put("layers/ab", b"la")
    assert cache.put_file("layers/ab", source)
    assert cache.path("layers/ab").read_bytes() == b"layer"


def test_what_a_name_points_to_may_change(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path / "cache")
    assert cache.put("configurations/ab", b"1\n")
    assert not cache.put("configurations/ab", b"1\n")
    assert cache.put("configurations/ab", b"2\n")


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InvarError, match="cannot be written"):
        BuildCache(tmp_path / "cache").put("systems/ab.json", b"{}")
    assert (tmp_path / "cache").read_text() == "a file"
