"""What a lead sees and steers: every question with its decisions, comments, gold questions, and broken labels.

Nothing is deleted here either: a decision that is returned stays in its row, marked as withdrawn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from rsvqa.annotation.review.content import CONTENT, QUESTION
from rsvqa.annotation.review.database import StoreError
from rsvqa.annotation.review.store import OTHER_REQUEST, ReviewStore, count_missing, opinions_on, row_of

State = Literal["", "open", "decided", "contested", "commented", "gold"]
PAGE_ROWS = 50
NO_NOTE = "please look again"
"""Stands beside a question that was returned without a note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which questions are listed; empty means all.

    Attributes:
        text: part of an id or of a question's text.
        task: name of a task.
        person: who has decided on it.
        verdict: of a decision that stands.
        state: how far it is.
        label: id of a labelled object that its answer rests on.
        offset: questions left out from the beginning.
    """

    text: str = ""
    task: str = ""
    person: str = ""
    verdict: str = ""
    state: State = ""
    label: str = ""
    offset: int = 0


class Comment(NamedTuple):
    """What somebody said about a question; `recipient` is empty where it is for all who lead."""

    number: int
    author: str
    recipient: str
    text: str
    made_at: float
    is_settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A question in the list.

    Attributes:
        question_id, task, scene, text: of the question.
        is_queued, missing, is_contested, is_gold: how far it is.
        labels: ids of the labelled objects that its answer rests on.
        decisions: those that stand, on gold ones too: number, reviewer, verdict, reason, seconds, is_gold.
        comments: all of them.
    """

    question_id: str
    task: str
    scene: str
    text: str
    is_queued: bool
    missing: int
    is_contested: bool
    is_gold: bool
    labels: tuple[str, ...]
    decisions: tuple[dict[str, Any], ...]
    comments: tuple[Comment, ...]


class Found(NamedTuple):
    """A page of the list, and how many questions there are in all."""

    total: int
    rows: tuple[Listed, ...]


def find(store: ReviewStore, search: Search) -> Found:
    """Return a page of the questions that a search finds, in the order of the data set."""
    values = {
        "text": search.text,
        "task": search.task,
        "person": search.person,
        "verdict": search.verdict,
        "state": search.state,
        "label": search.label,
    }
    with store.database.reading() as connection:
        total = connection.execute(f"SELECT count(*) {_FOUND}", values).fetchone()[0]
        page = {**values, "rows": PAGE_ROWS, "offset": search.offset}
        rows = connection.execute(f"SELECT q.* {_FOUND} ORDER BY position LIMIT :rows OFFSET :offset", page).fetchall()
        return Found(int(total), tuple(_listed(connection, row) for row in rows))


def _listed(connection: sqlite3.Connection, row: sqlite3.Row) -> Listed:
    question = QUESTION.validate_json(row["question"])
    decisions = connection.execute(
        "SELECT number, reviewer, verdict, reason, decided_at - opened_at AS seconds, is_gold "
        "FROM decisions WHERE key = ? AND withdrawn_at IS NULL ORDER BY number",
        (row["key"],),
    )
    return Listed(
        question_id=row["question_id"],
        task=row["task"],
        scene=question.scene,
        text=question.content.question,
        is_queued=bool(row["is_queued"]),
        missing=row["missing"],
        is_contested=bool(row["is_contested"]),
        is_gold=connection.execute("SELECT 1 FROM gold WHERE key = ?", (row["key"],)).fetchone() is not None,
        labels=tuple(map(str, question.evidence.get("feature_ids", ()))),
        decisions=tuple({**dict(decision), "is_gold": bool(decision["is_gold"])} for decision in decisions),
        comments=_comments(connection, row["key"]),
    )


# --- decisions ------------------------------------------------------------------------------------------------------


def give_back(
    store: ReviewStore, numbers: Sequence[int], author: str, note: str, *, request_id: str, to_all: bool = False
) -> int:
    """Withdraw decisions and return how many stood; their questions come to their authors again, with a note.

    Nobody else gets such a question until its author has decided anew, or the note is settled. With `to_all` it is open
    to everybody at once, and the note is for who leads.

    Raises:
        StoreError: when there is no such decision on a question as it is now.
    """
    with store.database.transaction() as connection:
        count = 0
        for number in numbers:
            row = connection.execute(
                "SELECT d.* FROM decisions d JOIN questions q USING (key) WHERE number = ? AND q.is_present", (number,)
            ).fetchone()
            if row is None:
                raise StoreError(f"no decision number {number} on a question as it is now")
            if row["withdrawn_at"] is not None:
                continue
            connection.execute("UPDATE decisions SET withdrawn_at = ? WHERE number = ?", (store.now(), number))
            count_missing(connection, row["key"])
            if note or not to_all:
                recipient = "" if to_all else row["reviewer"]
                values = (f"{request_id}/{number}", row["key"], author, recipient, note or NO_NOTE, store.now())
                connection.execute(_COMMENT, values)
            count += 1
        return count


def reopen(store: ReviewStore, question_id: str, author: str, note: str, *, request_id: str) -> int:
    """Withdraw every decision on a question, what people said to it as gold included, and return how many stood.

    Raises:
        StoreError: when there is no such question.
    """
    with store.database.reading() as connection:
        key = row_of(connection, question_id)["key"]
        rows = connection.execute("SELECT number FROM decisions WHERE key = ? AND withdrawn_at IS NULL", (key,))
        numbers = [row["number"] for row in rows]
    return give_back(store, numbers, author, note, request_id=request_id, to_all=True)


