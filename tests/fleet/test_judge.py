"""One altered byte anywhere on a disk is found, and the part that it lies in is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from invar.aws.blocks import BLOCK, BlockMap, map_blocks
from invar.core.events import Report
from invar.fleet.judge import Expectation, Part, judge, ranges, verified
from invar.image.disk import FileBlocks, read_disk
from small_disk import SmallDisk, flip, small_disk

MIB = 1 << 20
Judge = Callable[..., dict[str, Part]]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> SmallDisk:
    return small_disk(tmp_path_factory.mktemp("disk") / "disk.raw")


@pytest.fixture(scope="module")
def blocks(disk: SmallDisk) -> BlockMap:
    return map_blocks(disk.path, Report())


@pytest.fixture
def altered(disk: SmallDisk, tmp_path: Path) -> Callable[[int], Path]:
    """A copy of the disk with one byte changed."""

    def make(offset: int) -> Path:
        path = tmp_path / "altered.raw"
        with disk.path.open("rb") as source, path.open("wb") as target:
            target.truncate(disk.layout.disk_bytes)
            with FileBlocks(disk.path) as held:
                for index in held.held:
                    source.seek(index * BLOCK)
                    target.seek(index * BLOCK)
                    target.write(source.read(BLOCK))
        flip(path, offset)
        return path

    return make


def judged(path: Path, expected: Expectation) -> list[Part]:
    with FileBlocks(path) as source:
        return judge(read_disk(source, Report(), expected.fallback), expected)


def unsound(parts: list[Part]) -> dict[str, Part]:
    return {part.name: part for part in parts if part.sound is False}


def test_an_unaltered_disk_is_sound_in_every_part(disk: SmallDisk, blocks: BlockMap) -> None:
    parts = judged(disk.path, Expectation(disk.system_digest, blocks, disk.info))
    assert {part.name for part in parts if part.sound} == {
        "partition table", "ESP", "packages layer", "config layer", "/var", "system digest", "blocks",
    }  # fmt: skip
    assert verified(parts)


def test_the_digest_is_judged_without_any_map_or_description(disk: SmallDisk) -> None:
    parts = judged(disk.path, Expectation(disk.system_digest))
    assert unsound(parts) == {}
    assert {part.name: part.sound for part in parts}["/var"] is None
    assert verified(parts)


def places(disk: SmallDisk) -> dict[str, tuple[int, str]]:
    """Byte offset, and the part that it lies in."""
    layout, layers = disk.layout, disk.layers
    return {
        "protective MBR": (510, "partition table"),
        "table header": (530, "partition table"),
        "table entry": (1024 + 130, "partition table"),
        "table's copy": (layout.disk_bytes - 500, "partition table"),
        "gap": (MIB - 5, "space between partitions"),
        "FAT": (layout.esp.offset + 32 * 512 + 9, "ESP"),
        "boot loader": (layout.esp.offset + (32 + 2 * 1024) * 512 + 8 * 4096, "ESP"),
        "initrd": (layout.esp.offset + 2 * MIB, "ESP"),
        "packages data": (layout.packages.offset + 700 * 4096 + 7, "packages layer"),
        "packages tree": (layout.packages.offset + layers["packages"].data_blocks * 4096 + 9, "packages layer"),
        "behind packages": (layout.packages.offset + layout.packages.size - 9, "packages layer"),
        "config data": (layout.config.offset + 5, "config layer"),
        "config tree": (layout.config.offset + layers["config"].data_blocks * 4096 + 1, "config layer"),
        "/var": (layout.var.offset + 1000, "/var"),
        "empty /var": (layout.var.offset + 500 * MIB, "/var"),
    }


PLACES = (
    "protective MBR", "table header", "table entry", "table's copy", "gap", "FAT", "boot loader", "initrd",
    "packages data", "packages tree", "behind packages", "config data", "config tree", "/var", "empty /var",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_an_altered_byte_names_its_part_and_place(
    disk: SmallDisk, blocks: BlockMap, altered: Callable[[int], Path], place: str
) -> None:
    offset, name = places(disk)[place]
    parts = judged(altered(offset), Expectation(disk.system_digest, blocks, disk.info))
    assert not verified(parts)
    found = unsound(parts)
    assert found.keys() - {"system digest", "blocks"} == {name}
    assert any(start <= offset < end for start, end in found[name].wrong)
    assert found["blocks"].why.startswith("1 of ")


@pytest.mark.parametrize("place", ["packages data", "config data", "initrd", "table entry"])
def test_what_the_digest_covers_is_found_without_a_block_map(
    disk: SmallDisk, altered: Callable[[int], Path], place: str
) -> None:
    offset, name = places(disk)[place]
    parts = judged(altered(offset), Expectation(disk.system_digest, None, disk.info))
    assert not verified(parts)
    assert unsound(parts).keys() & {name, "system digest"}


def test_another_system_is_not_the_published_one(disk: SmallDisk, tmp_path: Path) -> None:
    """Sound in itself, and signed by its own digest: only what was published tells."""
    other = small_disk(tmp_path / "other.raw", config=2)
    parts = judged(other.path, Expectation(disk.system_digest, None, disk.info))
    assert {"config layer", "system digest"} <= unsound(parts).keys()
    assert "packages layer" not in unsound(parts)


def test_a_disk_of_another_engine_is_judged_by_its_blocks(tmp_path: Path, disk: SmallDisk, blocks: BlockMap) -> None:
    """No layers, no description: any raw disk with a block map."""
    path = tmp_path / "plain.raw"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
        file.write(b"boot" * 1000)
    expected = Expectation("a" * 64, map_blocks(path, Report()))
    parts = judged(path, expected)
    assert [(part.name, part.sound) for part in parts] == [("partition table", True), ("blocks", True)]
    assert verified(parts)
    shutil.copy(path, path.with_suffix(".altered"))
    flip(path.with_suffix(".altered"), 40 * MIB)
    parts = judged(path.with_suffix(".altered"), expected)
    assert unsound(parts).keys() == {"blocks", "space between partitions"}
    assert not verified(parts)


def test_nothing_known_is_not_a_pass(disk: SmallDisk, tmp_path: Path) -> None:
    path = tmp_path / "empty.raw"
    path.write_bytes(bytes(MIB))
    assert not verified(judged(path, Expectation()))


def test_ranges_are_joined_where_they_touch() -> None:
    assert ranges([]) == ()
    assert ranges([1, 2, 5]) == ((BLOCK, 3 * BLOCK), (5 * BLOCK, 6 * BLOCK))
