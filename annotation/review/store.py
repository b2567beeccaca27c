"""The store of a review: the queue, who works on what, and every decision that was ever taken.

Decisions are only added. One that is undone or taken anew stays in its row, marked as withdrawn. A decision is never
refused because somebody else was quicker: it is one opinion more, and where two differ a third reviewer decides.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Self

from rsvqa.annotation.review.agreement import Decision, ReviewVerdict, final_decision, num_missing
from rsvqa.annotation.review.content import CONTENT, QUESTION, EditableContent, ReviewQuestion
from rsvqa.annotation.review.database import Database, StoreError
from rsvqa.annotation.review.queue import QueueEntry

CLAIM_S = 600.0
"""A question is kept for a reviewer this long after the page last asked for it."""
MAX_UPCOMING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which questions a reviewer wants to see; empty means all."""

    task: str = ""
    source: str = ""
    split: str = ""
    disputed_only: bool = False


NO_FILTERS = Filters()


class Assignment(NamedTuple):
    """A question put before a reviewer.

    Attributes:
        question: as it stands in the data set.
        opinions: of others; filled only for the third reviewer, who decides between them.
    """

    question: ReviewQuestion
    opinions: tuple[Decision, ...]


class ReviewStore:
    """All that is known of one review, in one SQLite file.

    Args:
        path: of the file; made when it is not there.
        now: returns seconds since 1970.

    Raises:
        StoreError: see `Database`.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.database = Database(path)
        self.now = now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    # --- the queue ---

    def fill(self, data_set: str, entries: Iterable[QueueEntry]) -> None:
        """Make `entries` the queue; decisions on questions that are no longer in it are kept.

        Args:
            data_set: fingerprint of the data set that the questions are from.
            entries: of `queue.plan_queue`.

        Raises:
            StoreError: when the store belongs to another data set.
        """
        with self.database.transaction() as connection:
            _claim_data_set(connection, data_set, self.database.path)
            connection.execute("UPDATE questions SET is_queued = 0")
            for entry in entries:
                _put(connection, entry)

    def add(self, data_set: str, entries: Iterable[QueueEntry]) -> None:
        """Make questions known on which decisions come from elsewhere; those in the queue stay as they are.

        Raises:
            StoreError: when the store belongs to another data set.
        """
        with self.database.transaction() as connection:
            _claim_data_set(connection, data_set, self.database.path)
            for entry in entries:
                connection.execute(_INSERT.format("NOTHING"), {**_values(entry), "is_queued": 0})

    def num_queued(self) -> int:
        """Return how many questions are in the queue."""
        with self.database.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM questions WHERE is_queued").fetchone()[0])

    def next_question(self, reviewer: str, filters: Filters = NO_FILTERS) -> Assignment | None:
        """Claim and return the next question for a reviewer: the one he has open, else the first that waits for him.

        None when nothing is left for him. What he skipped comes again only after `forget_skips`.
        """
        now = self.now()
        with self.database.transaction() as connection:
            values = {**asdict(filters), "reviewer": reviewer, "now": now}
            row = connection.execute(_MINE, values).fetchone() or connection.execute(_NEXT, values).fetchone()
            connection.execute("DELETE FROM claims WHERE reviewer = ? OR until <= ?", (reviewer, now))
            if row is None:
                return None
            _claim(connection, row["question_id"], reviewer, now)
            return _assignment(connection, row, reviewer)

    def upcoming(self, reviewer: str, filters: Filters = NO_FILTERS) -> tuple[ReviewQuestion, ...]:
        """Return the questions from which a reviewer's next one will come, unless much happens before.

        Each of those at work takes one of the first that are free; so there are as many as reviewers, up to
        `MAX_UPCOMING`.
        """
        values = {**asdict(filters), "reviewer": reviewer, "now": self.now(), "most": MAX_UPCOMING}
        with self.database.reading() as connection:
            rows = connection.execute(_UPCOMING, values).fetchall()
        return tuple(QUESTION.validate_json(row["question"]) for row in rows)

    def open_question(self, reviewer: str, question_id: str) -> Assignment:
        """Claim and return one question whatever its state, for a reviewer who comes back to it.

        Raises:
            StoreError: when there is no such question.
        """
        now = self.now()
        with self.database.transaction() as connection:
            row = _row(connection, question_id)
            connection.execute("DELETE FROM claims WHERE reviewer = ?", (reviewer,))
            _claim(connection, question_id, reviewer, now)
            return _assignment(connection, row, reviewer)

    def question(self, question_id: str) -> ReviewQuestion:
        """Return one question as it stands in the data set.

        Raises:
            StoreError: when there is no such question.
        """
        with self.database.reading() as connection:
            return QUESTION.validate_json(_row(connection, question_id)["question"])

    def renew(self, reviewer: str, question_id: str) -> None:
        """Keep a claimed question for another `CLAIM_S`."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE claims SET until = ? WHERE reviewer = ? AND question_id = ?",
                (self.now() + CLAIM_S, reviewer, question_id),
            )

    def release(self, reviewer: str) -> None:
        """Give back what a reviewer has claimed."""
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM claims WHERE reviewer = ?", (reviewer,))

    # --- decisions ---

    def decide(
        self,
        question_id: str,
        reviewer: str,
        verdict: ReviewVerdict,
        *,
        request_id: str,
        after: EditableContent | None = None,
        reason: str = "",
        decided_at: float | None = None,
    ) -> int:
        """Store a decision and return its number; it is on disk when this returns.

        The same `request_id` is stored once, whatever comes with it the second time: a page that has heard nothing asks
        again. A former decision of the same reviewer on the question is withdrawn.

        Args:
            question_id: of a question of the store.
            reviewer: a name.
            verdict: what was decided.
            request_id: chosen by the caller, unlike any other.
            after: the question as it was left; for "accepted" and "fixed".
            reason: of a rejection, or a note.
            decided_at: seconds since 1970; None for now.

        Raises:
            StoreError: when there is no such question.
        """
        now = self.now() if decided_at is None else decided_at
        with self.database.transaction() as connection:
            if known := connection.execute(
                "SELECT number FROM decisions WHERE request_id = ?", (request_id,)
            ).fetchone():
                return int(known["number"])
            question = QUESTION.validate_json(_row(connection, question_id)["question"])
            connection.execute(_WITHDRAW_OWN, (now, question_id, reviewer))
            before, left = CONTENT.dump_json(question.content), None if after is None else CONTENT.dump_json(after)
            values = (request_id, question_id, reviewer, verdict, before.decode(), left and left.decode(), reason, now)
            number = connection.execute(_DECIDE, values).lastrowid
            connection.execute("DELETE FROM claims WHERE question_id = ? AND reviewer = ?", (question_id, reviewer))
            _count_missing(connection, question_id)
        assert number is not None
        return number

    def knows_request(self, request_id: str) -> bool:
        """Return whether a decision was stored with this id, whether or not it still stands."""
        with self.database.reading() as connection:
            found = connection.execute("SELECT 1 FROM decisions WHERE request_id = ?", (request_id,)).fetchone()
        return found is not None

    def undo(self, reviewer: str, number: int) -> Decision:
        """Withdraw a decision of a reviewer and return it; doing it twice is doing it once.

        Raises:
            StoreError: when the reviewer took no such decision.
        """
        with self.database.transaction() as connection:
            row = connection.execute(
                "SELECT * FROM decisions WHERE number = ? AND reviewer = ?", (number, reviewer)
            ).fetchone()
            if row is None:
                raise StoreError(f"{reviewer} took no decision number {number}")
            connection.execute(
                "UPDATE decisions SET withdrawn_at = ? WHERE number = ? AND withdrawn_at IS NULL", (self.now(), number)
            )
            _count_missing(connection, row["question_id"])
            return _decision(row)

    def forget_skips(self, reviewer: str) -> int:
        """Withdraw all that a reviewer skipped, so that it comes again, and return how many those are."""
        with self.database.transaction() as connection:
            return connection.execute(
                "UPDATE decisions SET withdrawn_at = ? "
                "WHERE reviewer = ? AND verdict = 'skipped' AND withdrawn_at IS NULL",
                (self.now(), reviewer),
            ).rowcount

    def decisions(self) -> tuple[Decision, ...]:
        """Return every decision that stands, skipped ones included, in the order in which they were stored."""
        with self.database.reading() as connection:
            rows = connection.execute("SELECT * FROM decisions WHERE withdrawn_at IS NULL ORDER BY number").fetchall()
        return tuple(map(_decision, rows))

    def final_decisions(self) -> dict[str, Decision]:
        """Return, by question, the decision that stands where no more opinion is wanted."""
        with self.database.reading() as connection:
            wanted = dict(connection.execute("SELECT question_id, wanted FROM questions").fetchall())
        opinions: dict[str, list[Decision]] = {}
        for decision in self.decisions():
            if decision.verdict != "skipped":
                opinions.setdefault(decision.question_id, []).append(decision)
        finals = {key: final_decision(found, wanted=wanted[key]) for key, found in opinions.items()}
        return {key: decision for key, decision in finals.items() if decision is not None}

    def data_set(self) -> str | None:
        """Return the fingerprint of the data set that the questions are from; None for an empty store."""
        with self.database.reading() as connection:
            row = connection.execute("SELECT value FROM facts WHERE name = 'data_set'").fetchone()
        return None if row is None else str(row["value"])


