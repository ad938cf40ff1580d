"""The cloud's records on disk: one SQLite database, written in short transactions by many threads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    region TEXT NOT NULL,
    record TEXT NOT NULL,
    last_write REAL NOT NULL,
    progress INTEGER
);
CREATE TABLE IF NOT EXISTS blocks (
    slot INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS contents (
    snapshot INTEGER NOT NULL,
    position INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    written INTEGER NOT NULL,
    PRIMARY KEY (snapshot, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS contents_by_slot ON contents (slot);
CREATE TABLE IF NOT EXISTS images (
    id TEXT PRIMARY KEY,
    region TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (
    region TEXT NOT NULL,
    operation TEXT NOT NULL,
    token TEXT NOT NULL,
    request TEXT NOT NULL,
    made TEXT NOT NULL,
    PRIMARY KEY (region, operation, token)
);
CREATE TABLE IF NOT EXISTS secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);
"""
"""`contents` maps a snapshot's block index to a slot of the block file; `written` is 0 for what came from the parent.
`requests` remembers what was made under a client token."""


class Database:
    """One connection, shared by all threads under one lock. What a transaction wrote survives a kill of the process."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)
        self._lock = threading.RLock()
        self._depth = 0

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; transactions nest into the outermost one."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._connection
            except BaseException:
                if self._depth == 1:
                    self._connection.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    def clear(self) -> None:
        """Forget every record."""
        with self.transaction() as rows:
            for table in ("contents", "blocks", "snapshots", "images", "requests"):
                rows.execute(f"DELETE FROM {table}")

    def close(self) -> None:
        """Finish; the database must not be used afterwards."""
        with self._lock:
            self._connection.close()
