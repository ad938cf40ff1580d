"""Whether a disk is what was built: what its bytes gave against what is known of the image, part by part. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from invar.aws.blocks import BLOCK, ZEROS_DIGEST, BlockMap
from invar.image.disk import ClaimedLayer, DiskReading, Fallback

TABLE, ESP, SPACE = "partition table", "ESP", "space between partitions"
PARTS = {"ESP": ESP, "invar-packages": "packages layer", "invar-config": "config layer", "invar-var": "/var"}
"""Partition label → what the part is called."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is known of an image from elsewhere. None: unknown. `info` is its image-info.json."""

    system_digest: str | None = None
    blocks: BlockMap | None = None
    info: Mapping[str, Any] | None = None

    @property
    def fallback(self) -> Fallback:
        """What image-info.json knows of the disk's parts. Other engines' has none."""
        info = self.info or {}
        return Fallback(
            tuple((one["label"], one["offset"], one["size"]) for one in info.get("partitions", ())),
            tuple(
                ClaimedLayer(one["kind"], one["root_hash"], one["salt"], one["data_blocks"])
                for one in info.get("layers", ())
            ),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the judgement. `sound` None: it could not be judged, `why` says so.

    `wrong` are byte ranges (start, end) of the disk.
    """

    name: str
    sound: bool | None
    why: str
    wrong: tuple[tuple[int, int], ...] = ()


def judge(reading: DiskReading, expected: Expectation) -> list[Part]:
    """Every part of the disk, in its order, then the system digest and the block map as a whole.

    A disk without Invar's layers (another engine's) is judged by its blocks alone.
    """
    places = _places(reading, expected)
    foreign = not reading.claimed and not _layers(expected)
    wrong = _by_part(_wrong_blocks(reading, expected.blocks), places, expected)
    parts = [_plain(TABLE, expected, wrong.get(TABLE, [])) if foreign else _table(reading, wrong)]
    for label, offset, _ in places:
        name = PARTS.get(label, f"partition {label}")
        kind = label.removeprefix("invar-")
        if name == ESP and not foreign:
            parts.append(_esp(reading, wrong))
        elif label.startswith("invar-") and kind in {layer.kind for layer in (*reading.claimed, *_layers(expected))}:
            parts.append(_layer(kind, offset, reading, expected, wrong.get(name, [])))
        else:
            parts.append(_plain(name, expected, wrong.get(name, [])))
    if SPACE in wrong:
        parts.append(_plain(SPACE, expected, wrong[SPACE]))
    if reading.boot is not None and reading.claimed:
        parts.append(_digest(reading, expected))
    parts.append(_whole(reading, expected, wrong))
    return parts


def verified(parts: Sequence[Part]) -> bool:
    """Whether nothing is wrong, and the content as a whole was really judged."""
    whole = {part.name: part.sound for part in parts}
    return False not in whole.values() and True in (whole.get("system digest"), whole.get("blocks"))


def _layers(expected: Expectation) -> tuple[ClaimedLayer, ...]:
    return expected.fallback.layers


def _places(reading: DiskReading, expected: Expectation) -> list[tuple[str, int, int]]:
    """Partitions (label, offset, size) in order: as the image was made, else as its table says."""
    made = list(expected.fallback.partitions)
    return sorted(
        made or [(one.label, one.offset, one.size) for one in reading.partitions or ()], key=lambda place: place[1]
    )


def _wrong_blocks(reading: DiskReading, blocks: BlockMap | None) -> list[int]:
    if blocks is None:
        return []
    found = reading.digests
    return [
        index
        for index in sorted(found.keys() | blocks.digests.keys())
        if found.get(index, ZEROS_DIGEST) != blocks.digests.get(index, ZEROS_DIGEST)
    ]


def _by_part(
    wrong: Sequence[int], places: Sequence[tuple[str, int, int]], expected: Expectation
) -> dict[str, list[int]]:
    """Block indices by the part that they lie in."""
    end = (expected.blocks.image_bytes if expected.blocks else 0) // BLOCK
    parts: dict[str, list[int]] = {}
    for index in wrong:
        labels = [label for label, offset, size in places if offset <= index * BLOCK < offset + size]
        name = PARTS.get(labels[0], f"partition {labels[0]}") if labels else SPACE
        if not labels and index in (0, end - 1):
            name = TABLE
        parts.setdefault(name, []).append(index)
    return parts


def _table(reading: DiskReading, wrong: Mapping[str, list[int]]) -> Part:
    trouble = reading.trouble.get(TABLE)
    if trouble or TABLE in wrong:
        return Part(TABLE, False, trouble or "it is not the one that was built", ranges(wrong.get(TABLE, [])))
    return Part(TABLE, True, f"{len(reading.partitions or ())} partitions")


def _esp(reading: DiskReading, wrong: Mapping[str, list[int]]) -> Part:
    trouble = reading.trouble.get(ESP)
    if trouble or ESP in wrong:
        why = trouble or "boot loader, kernel, initrd or command line are not what was built"
        return Part(ESP, False, why, ranges(wrong.get(ESP, [])))
    if reading.boot is None:
        return Part(ESP, None, "it is not to be found without the partition table")
    return Part(ESP, True, f"{reading.boot.path}, Linux {reading.boot.kernel_version}")


def _layer(kind: str, offset: int, reading: DiskReading, expected: Expectation, wrong: list[int]) -> Part:
    name = f"{kind} layer"
    outcome = reading.layers.get(kind)
    claimed = next((layer for layer in reading.claimed if layer.kind == kind), None)
    if outcome is None or claimed is None:
        return Part(name, False, "the disk names no such layer", ranges(wrong))
    pieces = [offset // BLOCK + piece for piece in outcome.wrong]
    places = ranges(sorted({*wrong, *pieces}))
    made = next((layer for layer in _layers(expected) if layer.kind == kind), None)
    if outcome.root_hash != claimed.root_hash:
        return Part(name, False, f"its data gives root hash {outcome.root_hash}, not {claimed.root_hash}", places)
    if made is not None and made.root_hash != claimed.root_hash:
        return Part(name, False, f"its root hash is {claimed.root_hash}; {made.root_hash} was built", places)
    if not outcome.tree_sound:
        return Part(name, False, "its hash tree is not its data's: reading it fails", places)
    if wrong:
        return Part(name, False, "the bytes behind it are not what was built", places)
    return Part(name, True, f"root hash {outcome.root_hash}")


def _plain(name: str, expected: Expectation, wrong: list[int]) -> Part:
    if expected.blocks is None:
        return Part(name, None, "no block map is known")
    count = len(wrong)
    if wrong:
        return Part(name, False, f"{count} block{'s' if count > 1 else ''} of 512 KiB not as built", ranges(wrong))
    return Part(name, True, "every block as built")


def _digest(reading: DiskReading, expected: Expectation) -> Part:
    name = "system digest"
    found, claimed = reading.system_digest, reading.boot.claimed_digest if reading.boot else None
    if found is None:
        return Part(name, False, "the disk does not give one")
    if found != claimed:
        return Part(name, False, f"the bytes give {found}, the command line says {claimed}")
    if expected.system_digest is not None and found != expected.system_digest:
        return Part(name, False, f"the bytes give {found}; {expected.system_digest} was published")
    return Part(name, True, found)


def _whole(reading: DiskReading, expected: Expectation, wrong: Mapping[str, list[int]]) -> Part:
    if expected.blocks is None:
        return Part("blocks", None, "no block map is known: only what the system digest covers was judged")
    count = sum(map(len, wrong.values()))
    if count:
        return Part("blocks", False, f"{count} of {len(expected.blocks.digests)} blocks are not as built")
    return Part("blocks", True, f"{len(expected.blocks.digests)} blocks of 512 KiB, each as built")


def ranges(blocks: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Block indices in order, as byte ranges (start, end), joined where they touch."""
    found: list[tuple[int, int]] = []
    for index in blocks:
        start, end = index * BLOCK, (index + 1) * BLOCK
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, end))
    return tuple(found)
