"""Every reply and every failure, kept in one SQLite file from the moment it arrives.

A reply is known by the fingerprint of its turn, so what has been paid for is never asked again: not after a restart,
not by another process, not by another step that asks the same. Before a turn is sent it is claimed; a claim whose
process has died tells that the fate of a sending is unknown: it may have been paid for though no reply arrived.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.llm.presence import Presence, is_present
from rsvqa.annotation.llm.requests import ChatFailure, FailureKind
from rsvqa.annotation.llm.turns import RawReply, Turn

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
CREATE TABLE IF NOT EXISTS lost (fingerprint TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS batches (token TEXT PRIMARY KEY, owner TEXT, batch_id TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch_turns (
    fingerprint TEXT PRIMARY KEY, token TEXT NOT NULL, model TEXT NOT NULL, turn TEXT NOT NULL
) WITHOUT ROWID;
"""


class ReplyStoreError(RsvqaError):
    """The file of replies cannot be used."""


LossReason = Literal["no answer", "process died"]


class TurnClaim(Enum):
    """What came of claiming a turn."""

    OURS = "ours"
    ANSWERED = "answered"
    TAKEN = "taken"
    """Another thread or process is asking it now."""
    IN_BATCH = "in batch"
    """It is in a batch that is not collected."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that was begun and is not collected.

    Attributes:
        token: ours, known before it was submitted.
        batch_id: the endpoint's; None when it is not noted.
        is_being_submitted: by a process that is at work; else a batch without an id is one whose process died.
    """

    token: str
    batch_id: str | None
    is_being_submitted: bool


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
        self._name = ":memory:" if path is None else str(path)
        self._connection = _open(self._name)
        self._folder = None if path is None else path.with_name(f"{path.name}-at-work")
        self._presence = None if self._folder is None else Presence(self._folder)

    def __enter__(self) -> ReplyStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and of all claims."""
        with self._lock:
            self._connection.close()
        if self._presence is not None:
            self._presence.end()

    def find(self, fingerprint: str) -> RawReply | None:
        """Return the reply to a turn, or None when there is none."""
        query = "SELECT text, refusal, ended, input_tokens, output_tokens FROM replies WHERE fingerprint = ?"
        for text, refusal, ended, read, written in self._rows(query, fingerprint):
            return RawReply(text=text, refusal=refusal, ended=bool(ended), input_tokens=read, output_tokens=written)
        return None

    def claim(self, fingerprint: str) -> TurnClaim:
        """Claim the right to send a turn; it ends with `put`, `put_failure` or `release`, or with the process."""
        with self._writing(is_durable=False) as connection:
            return self._claim(connection, fingerprint)

    def put(self, turn: Turn, reply: RawReply) -> None:
        """Keep a reply; it is on the disk when this returns. The claim on the turn ends."""
        row = (turn.fingerprint, turn.request.model, turn.document, *_reply_row(reply))
        with self._writing() as connection:
            connection.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            connection.execute("DELETE FROM claims WHERE fingerprint = ?", (turn.fingerprint,))

    def put_failure(self, turn: Turn, failure: ChatFailure) -> None:
        """Keep a failure. The claim on the turn ends, and a later run asks it again: nothing was paid for it."""
        with self._writing() as connection:
            row = (turn.fingerprint, turn.request.model, failure.kind, failure.message)
            connection.execute("INSERT INTO failures VALUES (?, ?, ?, ?)", row)
            connection.execute("DELETE FROM claims WHERE fingerprint = ?", (turn.fingerprint,))

    def release(self, fingerprint: str) -> None:
        """Give a claim back: the turn was not sent."""
        with self._writing(is_durable=False) as connection:
            connection.execute("DELETE FROM claims WHERE fingerprint = ?", (fingerprint,))

    def note_lost(self, fingerprint: str) -> None:
        """Note that a sending went out and no answer came back: it may have been paid for."""
        with self._writing() as connection:
            _note_lost(connection, fingerprint, "no answer")

    def lost(self) -> list[tuple[str, LossReason]]:
        """Return the sendings that may have been paid for though no reply arrived, with why; oldest first."""
        return self._rows("SELECT fingerprint, reason FROM lost ORDER BY rowid")

    def forget(self, turn: Turn, failure: ChatFailure) -> None:
        """Take a reply that was of no use out of the way, so that its turn is asked again; the failure stays."""
        with self._writing() as connection:
            row = (turn.fingerprint, turn.request.model, failure.kind, failure.message)
            connection.execute("INSERT INTO failures VALUES (?, ?, ?, ?)", row)
            connection.execute("DELETE FROM replies WHERE fingerprint = ?", (turn.fingerprint,))

    def failures(self) -> list[tuple[str, FailureKind, str]]:
        """Return the fingerprint, kind and message of all failures, oldest first."""
        return self._rows("SELECT fingerprint, kind, message FROM failures ORDER BY rowid")

    def num_replies(self) -> int:
        """Return how many replies are kept."""
        return int(self._rows("SELECT count(*) FROM replies")[0][0])

    def begin_batch(self, token: str, turns: Iterable[Turn]) -> list[Turn]:
        """Note a batch before it is submitted and claim its turns; return those that are really its own.

        Its claims outlive the process: they end with `collect_batch` or `drop_batch`.
        """
        with self._writing() as connection:
            ours = [turn for turn in turns if self._claim(connection, turn.fingerprint) is TurnClaim.OURS]
            connection.execute("INSERT INTO batches VALUES (?, ?, NULL)", (token, self._token))
            connection.executemany(
                "INSERT INTO batch_turns VALUES (?, ?, ?, ?)",
                [(turn.fingerprint, token, turn.request.model, turn.document) for turn in ours],
            )
            connection.executemany("DELETE FROM claims WHERE fingerprint = ?", [(turn.fingerprint,) for turn in ours])
        return ours

    def name_batch(self, token: str, batch_id: str) -> None:
        """Note the endpoint's name of a batch."""
        with self._writing() as connection:
            connection.execute("UPDATE batches SET batch_id = ? WHERE token = ?", (batch_id, token))

    def leave_batch(self, token: str) -> None:
        """Note that nobody is submitting a batch any more; whether the endpoint has it is to be found out."""
        with self._writing() as connection:
            connection.execute("UPDATE batches SET owner = NULL WHERE token = ?", (token,))

    def open_batches(self) -> list[OpenBatch]:
        """Return the batches that are not collected, ordered by token."""
        return [
            OpenBatch(token, batch_id, batch_id is None and owner is not None and self._is_at_work(owner))
            for token, batch_id, owner in self._rows("SELECT token, batch_id, owner FROM batches ORDER BY token")
        ]

    def is_in_batch(self, fingerprint: str) -> bool:
        """Tell whether a turn is in a batch that is not collected."""
        return bool(self._rows("SELECT 1 FROM batch_turns WHERE fingerprint = ?", fingerprint))

    def turns_of_batch(self, token: str) -> list[str]:
        """Return the fingerprints of the turns of a batch, sorted."""
        query = "SELECT fingerprint FROM batch_turns WHERE token = ? ORDER BY fingerprint"
        return [fingerprint for (fingerprint,) in self._rows(query, token)]

    def collect_batch(
        self, token: str, replies: Mapping[str, RawReply], failures: Mapping[str, tuple[FailureKind, str]]
    ) -> None:
        """Keep what a batch brought, by fingerprint, and forget the batch, all at once or not at all."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO replies SELECT fingerprint, model, turn, ?, ?, ?, ?, ? FROM batch_turns "
                "WHERE fingerprint = ?",
                [(*_reply_row(reply), fingerprint) for fingerprint, reply in replies.items()],
            )
            connection.executemany(
                "INSERT INTO failures SELECT fingerprint, model, ?, ? FROM batch_turns WHERE fingerprint = ?",
                [(*failure, fingerprint) for fingerprint, failure in failures.items()],
            )
            _forget_batch(connection, token)

    def drop_batch(self, token: str) -> None:
        """Forget a batch that never came to be; its turns are free again."""
        with self._writing() as connection:
            _forget_batch(connection, token)

    def _claim(self, connection: sqlite3.Connection, fingerprint: str) -> TurnClaim:
        if connection.execute("SELECT 1 FROM replies WHERE fingerprint = ?", (fingerprint,)).fetchone():
            return TurnClaim.ANSWERED
        if connection.execute("SELECT 1 FROM batch_turns WHERE fingerprint = ?", (fingerprint,)).fetchone():
            return TurnClaim.IN_BATCH
        row = connection.execute("SELECT owner FROM claims WHERE fingerprint = ?", (fingerprint,)).fetchone()
        if row is not None and self._is_at_work(row[0]):
            return TurnClaim.TAKEN
        if row is not None:
            _note_lost(connection, fingerprint, "process died")
        connection.execute("INSERT OR REPLACE INTO claims VALUES (?, ?)", (fingerprint, self._token))
        return TurnClaim.OURS

    @property
    def _token(self) -> str:
        return "memory" if self._presence is None else self._presence.token

    def _is_at_work(self, owner: str) -> bool:
        return self._folder is None or is_present(self._folder, owner)

    def _rows(self, query: str, *values: str) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise ReplyStoreError(f"{self._name}: replies cannot be read: {error}") from error

    @contextmanager
    def _writing(self, *, is_durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Run a transaction that no other thread or process can come between.

        A durable one is on the disk at its end, which takes milliseconds; the others survive the end of the process,
        but the last of them not a power cut.
        """
        with self._lock:
            try:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise ReplyStoreError(f"{self._name}: replies cannot be kept: {error}") from error
                raise


def _open(name: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(name, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, name)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise ReplyStoreError(f"{name}: not a usable file of replies: {error}; name another one") from error
    return connection


def _prepare(connection: sqlite3.Connection, name: str) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise ReplyStoreError(f"{name}: made by a newer rsvqa (store version {version}, known up to {SCHEMA_VERSION})")
    _use_wal(connection)
    connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; SQLite does not wait here when another process switches at the same moment."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _reply_row(reply: RawReply) -> tuple[str, str | None, bool, int | None, int | None]:
    return reply.text, reply.refusal, reply.ended, reply.input_tokens, reply.output_tokens


def _note_lost(connection: sqlite3.Connection, fingerprint: str, reason: LossReason) -> None:
    connection.execute("INSERT INTO lost VALUES (?, ?)", (fingerprint, reason))


def _forget_batch(connection: sqlite3.Connection, token: str) -> None:
    connection.execute("DELETE FROM batch_turns WHERE token = ?", (token,))
    connection.execute("DELETE FROM batches WHERE token = ?", (token,))
