"""Copies into sparse files keep the bytes and the holes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invar.image.sparse import copy_into, copy_range, data_extents, write_at

MIB = 1 << 20


def make(path: Path, size: int, pieces: list[tuple[int, bytes]]) -> None:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)


@settings(max_examples=30)
@given(
    pieces=st.lists(st.tuples(st.integers(0, 3 * MIB), st.integers(1, 9000).map(lambda size: b"x" * size)), max_size=6),
    offset=st.integers(0, 64).map(lambda block: block * 4096),
)
def test_a_copy_has_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, bytes]], offset: int
) -> None:
    scratch = tmp_path_factory.mktemp("sparse")
    source, target = scratch / "source", scratch / "target"
    make(source, 4 * MIB, pieces)
    make(target, 5 * MIB, [])
    with target.open("r+b") as file:
        copy_into(file.fileno(), offset, source)
    assert target.read_bytes()[offset : offset + 4 * MIB] == source.read_bytes()
    assert not any(target.read_bytes()[:offset])


def test_holes_stay_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    make(source, 512 * MIB, [(0, b"start"), (300 * MIB, b"middle")])
    make(target, 512 * MIB, [])
    with target.open("r+b") as file:
        copy_into(file.fileno(), 0, source)
        assert sum(end - start for start, end in data_extents(file.fileno())) < MIB
    assert target.stat().st_blocks * 512 < MIB


def test_a_source_that_ends_early_is_an_error(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    make(source, 4096, [(0, b"x")])
    make(target, 0, [])
    with source.open("rb") as one, target.open("r+b") as other, pytest.raises(OSError, match="shorter"):
        copy_range(one.fileno(), 0, other.fileno(), 0, 8192)


def test_write_at_writes_all(tmp_path: Path) -> None:
    target = tmp_path / "target"
    data = os.urandom(3 * MIB + 5)
    with target.open("wb") as file:
        write_at(file.fileno(), 7, data)
    assert target.read_bytes() == bytes(7) + data
