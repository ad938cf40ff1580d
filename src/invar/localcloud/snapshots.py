"""What the cloud knows of EBS snapshots: their records and which block lies at which index."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from invar.localcloud.block_file import BLOCK, BlockFile
from invar.localcloud.database import Database

BLOCKS_PER_GIB = (1 << 30) // BLOCK

State = Literal["pending", "completed", "error"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot. Times are seconds since 1970 on the cloud's clock, `volume_size` is in GiB, `timeout` in minutes.

    `sealed` is the time from which it counts as completed (None: still being written). `fault` is why it ends in state
    error instead. `lineage` is the id of the oldest ancestor: only snapshots of one lineage can be compared. `copied`
    tells a copy from what was written here.
    """

    id: str
    region: str
    owner: str
    volume_size: int
    description: str
    tags: dict[str, str]
    started: float
    timeout: int
    parent: str | None
    lineage: str
    encrypted: bool = False
    kms_key: str | None = None
    sealed: float | None = None
    fault: str | None = None
    copied: bool = False
    last_write: float = 0.0
    progress: int | None = None

    def state(self, now: float) -> State:
        """What AWS would call its state now."""
        if self.sealed is None:
            return "error" if now > self.last_write + self.timeout * 60 else "pending"
        if now < self.sealed:
            return "pending"
        return "error" if self.fault else "completed"


@dataclass(frozen=True, slots=True)
class ChangedBlock:
    """An index at which two snapshots differ, and which of them hold a block there."""

    position: int
    in_first: bool
    in_second: bool


def new_id(prefix: str) -> str:
    """An AWS resource id: the prefix and 17 hexadecimal digits."""
    return f"{prefix}-0{secrets.token_hex(8)}"


