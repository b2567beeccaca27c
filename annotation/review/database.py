"""The SQLite file of a review: its tables, and transactions that are on disk before they return.

Write-ahead logging lets readers and a writer work at once; `synchronous=FULL` flushes the log at each commit, so what a
page shows as saved outlives a killed server and a power cut. The file must not lie on a network drive.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsvqa.annotation.errors import RsvqaError

SCHEMA_VERSION = 3
_BUSY_S = 30.0  # another process on the same file finishes its transaction long before

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS questions (
    key TEXT PRIMARY KEY,
    question_id TEXT NOT NULL,
    kin TEXT NOT NULL,
    former TEXT,
    is_present INTEGER NOT NULL,
    position INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    task TEXT NOT NULL,
    source TEXT NOT NULL,
    split TEXT NOT NULL,
    is_disputed INTEGER NOT NULL,
    wanted INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    is_queued INTEGER NOT NULL,
    question TEXT NOT NULL,
    is_contested INTEGER NOT NULL DEFAULT 0,
    is_blind INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS present_questions ON questions (question_id) WHERE is_present;
CREATE INDEX IF NOT EXISTS open_questions ON questions (priority, position) WHERE is_queued AND missing > 0;
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL REFERENCES questions ON UPDATE CASCADE,
    reviewer TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('accepted', 'fixed', 'rejected', 'skipped')),
    before TEXT NOT NULL,
    after TEXT,
    reason TEXT NOT NULL,
    decided_at REAL NOT NULL,
    withdrawn_at REAL,
    opened_at REAL,
    is_adjudication INTEGER NOT NULL DEFAULT 0,
    is_gold INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS one_standing ON decisions (key, reviewer) WHERE withdrawn_at IS NULL;
CREATE INDEX IF NOT EXISTS of_reviewer ON decisions (reviewer, number) WHERE withdrawn_at IS NULL;
CREATE TABLE IF NOT EXISTS claims (
    key TEXT NOT NULL REFERENCES questions ON UPDATE CASCADE,
    reviewer TEXT NOT NULL,
    until REAL NOT NULL,
    opened_at REAL NOT NULL,
    PRIMARY KEY (key, reviewer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dealt (
    reviewer TEXT NOT NULL,
    key TEXT NOT NULL REFERENCES questions ON UPDATE CASCADE,
    PRIMARY KEY (reviewer, key)
) WITHOUT ROWID;
INSERT OR IGNORE INTO dealt SELECT reviewer, key FROM claims;
CREATE TABLE IF NOT EXISTS answers (
    key TEXT NOT NULL REFERENCES questions ON UPDATE CASCADE,
    reviewer TEXT NOT NULL,
    answer TEXT NOT NULL,
    bbox TEXT NOT NULL,
    opened_at REAL,
    answered_at REAL NOT NULL,
    PRIMARY KEY (key, reviewer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gold (
    key TEXT PRIMARY KEY REFERENCES questions ON UPDATE CASCADE,
    marked_by TEXT NOT NULL,
    marked_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS comments (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL REFERENCES questions ON UPDATE CASCADE,
    author TEXT NOT NULL,
    recipient TEXT NOT NULL,
    text TEXT NOT NULL,
    made_at REAL NOT NULL,
    settled_at REAL
);
CREATE INDEX IF NOT EXISTS comments_of ON comments (key);
CREATE TABLE IF NOT EXISTS people (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    duty TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS shard_images (
    shard TEXT NOT NULL, image TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (shard, image)
) WITHOUT ROWID;
"""

FROM_VERSION_1 = "version 1: "
"""Begins the keys of questions of the first version, whose images' bytes are not known; see `ReviewStore.bind`."""

_SET_ASIDE_1 = """
DROP TABLE claims;
DROP INDEX open_questions; DROP INDEX one_standing; DROP INDEX of_reviewer;
ALTER TABLE decisions RENAME TO decisions_1;
ALTER TABLE questions RENAME TO questions_1;
"""
_TAKE_OVER_1 = """
INSERT INTO questions (key, question_id, kin, former, is_present, position, priority, task, source, split,
    is_disputed, wanted, missing, is_queued, question)
SELECT 'version 1: ' || question_id, question_id, '', NULL, 0, position, priority, task, source, split,
    is_disputed, wanted, missing, 0, question
FROM questions_1;
INSERT INTO decisions (number, request_id, key, reviewer, verdict, before, after, reason, decided_at, withdrawn_at)
SELECT number, request_id, 'version 1: ' || question_id, reviewer, verdict, before, after, reason, decided_at,
    withdrawn_at
FROM decisions_1;
DROP TABLE decisions_1; DROP TABLE questions_1;
"""
_ADD_TO_2 = """
DROP TABLE claims;
ALTER TABLE questions ADD COLUMN is_contested INTEGER NOT NULL DEFAULT 0;
ALTER TABLE questions ADD COLUMN is_blind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE decisions ADD COLUMN opened_at REAL;
ALTER TABLE decisions ADD COLUMN is_adjudication INTEGER NOT NULL DEFAULT 0;
ALTER TABLE decisions ADD COLUMN is_gold INTEGER NOT NULL DEFAULT 0;
"""
_MARK_THIRDS = """
UPDATE decisions SET is_adjudication = 1 WHERE number IN (
    SELECT number FROM (
        SELECT number, row_number() OVER (PARTITION BY key ORDER BY number) AS place FROM decisions
        WHERE withdrawn_at IS NULL AND verdict <> 'skipped'
    ) WHERE place = 3
);
"""
"""Until version 2, who was asked as the third decided between two."""


_MIGRATIONS = {1: (_SET_ASIDE_1, _TAKE_OVER_1 + _MARK_THIRDS), 2: (_ADD_TO_2, _MARK_THIRDS)}
"""What is done before and after the tables are made, by the version that is found."""


class StoreError(RsvqaError):
    """The file of decisions cannot be used, or a request to it makes no sense."""


class Database:
    """One connection to the file, shared by all threads of a server.

    Raises:
        StoreError: the file is no store of a review, of another version, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{path} cannot be used as the store of a review: {error}") from error

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in range(SCHEMA_VERSION + 1):
            self._connection.close()
            raise StoreError(f"{self.path} is a store of version {found}; this rsvqa knows version {SCHEMA_VERSION}")
        self._connection.execute("BEGIN EXCLUSIVE")
        try:
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]  # another process was quicker
            before, after = _MIGRATIONS.get(version, ("", ""))
            for statement in f"{before} {_TABLES} {after}".split(";"):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside a transaction that is on disk when the block ends, and undone when it raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for queries that see one state of the file."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection; the write-ahead log is merged into the file."""
        with self._lock:
            self._connection.close()