# --- statements -----------------------------------------------------------------------------------------------------

_INSERT = """
INSERT INTO questions VALUES (
    :question_id, :position, :priority, :task, :source, :split, :is_disputed, :wanted, :wanted, :is_queued, :question
) ON CONFLICT (question_id) DO {}
"""
_UPDATE = "UPDATE SET is_queued = 1, position = :position, priority = :priority, wanted = :wanted"

_WAITING = """
SELECT q.* FROM questions q LEFT JOIN claims c ON c.question_id = q.question_id AND c.reviewer = :reviewer
WHERE q.is_queued AND q.missing > 0
    AND (:task = '' OR q.task = :task) AND (:source = '' OR q.source = :source) AND (:split = '' OR q.split = :split)
    AND (NOT :disputed_only OR q.is_disputed)
    AND NOT EXISTS (
        SELECT 1 FROM decisions
        WHERE question_id = q.question_id AND withdrawn_at IS NULL AND reviewer = :reviewer
    )
"""
_MINE = _WAITING + "AND c.until > :now LIMIT 1"
_NEXT = "".join(
    (
        _WAITING,
        "AND q.missing > (SELECT count(*) FROM claims WHERE question_id = q.question_id AND reviewer <> :reviewer ",
        "AND until > :now) ORDER BY q.priority, q.position LIMIT 1",
    )
)
_UPCOMING = "".join(
    (
        _WAITING,
        "AND c.until IS NULL ",
        "AND q.missing > (SELECT count(*) FROM claims WHERE question_id = q.question_id AND until > :now) ",
        "ORDER BY q.priority, q.position ",
        "LIMIT (SELECT min(:most, max(1, count(DISTINCT reviewer))) FROM claims WHERE until > :now)",
    )
)

