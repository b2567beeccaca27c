"""A store held against a data set: which decisions still stand, and which questions come before people again."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from rsvqa.annotation.review.content import QUESTION, ReviewQuestion, content_key, kin_key
from rsvqa.annotation.review.database import FROM_VERSION_1
from rsvqa.annotation.review.queue import QueueEntry


class Bound(NamedTuple):
    """What became of the questions with decisions when the store was held against a data set.

    Attributes:
        kept: how many are in the data set as they were decided.
        changed: ids, as they are now, of those that are there otherwise: they are to be decided again.
        gone: how many are in the data set no more.
    """

    kept: int
    changed: tuple[str, ...]
    gone: int


class Binding:
    """Holds a store against the questions of a data set, seen one by one."""

    def __init__(self, connection: sqlite3.Connection, *, is_same_as_version_1: bool) -> None:
        self._connection = connection
        self._is_same_as_version_1 = is_same_as_version_1
        connection.execute("UPDATE questions SET is_present = 0, is_queued = 0, former = NULL")
        self._known = {row["key"] for row in connection.execute("SELECT key FROM questions")}
        self._decided = {row["key"]: row for row in connection.execute(_DECIDED)}
        self._kins = {row["kin"] for row in self._decided.values()}
        self._names = {row["question_id"] for row in self._decided.values()}
        self._here: set[str] = set()
        self._by_kin: dict[str, QueueEntry] = {}
        self._by_name: dict[str, QueueEntry] = {}

    def see(self, question: ReviewQuestion, position: int) -> None:
        """Take note of a question; one that the store knows is what it is now."""
        entry, key, kin = QueueEntry(question, position, 0, 1), content_key(question), kin_key(question)
        if self._is_same_as_version_1:
            self._rekey(FROM_VERSION_1 + question.question_id, key)
        if key in self._known:
            self._here.add(key)
            self._connection.execute(INSERT.format(_SHOW), {**values_of(entry), "is_queued": 0})
        if kin in self._kins:
            self._by_kin.setdefault(kin, entry)
        if question.question_id in self._names:
            self._by_name[question.question_id] = entry

    def _rekey(self, old: str, key: str) -> None:
        if old in self._known and key not in self._known:
            self._connection.execute("UPDATE questions SET key = ? WHERE key = ?", (key, old))
            self._known.add(key)
            if old in self._decided:
                self._decided[key] = self._decided.pop(old)

    def finish(self) -> Bound:
        """Put before people again what has changed since it was decided, and return the counts."""
        kept = [key for key in self._decided if key in self._here]
        changed: dict[str, ReviewQuestion] = {}
        num_gone = 0
        for key, row in self._decided.items():
            if key in self._here:
                continue
            entry = self._by_kin.get(row["kin"]) or self._by_name.get(row["question_id"])
            if entry is None or entry.question.task != row["task"]:
                num_gone += 1
                continue
            new = content_key(entry.question)
            is_decided = new in kept or entry.question.review not in ("none", "needed")
            if not is_decided and new not in changed:
                changed[new] = entry.question
                values = {**values_of(entry), "is_queued": 0, "former": key}
                self._connection.execute(INSERT.format(_SHOW), values)
        return Bound(len(kept), tuple(question.question_id for question in changed.values()), num_gone)


def data_set_of_version_1(connection: sqlite3.Connection) -> str | None:
    """Return the fingerprint of the data set of a store that the first version has made."""
    row = connection.execute("SELECT value FROM facts WHERE name = 'data_set'").fetchone()
    return None if row is None else str(row["value"])


def make_way(connection: sqlite3.Connection, entry: QueueEntry) -> None:
    """Let no two questions have one id, should the data set have changed since it was bound."""
    connection.execute(
        "UPDATE questions SET is_present = 0, is_queued = 0 WHERE is_present AND question_id = ? AND key <> ?",
        (entry.question.question_id, content_key(entry.question)),
    )


def values_of(entry: QueueEntry) -> dict[str, object]:
    """Return values for `INSERT`, all but whether the question is in the queue."""
    question = entry.question
    return {
        "key": content_key(question),
        "question_id": question.question_id,
        "kin": kin_key(question),
        "former": None,
        "position": entry.position,
        "priority": entry.priority,
        "task": question.task,
        "source": question.source,
        "split": question.split,
        "is_disputed": question.is_disputed,
        "wanted": entry.wanted,
        "is_blind": False,
        "question": QUESTION.dump_json(question).decode(),
    }


INSERT = """
INSERT INTO questions (key, question_id, kin, former, is_present, position, priority, task, source, split, is_disputed,
    wanted, missing, is_queued, question, is_blind)
VALUES (:key, :question_id, :kin, :former, 1, :position, :priority, :task, :source, :split, :is_disputed, :wanted,
    :wanted, :is_queued, :question, :is_blind)
ON CONFLICT (key) DO {}
"""
UPDATE = (
    "UPDATE SET is_queued = 1, is_present = 1, position = :position, wanted = :wanted, is_blind = :is_blind, "
    "priority = CASE WHEN former IS NULL THEN :priority ELSE 0 END"
)
_SHOW = """
UPDATE SET is_present = 1, question_id = :question_id, kin = :kin, former = :former, position = :position,
    source = :source, split = :split, is_disputed = :is_disputed, question = :question
"""
_DECIDED = """
SELECT key, question_id, kin, task FROM questions
WHERE key IN (SELECT key FROM decisions WHERE withdrawn_at IS NULL AND verdict <> 'skipped' AND NOT is_gold)
ORDER BY position
"""
