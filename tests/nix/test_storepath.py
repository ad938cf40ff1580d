"""Base-32 and store paths, against values that Nix printed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.nix.nar import nar, nar_sha256
from invar.nix.storepath import (
    check_name,
    decode_base32,
    encode_base32,
    fixed_output_path,
    placeholder,
    source_path,
    text_path,
)


@given(st.binary(min_size=1, max_size=70))
def test_base32_round_trip(data: bytes) -> None:
    assert decode_base32(encode_base32(data)) == data


def test_base32_of_a_known_digest() -> None:
    assert encode_base32(hashlib.sha256(b"").digest()) == "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"


@pytest.mark.parametrize("text", ["e", "0u", "z" * 52])
def test_what_is_no_base32_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base-32"):
        decode_base32(text)


def test_known_store_paths() -> None:
    assert text_path("a", b"b") == "/nix/store/g76zcpqc540lrc8i6g7xy6ip0npn2hnp-a"
    assert placeholder("out") == "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"
    empty = hashlib.sha256(b"").digest()
    assert fixed_output_path("x", "sha256", empty, recursive=True) == source_path("x", empty)
    assert fixed_output_path("x", "sha256", empty, recursive=False) != source_path("x", empty)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "ü", "a" * 212])
def test_names_that_a_store_path_cannot_have(name: str) -> None:
    with pytest.raises(ValueError, match="store path"):
        check_name(name)


def test_nar_of_a_tree(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(b"hello\n")
    (tree / "run").write_bytes(b"")
    (tree / "run").chmod(0o755)
    (tree / "link").symlink_to("file")
    data = b"".join(nar(str(tree)))
    assert data.startswith(b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0")
    assert len(data) % 8 == 0
    assert data.index(b"file") < data.index(b"link") < data.index(b"run")
    kept = nar_sha256(str(tree), lambda path, kind: kind != "symlink")
    (tree / "link").unlink()
    assert kept == nar_sha256(str(tree))
