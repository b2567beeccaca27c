"""Written questions in the queue of the review: each waits for a second person, who has not seen its key.

The log of what was drawn holds the questions; what is here follows from it, and is made anew when a review is opened.
A question counts as accepted by its author, and two opinions are wanted on it, so it comes to everybody but him.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from rsvqa.annotation.authoring.writing import WRITTEN, question_of_written
from rsvqa.annotation.review.binding import INSERT, make_way, values_of
from rsvqa.annotation.review.content import CONTENT, ReviewQuestion, content_key
from rsvqa.annotation.review.drawing import DrawingTile
from rsvqa.annotation.review.drawn_store import Thing
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.store import BY_WRITING, ReviewStore, count_missing

OPINIONS = 2
"""That of the author, and one more."""

_AFTER_ALL_OTHERS = 2**40  # in the queue, in the order in which they were written
_DECIDE = """
INSERT OR IGNORE INTO decisions (request_id, key, reviewer, verdict, before, after, reason, decided_at)
SELECT ?, ?, ?, 'accepted', ?, ?, '', ? WHERE NOT EXISTS (
    SELECT 1 FROM decisions WHERE key = ? AND reviewer = ? AND withdrawn_at IS NULL
)
"""
_SHOW = """
UPDATE SET is_present = 1, is_queued = 1, is_blind = :is_blind, wanted = :wanted, priority = :priority,
    position = :position, question_id = :question_id, question = :question
"""
_HIDE = "UPDATE questions SET is_present = 0, is_queued = 0 WHERE key = ?"
_WITHDRAW = "UPDATE decisions SET withdrawn_at = ? WHERE key = ? AND withdrawn_at IS NULL AND request_id GLOB ?"


class StandingQuestion(NamedTuple):
    """A written question that stands: its number is that of its last change, its author who made that, and when."""

    number: int
    author: str
    made_at: float
    question: ReviewQuestion


def standing_of(thing: Thing, tile: DrawingTile) -> StandingQuestion:
    """Return a written question of the log as the queue of the review takes it."""
    question = question_of_written(WRITTEN.validate_python(thing.content), tile)
    return StandingQuestion(thing.number, thing.reviewer, thing.made_at, question)


def enter(store: ReviewStore, standing: Iterable[StandingQuestion]) -> None:
    """Put written questions before others than their authors; those that are there already stay as they are."""
    with store.database.transaction() as connection:
        for one in standing:
            _enter(connection, one, is_blind=store.is_blind_where(OPINIONS))


def _enter(connection: sqlite3.Connection, one: StandingQuestion, *, is_blind: bool) -> None:
    entry = QueueEntry(one.question, _AFTER_ALL_OTHERS + one.number, 0, OPINIONS)
    key, content = content_key(one.question), CONTENT.dump_json(one.question.content).decode()
    make_way(connection, entry)
    values = {**values_of(entry), "is_queued": 1, "is_blind": is_blind}
    connection.execute(INSERT.format(_SHOW), values)
    request = f"{BY_WRITING}{one.number}"
    connection.execute(_DECIDE, (request, key, one.author, content, content, one.made_at, key, one.author))
    count_missing(connection, key)


def leave(store: ReviewStore, question: ReviewQuestion) -> None:
    """Take a written question out of the review; what others have decided on it is kept."""
    key = content_key(question)
    with store.database.transaction() as connection:
        connection.execute(_HIDE, (key,))
        connection.execute(_WITHDRAW, (store.now(), key, f"{BY_WRITING}*"))
