"""Every reply and every failure, kept in one SQLite file from the moment it arrives.

A reply is known by the fingerprint of its turn, so what has been paid for is never asked again: not after a restart,
not by another process, not by another step that asks the same. Before a turn is sent it is claimed; a claim whose
process has died tells that the fate of a sending is unknown: it may have been paid for though no reply arrived.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType

from annotation.errors import RsvqaError
from annotation.llm.presence import Presence, is_present
from annotation.llm.requests import ChatFailure, FailureKind
from annotation.llm.turns import RawReply, Turn

SCHEMA_VERSION = 1
BUSY_S = 60.0
"""How long a process waits for another one to finish its writing."""

_TABLES = """
CREATE TABLE IF NOT EXISTS replies (
    fingerprint TEXT PRIMARY KEY, model TEXT NOT NULL, turn TEXT NOT NULL, text TEXT NOT NULL, refusal TEXT,
    ended INTEGER NOT NULL, input_tokens INTEGER, output_tokens INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (
    fingerprint TEXT NOT NULL, model TEXT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS claims (fingerprint TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lost (fingerprint TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS batches (token TEXT PRIMARY KEY, batch_id TEXT, fingerprints TEXT NOT NULL) WITHOUT ROWID;
"""


class ReplyStoreError(RsvqaError):
    """The file of replies cannot be used."""


class Claim(Enum):
    """What came of claiming a turn."""

    OURS = "ours"
    TAKEN = "taken"
    """Another thread or process is asking it now, or a batch holds it."""
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch that was begun and is not yet collected.

    Attributes:
        token: ours, known before it was submitted.
        batch_id: the endpoint's; None when the process ended before it was noted.
        fingerprints: of its turns.
    """

    token: str
    batch_id: str | None
    fingerprints: tuple[str, ...]


class ReplyStore:
    """The replies in one file; safe to use from many threads and from several processes of one machine.

    Args:
        path: the SQLite file, made when it is not there; None for a store that ends with the process. The file must
            not lie on a network drive: SQLite's write-ahead log does not work there.

    Raises:
        ReplyStoreError: the file is not a store, or of a newer version.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._ours: set[str] = set()
        self._folder = None if path is None else path.with_name(f"{path.name}-at-work")
        self._presence = None if self._folder is None else Presence(self._folder)
        self._connection = _open(path)

    def __enter__(self) -> ReplyStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and of all claims."""
        with self._lock:
            self._connection.close()
        if self._presence is not None:
            self._presence.end()

    def find(self, fingerprint: str) -> RawReply | None:
        """Return the reply to a turn, or None when there is none."""
        with self._lock:
            row = self._connection.execute(
                "SELECT text, refusal, ended, input_tokens, output_tokens FROM replies WHERE fingerprint = ?",
                (fingerprint,),
            ).fetchone()
        return None if row is None else RawReply(row[0], row[1], bool(row[2]), row[3], row[4])

    def claim(self, fingerprint: str, *, batch: str | None = None) -> Claim:
        """Claim the right to send a turn; it ends with `put`, `put_failure` or `release`, or with the process.

        Args:
            fingerprint: of the turn.
            batch: token of the batch that will carry it; its claim outlives the process.
        """
        owner = f"batch:{batch}" if batch else self._token
        with self._writing() as connection:
            if connection.execute("SELECT 1 FROM replies WHERE fingerprint = ?", (fingerprint,)).fetchone():
                return Claim.ANSWERED
            row = connection.execute("SELECT owner FROM claims WHERE fingerprint = ?", (fingerprint,)).fetchone()
            if row is not None:
                if self._is_at_work(row[0]):
                    return Claim.TAKEN
                connection.execute("INSERT INTO lost VALUES (?)", (fingerprint,))
            connection.execute("INSERT OR REPLACE INTO claims VALUES (?, ?)", (fingerprint, owner))
            return Claim.OURS

    def put(self, turn: Turn, reply: RawReply) -> None:
        """Keep a reply; it is on the disk when this returns. The claim on the turn ends."""
        row = (turn.request.model, turn.document, reply.text, reply.refusal)
        numbers = (int(reply.ended), reply.input_tokens, reply.output_tokens)
        with self._writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (turn.fingerprint, *row, *numbers)
            )
            connection.execute("DELETE FROM claims WHERE fingerprint = ?", (turn.fingerprint,))

    def put_failure(self, turn: Turn, failure: ChatFailure) -> None:
        """Keep a failure. The claim on the turn ends, and a later run asks it again: nothing was paid for it."""
        with self._writing() as connection:
            row = (turn.fingerprint, turn.request.model, failure.kind, failure.message)
            connection.execute("INSERT INTO failures VALUES (?, ?, ?, ?)", row)
            connection.execute("DELETE FROM claims WHERE fingerprint = ?", (turn.fingerprint,))

    def release(self, fingerprint: str) -> None:
        """Give a claim back: the turn was not sent."""
        with self._writing() as connection:
            connection.execute("DELETE FROM claims WHERE fingerprint = ?", (fingerprint,))

    def note_lost(self, fingerprint: str) -> None:
        """Note that a sending may have been paid for without its reply having arrived."""
        with self._writing() as connection:
            connection.execute("INSERT INTO lost VALUES (?)", (fingerprint,))

    def num_replies(self) -> int:
        """Return how many replies are kept."""
        return self._count("replies")

    def num_lost(self) -> int:
        """Return how many sendings may have been paid for without their reply having arrived."""
        return self._count("lost")

    def failures(self) -> list[tuple[str, FailureKind, str]]:
        """Return the fingerprint, kind and message of all failures, in the order in which they came."""
        with self._lock:
            return self._connection.execute("SELECT fingerprint, kind, message FROM failures ORDER BY rowid").fetchall()

    def begin_batch(self, token: str, fingerprints: list[str]) -> None:
        """Note a batch before it is submitted."""
        with self._writing() as connection:
            connection.execute("INSERT INTO batches VALUES (?, NULL, ?)", (token, json.dumps(fingerprints)))

    def name_batch(self, token: str, batch_id: str) -> None:
        """Note the endpoint's name of a batch."""
        with self._writing() as connection:
            connection.execute("UPDATE batches SET batch_id = ? WHERE token = ?", (batch_id, token))

    def end_batch(self, token: str) -> None:
        """Forget a batch that was collected or never came to be; what it claimed and did not bring is free again."""
        with self._writing() as connection:
            connection.execute("DELETE FROM claims WHERE owner = ?", (f"batch:{token}",))
            connection.execute("DELETE FROM batches WHERE token = ?", (token,))

    def open_batches(self) -> list[BatchRow]:
        """Return the batches that are not collected, ordered by token."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT token, batch_id, fingerprints FROM batches ORDER BY token"
            ).fetchall()
        return [BatchRow(token, batch_id, tuple(json.loads(text))) for token, batch_id, text in rows]

    @property
    def _token(self) -> str:
        return "memory" if self._presence is None else self._presence.token

    def _is_at_work(self, owner: str) -> bool:
        if self._folder is None or owner.startswith("batch:"):
            return True
        return is_present(self._folder, owner)

    def _count(self, table: str) -> int:
        with self._lock:
            row: tuple[int] = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        return row[0]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction that no other thread or process can come between."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _open(path: Path | None) -> sqlite3.Connection:
    name = ":memory:" if path is None else str(path)
    try:
        connection = sqlite3.connect(name, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise ReplyStoreError(
                f"{name}: made by a newer rsvqa (store version {version}, known up to {SCHEMA_VERSION})"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a paid reply is not lost to a power cut either
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except sqlite3.DatabaseError as error:
        raise ReplyStoreError(f"{name}: not a usable file of replies: {error}; name another one") from error
    return connection
