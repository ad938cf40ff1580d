"""The tar reader agrees with Python's tarfile, and refuses what packages may not have."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest
from debian_archive import directory, tar, tar_member
from hypothesis import given
from hypothesis import strategies as st

from invar.debian.tar import Entry, TarError, read_tar


def members(data: bytes) -> list[tuple[Entry, bytes]]:
    found: list[tuple[Entry, bytes]] = []

    def keep(entry: Entry, content: Iterator[bytes]) -> None:
        found.append((entry, b"".join(content)))

    read_tar(io.BytesIO(data).read, keep)
    return found


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=120
)
FILES = st.lists(
    st.tuples(NAMES, st.binary(max_size=1500), st.integers(0, 2**33), st.integers(0, 3_000_000)), max_size=4
)


@given(FILES, st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_files_read_as_tarfile_wrote_them(files: list[tuple[str, bytes, int, int]], tar_format: int) -> None:
    data = tar([tar_member(f"./{name}", body, mtime=mtime, uid=uid) for name, body, mtime, uid in files], tar_format)
    read = [(entry.name, body, entry.mtime, entry.uid) for entry, body in members(data)]
    assert read == [(f"./{name}", body, mtime, uid) for name, body, mtime, uid in files]


def test_links_directories_owners_and_modes() -> None:
    long = "d/" * 80 + "name"
    data = tar(
        [
            directory("./d/", mode=0o2755, gid=42, gname="shadow"),
            tar_member("./link", None, type=tarfile.SYMTYPE, linkname=long),
            tar_member("./hard", None, type=tarfile.LNKTYPE, linkname="./first"),
            tar_member("./su", b"#!", mode=0o4755),
        ]
    )
    entries = [entry for entry, _ in members(data)]
    assert [entry.type for entry in entries] == ["directory", "symlink", "hardlink", "file"]
    assert (entries[0].mode, entries[0].gid, entries[0].group) == (0o2755, 42, "shadow")
    assert entries[1].target == long
    assert entries[2].target == "./first"
    assert entries[3].mode == 0o4755


def test_content_that_is_not_read_is_skipped() -> None:
    names = []
    data = tar([tar_member("./a", b"x" * 5000), tar_member("./b", b"y")])
    read_tar(io.BytesIO(data).read, lambda entry, content: names.append(entry.name))
    assert names == ["./a", "./b"]


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(kind: bytes) -> None:
    with pytest.raises(TarError, match="may not have"):
        members(tar([tar_member("./dev", None, type=kind)]))


def test_truncated_archive_is_refused() -> None:
    data = tar([tar_member("./a", b"x" * 5000)])
    with pytest.raises(TarError, match="ends within"):
        members(data[:2000])
    with pytest.raises(TarError, match="too early"):
        members(data[:700] if len(data) < 700 else data[:300])


def test_damaged_header_is_refused() -> None:
    data = bytearray(tar([tar_member("./a", b"x")]))
    data[3] ^= 1
    with pytest.raises(TarError, match="checksum"):
        members(bytes(data))
