"""A layer checked against its dm-verity root hash from pieces that come in any order, without holding it in memory.

The format is verity.py's. A piece of 512 KiB of data is exactly what one hash block of the lowest level covers, so that
64 bytes are kept for each.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from invar.image.layer import BLOCK
from invar.image.verity import FAN_OUT, levels_from_root

PIECE = FAN_OUT * BLOCK
"""512 KiB, the size of an EBS block."""


@dataclass(frozen=True, slots=True)
class LayerOutcome:
    """What a layer's bytes give.

    `root_hash` (hex) follows from the data alone. `tree_sound`: the stored hash tree is the data's. `wrong` are the
    pieces, counted from the layer's start, in which data and stored tree contradict one another.
    """

    root_hash: str
    tree_sound: bool
    wrong: tuple[int, ...]


class LayerCheck:
    """Takes the pieces of one layer: `data_blocks` blocks of 4 KiB and the hash tree behind them. `salt` is hex."""

    def __init__(self, salt: str, data_blocks: int) -> None:
        if data_blocks < 1:
            raise ValueError("a layer has at least one block")
        self._salted = hashlib.sha256(bytes.fromhex(salt))
        self._data_blocks = data_blocks
        levels = list(levels_from_root(data_blocks))
        self._leaves = levels[-2] if len(levels) > 1 else (data_blocks, 0)
        self._total = max(start + count for start, count in levels)
        self._fed: set[int] = set()
        self._computed: dict[int, bytes] = {}
        self._stored: dict[int, bytes] = {}
        self._upper: dict[int, bytes] = {}

    @property
    def pieces(self) -> int:
        """How many pieces the layer has; the last one may hold other bytes behind it."""
        return -(-self._total * BLOCK // PIECE)

    def feed(self, piece: int, data: bytes) -> None:
        """Piece number `piece`, of 512 KiB. May be called from many threads, once for each piece."""
        self._fed.add(piece)
        first = piece * FAN_OUT
        held = min(FAN_OUT, self._data_blocks - first)
        if held > 0:
            leaf = b"".join(self._hash(data[at * BLOCK : (at + 1) * BLOCK]) for at in range(held))
            single = self._data_blocks == 1
            self._computed[piece] = leaf if single else self._hash(leaf.ljust(BLOCK, b"\0"))
        start, count = self._leaves
        for at in range(max(held, 0), min(FAN_OUT, self._total - first)):
            block = data[at * BLOCK : (at + 1) * BLOCK]
            number = first + at - start
            if 0 <= number < count:
                self._stored[number] = self._hash(block)
            else:
                self._upper[first + at] = block

    def outcome(self) -> LayerOutcome:
        """The judgement. Pieces that were never fed count as zeros."""
        for piece in range(self.pieces):
            if piece not in self._fed:
                self.feed(piece, bytes(PIECE))
        hashes = b"".join(self._computed[piece] for piece in sorted(self._computed))
        _, count = self._leaves
        wrong = {piece for piece in range(count) if self._stored[piece] != self._computed[piece]}
        sound = not wrong
        for level, blocks in reversed(list(levels_from_root(self._data_blocks))[:-2]):
            padded = hashes.ljust(blocks * BLOCK, b"\0")
            for number in range(blocks):
                block = padded[number * BLOCK : (number + 1) * BLOCK]
                if self._upper[level + number] != block and sound:
                    wrong.add((level + number) // FAN_OUT)
                    sound = False
            hashes = b"".join(self._hash(padded[at : at + BLOCK]) for at in range(0, len(padded), BLOCK))
        return LayerOutcome(hashes.hex(), sound, tuple(sorted(wrong)))

    def _hash(self, block: bytes) -> bytes:
        hasher = self._salted.copy()
        hasher.update(block)
        return hasher.digest()