class SnapshotStore:
    """Snapshots of all regions; equal blocks are stored once."""

    def __init__(self, database: Database, blocks: BlockFile) -> None:
        self._database = database
        self._blocks = blocks

    def add(self, snapshot: Snapshot, contents_of: str | None = None, *, written: bool = False) -> None:
        """Keep a new snapshot, with the blocks of another one; they count as its own when `written`."""
        with self._database.transaction() as rows:
            added = rows.execute(
                "INSERT INTO snapshots (id, region, record, last_write, progress) VALUES (?, ?, ?, ?, ?)",
                (snapshot.id, snapshot.region, _record(snapshot), snapshot.last_write, snapshot.progress),
            )
            if contents_of is not None:
                rows.execute(
                    "INSERT INTO contents SELECT ?, position, slot, ? FROM contents"
                    " WHERE snapshot = (SELECT number FROM snapshots WHERE id = ?)",
                    (added.lastrowid, int(written), contents_of),
                )

    def find(self, region: str, identity: str) -> Snapshot | None:
        """The snapshot, if that region has it."""
        with self._database.transaction() as rows:
            row = rows.execute(
                "SELECT record, last_write, progress FROM snapshots WHERE id = ? AND region = ?", (identity, region)
            ).fetchone()
        return None if row is None else _snapshot(row)

    def of_region(self, region: str) -> list[Snapshot]:
        """All snapshots of a region, oldest first."""
        with self._database.transaction() as rows:
            found = rows.execute(
                "SELECT record, last_write, progress FROM snapshots WHERE region = ? ORDER BY number", (region,)
            ).fetchall()
        return [_snapshot(row) for row in found]

    def everything(self) -> list[Snapshot]:
        """All snapshots of all regions, oldest first."""
        with self._database.transaction() as rows:
            found = rows.execute("SELECT record, last_write, progress FROM snapshots ORDER BY number").fetchall()
        return [_snapshot(row) for row in found]

    def change(self, snapshot: Snapshot) -> None:
        """Replace the record of a snapshot."""
        with self._database.transaction() as rows:
            rows.execute("UPDATE snapshots SET record = ? WHERE id = ?", (_record(snapshot), snapshot.id))

    def delete(self, identity: str) -> None:
        """Forget a snapshot and give back the blocks that no other one holds."""
        with self._database.transaction() as rows:
            number = _number(rows, identity)
            slots = [
                slot
                for (slot,) in rows.execute(
                    "SELECT DISTINCT slot FROM contents AS mine WHERE snapshot = ? AND NOT EXISTS"
                    " (SELECT 1 FROM contents WHERE slot = mine.slot AND snapshot <> ?)",
                    (number, number),
                )
            ]
            rows.execute("DELETE FROM contents WHERE snapshot = ?", (number,))
            rows.execute("DELETE FROM snapshots WHERE number = ?", (number,))
            rows.executemany("DELETE FROM blocks WHERE slot = ?", ((slot,) for slot in slots))
        self._blocks.give_back(slots)

    def put(self, identity: str, position: int, data: bytes, digest: bytes, now: float, progress: int | None) -> None:
        """Write one block of 512 KiB, whose SHA-256 is `digest`, over whatever lies at that index."""
        with self._database.transaction() as rows:
            if self._refer(rows, identity, position, digest, now, progress):
                return
        slot = self._blocks.write(data)
        with self._database.transaction() as rows:
            if rows.execute("INSERT OR IGNORE INTO blocks VALUES (?, ?)", (slot, digest)).rowcount == 0:
                self._blocks.give_back([slot])
            self._refer(rows, identity, position, digest, now, progress)

    def replace_block(self, identity: str, position: int, data: bytes) -> None:
        """Change a block behind everyone's back, whatever the snapshot's state."""
        with self._database.transaction() as rows:
            row = rows.execute("SELECT last_write, progress FROM snapshots WHERE id = ?", (identity,)).fetchone()
        self.put(identity, position, data, hashlib.sha256(data).digest(), row[0], row[1])

    def written(self, identity: str) -> tuple[int, bytes]:
        """How many blocks were put, and the SHA-256 over their digests in order of index."""
        whole = hashlib.sha256()
        count = 0
        with self._database.transaction() as rows:
            for (digest,) in rows.execute(
                "SELECT digest FROM contents JOIN blocks USING (slot)"
                " WHERE snapshot = ? AND written = 1 ORDER BY position",
                (_number(rows, identity),),
            ):
                whole.update(digest)
                count += 1
        return count, whole.digest()

    def positions(self, identity: str, start: int, limit: int) -> list[int]:
        """Indices that hold a block, from `start` on."""
        with self._database.transaction() as rows:
            return [
                position
                for (position,) in rows.execute(
                    "SELECT position FROM contents WHERE snapshot = ? AND position >= ? ORDER BY position LIMIT ?",
                    (_number(rows, identity), start, limit),
                )
            ]

    def changed(self, first: str, second: str, start: int, limit: int) -> list[ChangedBlock]:
        """Indices from `start` on at which two snapshots hold different blocks."""
        with self._database.transaction() as rows:
            one, two = _number(rows, first), _number(rows, second)
            found = rows.execute(
                "SELECT position, MAX(snapshot = :one), MAX(snapshot = :two) FROM contents"
                " WHERE snapshot IN (:one, :two) AND position >= :start"
                " GROUP BY position HAVING COUNT(*) = 1 OR MIN(slot) <> MAX(slot) ORDER BY position LIMIT :limit",
                {"one": one, "two": two, "start": start, "limit": limit},
            ).fetchall()
        return [ChangedBlock(position, bool(a), bool(b)) for position, a, b in found]

    def read(self, identity: str, position: int) -> tuple[bytes, bytes] | None:
        """A block's bytes and the SHA-256 that it was stored under; None where the snapshot holds no block."""
        with self._database.transaction() as rows:
            row = rows.execute(
                "SELECT slot, digest FROM contents JOIN blocks USING (slot) WHERE snapshot = ? AND position = ?",
                (_number(rows, identity), position),
            ).fetchone()
            return None if row is None else (self._blocks.read(row[0]), row[1])

    def sizes(self, identity: str) -> tuple[int, int]:
        """How many blocks the snapshot holds, and how many of them were written to it rather than inherited."""
        with self._database.transaction() as rows:
            row = rows.execute(
                "SELECT COUNT(*), COALESCE(SUM(written), 0) FROM contents WHERE snapshot = ?",
                (_number(rows, identity),),
            ).fetchone()
        return int(row[0]), int(row[1])

    def _refer(
        self,
        rows: sqlite3.Connection,
        identity: str,
        position: int,
        digest: bytes,
        now: float,
        progress: int | None,
    ) -> bool:
        found = rows.execute("SELECT slot FROM blocks WHERE digest = ?", (digest,)).fetchone()
        if found is None:
            return False
        number = _number(rows, identity)
        rows.execute("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, 1)", (number, position, found[0]))
        rows.execute("UPDATE snapshots SET last_write = ?, progress = ? WHERE number = ?", (now, progress, number))
        return True


def block_count(snapshot: Snapshot) -> int:
    """How many block indices a snapshot's volume has."""
    return snapshot.volume_size * BLOCKS_PER_GIB


def _number(rows: sqlite3.Connection, identity: str) -> int:
    row = rows.execute("SELECT number FROM snapshots WHERE id = ?", (identity,)).fetchone()
    if row is None:
        raise KeyError(identity)
    return int(row[0])


def _record(snapshot: Snapshot) -> str:
    return json.dumps(asdict(snapshot), sort_keys=True)


def _snapshot(row: tuple[Any, ...]) -> Snapshot:
    record, last_write, progress = row
    return replace(Snapshot(**json.loads(record)), last_write=last_write, progress=progress)