def reject_label(store: ReviewStore, label: str, author: str, reason: str, *, request_id: str) -> int:
    """Reject every question whose answer rests on a labelled object, whatever others decided; return how many.

    All of them or none are on disk when this ends; sent twice, it is done once.
    """
    with store.database.transaction() as connection:
        values = {**_EMPTY, "label": label}
        rows = connection.execute(f"SELECT q.* {_FOUND} ORDER BY position", values).fetchall()
        for number, row in enumerate(rows):
            request = f"{request_id}/{number}"
            if connection.execute("SELECT 1 FROM decisions WHERE request_id = ?", (request,)).fetchone():
                continue
            now = store.now()
            connection.execute(
                "UPDATE decisions SET withdrawn_at = ? WHERE key = ? AND reviewer = ? AND withdrawn_at IS NULL",
                (now, row["key"], author),
            )
            before = CONTENT.dump_json(QUESTION.validate_json(row["question"]).content).decode()
            connection.execute(_REJECT, (request, row["key"], author, before, reason, now))
            count_missing(connection, row["key"])
        return len(rows)


def mark_gold(store: ReviewStore, question_id: str, author: str, *, is_gold: bool) -> None:
    """Make a question gold, or no longer.

    Raises:
        StoreError: when there is no such question, or nobody knows what is right: it is not decided.
    """
    with store.database.transaction() as connection:
        row = row_of(connection, question_id)
        if not is_gold:
            connection.execute("DELETE FROM gold WHERE key = ?", (row["key"],))
        elif row["missing"] or not opinions_on(connection, row):
            raise StoreError(f"{question_id} is not decided: decide it first, so that it is known what is right")
        else:
            connection.execute("INSERT OR IGNORE INTO gold VALUES (?, ?, ?)", (row["key"], author, store.now()))


# --- comments -------------------------------------------------------------------------------------------------------


def comment(store: ReviewStore, question_id: str, author: str, text: str, *, request_id: str) -> None:
    """Store what somebody says about a question, for all who lead; sent twice, it is stored once.

    Raises:
        StoreError: when there is no such question.
    """
    with store.database.transaction() as connection:
        key = row_of(connection, question_id)["key"]
        connection.execute(_COMMENT, (request_id, key, author, "", text, store.now()))
        stored = connection.execute("SELECT key, author FROM comments WHERE request_id = ?", (request_id,)).fetchone()
        if (stored["key"], stored["author"]) != (key, author):
            raise StoreError(f"{OTHER_REQUEST}: nothing was stored")


def settle(store: ReviewStore, number: int) -> None:
    """Mark a comment as done with."""
    with store.database.transaction() as connection:
        connection.execute(
            "UPDATE comments SET settled_at = ? WHERE number = ? AND settled_at IS NULL", (store.now(), number)
        )


def comments_for(store: ReviewStore, question_id: str, reader: str, *, sees_all: bool) -> tuple[Comment, ...]:
    """Return the comments on a question that a person may read: his own and those to him, or all.

    What others think of a question would lead who judges it.

    Raises:
        StoreError: when there is no such question.
    """
    with store.database.reading() as connection:
        found = _comments(connection, row_of(connection, question_id)["key"])
    return tuple(one for one in found if sees_all or reader in (one.author, one.recipient))


def _comments(connection: sqlite3.Connection, key: str) -> tuple[Comment, ...]:
    rows = connection.execute("SELECT * FROM comments WHERE key = ? ORDER BY number", (key,))
    return tuple(
        Comment(
            row["number"], row["author"], row["recipient"], row["text"], row["made_at"], row["settled_at"] is not None
        )
        for row in rows
    )


_EMPTY = {"text": "", "task": "", "person": "", "verdict": "", "state": "", "label": ""}
_FOUND = """
FROM questions q WHERE q.is_present
    AND (:task = '' OR q.task = :task)
    AND (:text = '' OR instr(lower(q.question_id), lower(:text))
        OR instr(lower(json_extract(q.question, '$.content.question')), lower(:text)))
    AND (:label = '' OR EXISTS (
        SELECT 1 FROM json_each(q.question, '$.evidence.feature_ids') WHERE value = :label
    ))
    AND ((:person = '' AND :verdict = '') OR EXISTS (
        SELECT 1 FROM decisions d WHERE d.key = q.key AND d.withdrawn_at IS NULL
            AND (:person = '' OR d.reviewer = :person) AND (:verdict = '' OR d.verdict = :verdict)
    ))
    AND CASE :state
        WHEN 'open' THEN q.is_queued AND q.missing > 0
        WHEN 'contested' THEN q.is_contested
        WHEN 'gold' THEN EXISTS (SELECT 1 FROM gold WHERE key = q.key)
        WHEN 'commented' THEN EXISTS (SELECT 1 FROM comments WHERE key = q.key AND settled_at IS NULL)
        WHEN 'decided' THEN q.missing = 0 AND EXISTS (
            SELECT 1 FROM decisions d
            WHERE d.key = q.key AND d.withdrawn_at IS NULL AND d.verdict <> 'skipped' AND NOT d.is_gold
        )
        ELSE 1
    END
"""
_COMMENT = """
INSERT OR IGNORE INTO comments (request_id, key, author, recipient, text, made_at) VALUES (?, ?, ?, ?, ?, ?)
"""
_REJECT = """
INSERT INTO decisions (request_id, key, reviewer, verdict, before, after, reason, decided_at, is_adjudication)
VALUES (?, ?, ?, 'rejected', ?, NULL, ?, ?, 1)
"""
