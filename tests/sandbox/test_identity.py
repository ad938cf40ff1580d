"""Subordinate ids: what the files grant, and what is said when it is too little."""

from __future__ import annotations

from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.sandbox.identity import granted_ranges, map_ids


def test_ranges_are_found_by_name_and_by_number(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("# a comment\nann:100000:65536\nbob:165536:65536\n1000:300000:10\nann:bad:1\n\n")
    assert granted_ranges(file, "ann", 1000) == [(100000, 65536), (300000, 10)]
    assert granted_ranges(file, "bob", 1001) == [(165536, 65536)]
    assert granted_ranges(file, "eve", 1002) == []


def test_no_file_grants_nothing(tmp_path: Path) -> None:
    assert granted_ranges(tmp_path / "absent", "ann", 1000) == []


def test_the_own_id_becomes_root_and_the_rest_follows() -> None:
    assert map_ids(1000, [(100000, 65536)], "uid", "ann") == ((0, 1000, 1), (1, 100000, 65535))


def test_several_ranges_are_put_together() -> None:
    lines = map_ids(1000, [(100000, 30000), (200000, 65536)], "gid", "ann")
    assert lines == ((0, 1000, 1), (1, 100000, 30000), (30001, 200000, 35535))


def test_too_few_ids_are_an_error_with_the_remedy() -> None:
    with pytest.raises(InvarError, match="ann has 1000 subordinate uids") as caught:
        map_ids(1000, [(100000, 1000)], "uid", "ann")
    assert "usermod --add-subuids" in (caught.value.hint or "")
    assert caught.value.where == "/etc/subuid"
