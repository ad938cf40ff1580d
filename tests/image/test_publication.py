"""A manifest of a published system is believed as far as its digest comes out of its parts, and no further."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.image.publication import BootFile, PublishedLayer, is_digest, published, read_publication
from invar.image.verity import append_hash_tree

PACKAGES = "ab" * 32 + ":" + "5a" * 32 + ":70000"
CONFIG = "cd" * 32 + ":" + "5a" * 32 + ":200"
CMDLINE = f"console=ttyS0,115200n8 panic=1 invar.packages={PACKAGES} invar.config={CONFIG}"
KERNEL, INITRD = BootFile("12" * 32, 11_000_000), BootFile("34" * 32, 4_000_000)
PUBLICATION = published(CMDLINE, KERNEL, INITRD)


def test_a_manifest_is_read_back() -> None:
    assert read_publication(PUBLICATION.to_json(), PUBLICATION.digest, "cache") == PUBLICATION
    assert PUBLICATION.packages == PublishedLayer("ab" * 32, "5a" * 32, 70000)
    assert PUBLICATION.path == f"systems/{PUBLICATION.digest}.json"
    assert is_digest(PUBLICATION.digest)


@pytest.mark.parametrize("blocks", [1, 128, 129, 20000])
def test_a_layers_size_is_that_of_its_file(tmp_path: Path, blocks: int) -> None:
    file = tmp_path / "layer"
    with file.open("wb") as image:
        image.truncate(blocks * 4096)
    tree = append_hash_tree(file, b"salt")
    assert PublishedLayer(tree.root_hash, b"salt".hex(), blocks).bytes == file.stat().st_size


@pytest.mark.parametrize(
    "changes",
    [
        {"cmdline": CMDLINE.replace("panic=1", "panic=1 init=/bin/sh")},
        {"cmdline": CMDLINE.replace("cd", "ce")},
        {"kernel": {"sha256": "13" * 32, "bytes": KERNEL.bytes}},
        {"initrd": {"sha256": "35" * 32, "bytes": INITRD.bytes}},
    ],
)
def test_another_part_is_another_system(changes: dict[str, Any]) -> None:
    text = json.dumps({**json.loads(PUBLICATION.to_json()), **changes}).encode()
    with pytest.raises(InvarError, match="is not that of system"):
        read_publication(text, PUBLICATION.digest, "cache")


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"cmdline": "panic=1"},
        {"cmdline": CMDLINE.replace("ab" * 32, "../../../etc/shadow")},
        {"cmdline": CMDLINE + f" invar.packages={PACKAGES}"},
        {"cmdline": CMDLINE + " invar.files=packages"},
        {"cmdline": CMDLINE + "\ninit=/bin/sh"},
        {"cmdline": CMDLINE.replace(":200", ":-1")},
        {"cmdline": CMDLINE + " " + "x" * 4000},
        {"kernel": {"sha256": "../kernel", "bytes": 1}},
        {"kernel": {"sha256": "12" * 32, "bytes": 0}},
        {"initrd": None},
    ],
)
def test_what_no_build_writes_is_no_manifest(changes: dict[str, Any]) -> None:
    text = json.dumps({**json.loads(PUBLICATION.to_json()), **changes}).encode()
    with pytest.raises(InvarError, match="no manifest"):
        read_publication(text, PUBLICATION.digest, "cache")


@given(st.binary(max_size=300))
def test_anything_else_is_an_error_and_nothing_worse(text: bytes) -> None:
    with pytest.raises(InvarError):
        read_publication(text, PUBLICATION.digest, "cache")


@given(st.integers(0, len(PUBLICATION.to_json()) - 1), st.integers(1, 255))
def test_a_flipped_byte_never_passes_for_the_system(at: int, flip: int) -> None:
    text = bytearray(PUBLICATION.to_json())
    text[at] ^= flip
    try:
        found = read_publication(bytes(text), PUBLICATION.digest, "cache")
    except InvarError:
        return
    # A size that is wrong fails later, when the file has another.
    same = replace(
        found, kernel=replace(found.kernel, bytes=KERNEL.bytes), initrd=replace(found.initrd, bytes=INITRD.bytes)
    )
    assert same == PUBLICATION