_WITHDRAW_OWN = "UPDATE decisions SET withdrawn_at = ? WHERE question_id = ? AND reviewer = ? AND withdrawn_at IS NULL"
_DECIDE = """
INSERT INTO decisions (request_id, question_id, reviewer, verdict, before, after, reason, decided_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


def _claim_data_set(connection: sqlite3.Connection, data_set: str, path: Path) -> None:
    connection.execute("INSERT OR IGNORE INTO facts VALUES ('data_set', ?)", (data_set,))
    found = connection.execute("SELECT value FROM facts WHERE name = 'data_set'").fetchone()["value"]
    if found != data_set:
        raise StoreError(
            f"{path} holds the review of another data set than this one, or the shards have changed since; "
            "move it away, or name another file with `store`"
        )


def _put(connection: sqlite3.Connection, entry: QueueEntry) -> None:
    connection.execute(_INSERT.format(_UPDATE), {**_values(entry), "is_queued": 1})
    _count_missing(connection, entry.question.question_id)


def _values(entry: QueueEntry) -> dict[str, object]:
    question = entry.question
    return {
        "question_id": question.question_id,
        "position": entry.position,
        "priority": entry.priority,
        "task": question.task,
        "source": question.source,
        "split": question.split,
        "is_disputed": question.is_disputed,
        "wanted": entry.wanted,
        "question": QUESTION.dump_json(question).decode(),
    }


def _row(connection: sqlite3.Connection, question_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM questions WHERE question_id = ?", (question_id,)
    ).fetchone()
    if row is None:
        raise StoreError(f"no question {question_id!r} in this review")
    return row


def _claim(connection: sqlite3.Connection, question_id: str, reviewer: str, now: float) -> None:
    connection.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (question_id, reviewer, now + CLAIM_S))


def _assignment(connection: sqlite3.Connection, row: sqlite3.Row, reviewer: str) -> Assignment:
    others = [opinion for opinion in _opinions(connection, row["question_id"]) if opinion.reviewer != reviewer]
    is_third = len(others) == 2 and row["missing"] > 0
    return Assignment(QUESTION.validate_json(row["question"]), tuple(others) if is_third else ())


def _opinions(connection: sqlite3.Connection, question_id: str) -> list[Decision]:
    rows = connection.execute(
        "SELECT * FROM decisions WHERE question_id = ? AND withdrawn_at IS NULL AND verdict <> 'skipped' "
        "ORDER BY number",
        (question_id,),
    )
    return [_decision(row) for row in rows]


def _count_missing(connection: sqlite3.Connection, question_id: str) -> None:
    """Store how many opinions a question still needs; the queue asks for nothing else."""
    opinions = _opinions(connection, question_id)
    wanted = _row(connection, question_id)["wanted"]
    connection.execute(
        "UPDATE questions SET missing = ? WHERE question_id = ?", (num_missing(opinions, wanted=wanted), question_id)
    )


def _decision(row: sqlite3.Row) -> Decision:
    return Decision(
        number=row["number"],
        question_id=row["question_id"],
        reviewer=row["reviewer"],
        verdict=row["verdict"],
        before=CONTENT.validate_json(row["before"]),
        after=None if row["after"] is None else CONTENT.validate_json(row["after"]),
        reason=row["reason"],
        decided_at=row["decided_at"],
    )
