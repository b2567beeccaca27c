"""The store of a review: the queue, who works on what, and every decision that was ever taken.

Decisions are only added. One that is undone or taken anew stays in its row, marked as withdrawn. A decision is never
refused because somebody else was quicker: it is one opinion more, and where opinions differ one reviewer more decides.

A decision belongs to the content of a question and not to its id: see `content.content_key`. When a data set was built
or annotated anew, `bind` finds what is still the same, and puts the others before people again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.agreement import Decision, ReviewVerdict, final_decision, is_contested, num_missing
from rsvqa.annotation.review.answers import BlindAnswer
from rsvqa.annotation.review.binding import (
    INSERT,
    UPDATE,
    Binding,
    Bound,
    data_set_of_version_1,
    make_way,
    values_of,
)
from rsvqa.annotation.review.content import (
    CONTENT,
    QUESTION,
    EditableContent,
    ReviewQuestion,
    changes_between,
    content_key,
)
from rsvqa.annotation.review.database import Database, StoreError
from rsvqa.annotation.review.filters import NO_FILTERS, WANTED, Filters
from rsvqa.annotation.review.people import Duty
from rsvqa.annotation.review.queue import Blind, QueueEntry, draw

CLAIM_S = 600.0
"""A question is kept for a reviewer this long after the page last asked for it."""
MAX_UPCOMING = 8
BY_WRITING = "written/"
"""Begins the request id of the decision by which the author of a question stands for it; no page can send one."""


OTHER_REQUEST = "the id of this request stands for another one that was stored before"
"""What is sent twice is stored once; what is not the same is not shown as saved."""


class Assignment(NamedTuple):
    """A question put before a reviewer.

    Attributes:
        question: as it stands in the data set.
        opinions: of others; filled only for who is asked to decide between them.
        former: what was decided on it before it changed; None where nothing was.
        is_blind: it is to be answered before its key is shown.
        own: what the reviewer answered before that.
    """

    question: ReviewQuestion
    opinions: tuple[Decision, ...]
    former: FormerReview | None
    is_blind: bool
    own: BlindAnswer | None


class FormerReview(NamedTuple):
    """What was decided on another version of a question.

    Attributes:
        changes: parts that are not as they were, of `content.changes_between`.
        opinions: on that version.
    """

    changes: tuple[str, ...]
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
        self._gold, self._seed = 0.0, 0
        self._blind: Blind = "none"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    # --- the queue ---

    def bind(self, data_set: str, questions: Iterable[ReviewQuestion]) -> Bound:
        """Hold the store against all questions of a data set and return what became of the decided ones.

        Decisions count for a question of the same content. Where there is none, the question with the same text about
        the same image, else the one with the same id and task, is its new version; it is decided anew, and whoever does
        so sees what was decided. Nothing is forgotten: with the former data set, the former decisions are back.

        Args:
            data_set: its fingerprint; only a store of the first version is asked whether it is the same.
            questions: all of it.
        """
        with self.database.transaction() as connection:
            binding = Binding(connection, is_same_as_version_1=data_set == data_set_of_version_1(connection))
            for position, question in enumerate(questions):
                binding.see(question, position)
            return binding.finish()

    def image_digests(self, shard: str, read: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
        """Return the SHA-256 of each image of a shard, by name; read once, for that takes as long as the file is large.

        Args:
            shard: what tells this state of the file from others.
            read: returns them.
        """
        with self.database.reading() as connection:
            found = connection.execute("SELECT image, digest FROM shard_images WHERE shard = ?", (shard,)).fetchall()
        if found:
            return {row["image"]: row["digest"] for row in found}
        digests = read()
        with self.database.transaction() as connection:
            rows = [(shard, image, digest) for image, digest in digests.items()]
            connection.executemany("INSERT OR IGNORE INTO shard_images VALUES (?, ?, ?)", rows)
        return digests

    def fill(self, entries: Iterable[QueueEntry], *, blind: Blind = "none", gold: float = 0.0, seed: int = 0) -> None:
        """Make `entries` the queue, together with what has changed since it was decided.

        Decisions on questions that are no longer in the queue are kept.

        Args:
            entries: the questions.
            blind: which of them are answered before their key is shown.
            gold: share of what is put before a person from then on that are gold questions.
            seed: of the draw when, and of which.
        """
        self._gold, self._seed, self._blind = gold, seed, blind
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE questions SET is_queued = (is_present AND former IS NOT NULL), "
                "priority = CASE WHEN former IS NULL THEN priority ELSE 0 END"
            )
            for entry in entries:
                make_way(connection, entry)
                values = {**values_of(entry), "is_queued": 1, "is_blind": self.is_blind_where(entry.wanted)}
                connection.execute(INSERT.format(UPDATE), values)
                count_missing(connection, content_key(entry.question))

    def is_blind_where(self, wanted: int) -> bool:
        """Return whether a question of the queue on which so many opinions are wanted is answered first."""
        return self._blind == "all" or (self._blind == "overlap" and wanted > 1)

    def add(self, entries: Iterable[QueueEntry]) -> None:
        """Make questions known on which decisions come from elsewhere; those in the queue stay as they are."""
        with self.database.transaction() as connection:
            for entry in entries:
                make_way(connection, entry)
                connection.execute(INSERT.format("NOTHING"), {**values_of(entry), "is_queued": 0})

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
            values = {**filters.values, "reviewer": reviewer, "now": now}
            row = (
                self._sown(connection, values)
                or connection.execute(_MINE, values).fetchone()
                or connection.execute(_RETURNED, values).fetchone()
                or connection.execute(_NEXT, values).fetchone()
            )
            connection.execute(_LET_GO, {"key": row and row["key"], "reviewer": reviewer, "now": now})
            if row is None:
                return None
            _claim(connection, row["key"], reviewer, now)
            return _assignment(connection, row, reviewer, may_adjudicate=filters.may_adjudicate)

    def _sown(self, connection: sqlite3.Connection, values: Mapping[str, object]) -> sqlite3.Row | None:
        """Return the gold question whose turn it is; None when it is that of another question.

        Both follow from the seed, the person and how often he has decided, so a reload shows the same question.
        """
        reviewer = str(values["reviewer"])
        taken = connection.execute("SELECT count(*) FROM decisions WHERE reviewer = ?", (reviewer,)).fetchone()[0]
        if draw(self._seed, "gold", f"{reviewer}/{taken}") >= self._gold:
            return None
        rows = connection.execute(_GOLD, values).fetchall()
        return min(rows, key=lambda row: draw(self._seed, "which gold", f"{reviewer}/{row['key']}"), default=None)

    def upcoming(self, reviewer: str, filters: Filters = NO_FILTERS) -> tuple[ReviewQuestion, ...]:
        """Return the questions from which a reviewer's next one will come, unless much happens before.

        Each of those at work takes one of the first that are free; so there are as many as reviewers, up to
        `MAX_UPCOMING`.
        """
        values = {**filters.values, "reviewer": reviewer, "now": self.now(), "most": MAX_UPCOMING}
        with self.database.reading() as connection:
            rows = connection.execute(_UPCOMING, values).fetchall()
        return tuple(QUESTION.validate_json(row["question"]) for row in rows)

    def open_question(self, reviewer: str, question_id: str, *, may_adjudicate: bool = True) -> Assignment:
        """Claim and return one question whatever its state, for a reviewer who comes back to it.

        Args:
            reviewer: a name.
            question_id: of a question of the store.
            may_adjudicate: where opinions differ, he is asked, and so he sees them and the key at once.

        Raises:
            StoreError: when there is no such question.
        """
        now = self.now()
        with self.database.transaction() as connection:
            row = row_of(connection, question_id)
            connection.execute(_LET_GO, {"key": row["key"], "reviewer": reviewer, "now": now})
            if may_adjudicate or not row["is_contested"]:  # else it waits for who decides, and is not kept from him
                _claim(connection, row["key"], reviewer, now)
            return _assignment(connection, row, reviewer, may_adjudicate=may_adjudicate)

    def has_question(self, question_id: str) -> bool:
        """Return whether a question is in the review."""
        with self.database.reading() as connection:
            found = connection.execute("SELECT 1 FROM questions WHERE is_present AND question_id = ?", (question_id,))
            return found.fetchone() is not None

    def question(self, question_id: str) -> ReviewQuestion:
        """Return one question as it stands in the data set.

        Raises:
            StoreError: when there is no such question.
        """
        with self.database.reading() as connection:
            return QUESTION.validate_json(row_of(connection, question_id)["question"])

    def was_dealt(self, question_id: str, reviewer: str, duty: Duty) -> bool:
        """Return whether a question was ever put before a reviewer, or decided by him, and lies within a duty."""
        values = {**Filters(duty=duty).values, "question_id": question_id, "reviewer": reviewer}
        with self.database.reading() as connection:
            return connection.execute(_DEALT, values).fetchone() is not None

    def has_changed(self, question_id: str, reviewer: str) -> bool:
        """Return whether a reviewer has had another version of a question before him, and not the present one."""
        with self.database.reading() as connection:
            values = {"question_id": question_id, "reviewer": reviewer}
            return connection.execute(_CHANGED, values).fetchone() is not None

    def renew(self, reviewer: str, question_id: str) -> None:
        """Keep a claimed question for another `CLAIM_S`."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE claims SET until = ? WHERE reviewer = ? AND key IN "
                "(SELECT key FROM questions WHERE is_present AND question_id = ?)",
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
        seconds: float | None = None,
        may_adjudicate: bool = True,
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
            seconds: for which it was open, where another program has taken the time; else since it was put before him.
            may_adjudicate: his opinion decides where those of others differ.

        Raises:
            StoreError: when there is no such question, or the request's id stands for another decision.
        """
        now = self.now() if decided_at is None else decided_at
        with self.database.transaction() as connection:
            if known := connection.execute(_OF_REQUEST, (request_id,)).fetchone():
                if (known["question_id"], known["reviewer"]) != (question_id, reviewer):
                    raise StoreError(f"{OTHER_REQUEST}: nothing was stored")
                return int(known["number"])
            row = row_of(connection, question_id)
            key, question = row["key"], QUESTION.validate_json(row["question"])
            is_gold = connection.execute(_IS_GOLD, {"key": key, "reviewer": reviewer}).fetchone() is not None
            connection.execute(_WITHDRAW_OWN, (now, key, reviewer))
            before, left = CONTENT.dump_json(question.content), None if after is None else CONTENT.dump_json(after)
            opened = _opened_at(connection, key, reviewer) if seconds is None else now - seconds
            others = _others(connection, row, reviewer)
            is_asked = may_adjudicate and verdict != "skipped" and is_contested(others, wanted=row["wanted"])
            values = (request_id, key, reviewer, verdict, before.decode(), left and left.decode(), reason, now, opened)
            number = connection.execute(_DECIDE, (*values, is_asked, is_gold)).lastrowid
            connection.execute("DELETE FROM claims WHERE key = ? AND reviewer = ?", (key, reviewer))
            if verdict != "skipped":
                connection.execute(_SETTLE_RETURNED, (now, key, reviewer))
            count_missing(connection, key)
        assert number is not None
        return number

    def answer(
        self, question_id: str, reviewer: str, answer: str, bbox: Box | None, *, may_adjudicate: bool = True
    ) -> Assignment:
        """Store what a reviewer answers before he sees the key, and return the question with all that is shown then.

        The first answer stands: whoever has seen the key cannot answer anew.

        Raises:
            StoreError: when there is no such question.
        """
        now = self.now()
        with self.database.transaction() as connection:
            row = row_of(connection, question_id)
            opened = _opened_at(connection, row["key"], reviewer)
            values = (row["key"], reviewer, answer, json.dumps(bbox), opened, now)
            connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)", values)
            _claim(connection, row["key"], reviewer, now)
            return _assignment(connection, row, reviewer, may_adjudicate=may_adjudicate)

    def is_blind(self, question_id: str, reviewer: str, *, may_adjudicate: bool = True) -> bool:
        """Return whether a reviewer must answer a question before he sees its key.

        Raises:
            StoreError: when there is no such question.
        """
        with self.database.reading() as connection:
            row = row_of(connection, question_id)
            return _assignment(connection, row, reviewer, may_adjudicate=may_adjudicate).is_blind

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
            row = _own_decision(connection, reviewer, number)
            connection.execute(
                "UPDATE decisions SET withdrawn_at = ? WHERE number = ? AND withdrawn_at IS NULL", (self.now(), number)
            )
            count_missing(connection, row["key"])
            return _decision(row)

    def decided_question(self, reviewer: str, number: int) -> str:
        """Return the id of the question on which a reviewer took a decision.

        Raises:
            StoreError: when he took no such decision.
        """
        with self.database.reading() as connection:
            return str(_own_decision(connection, reviewer, number)["question_id"])

    def forget_skips(self, reviewer: str) -> int:
        """Withdraw all that a reviewer skipped, so that it comes again, and return how many those are."""
        with self.database.transaction() as connection:
            return connection.execute(
                "UPDATE decisions SET withdrawn_at = ? "
                "WHERE reviewer = ? AND verdict = 'skipped' AND withdrawn_at IS NULL",
                (self.now(), reviewer),
            ).rowcount

    def decisions(self) -> tuple[Decision, ...]:
        """Return every decision that stands on a question of the data set, in the order in which they were stored.

        Skipped ones included.
        """
        return self._standing(is_gold=False)

    def gold_decisions(self) -> tuple[Decision, ...]:
        """Return what people decided on gold questions; it bears on them, and not on the questions."""
        return self._standing(is_gold=True)

    def _standing(self, *, is_gold: bool) -> tuple[Decision, ...]:
        with self.database.reading() as connection:
            rows = connection.execute(
                f"{_ON_PRESENT} AND withdrawn_at IS NULL AND is_gold = ? ORDER BY number", (is_gold,)
            ).fetchall()
        return tuple(map(_decision, rows))

    def answers(self) -> tuple[tuple[str, str, BlindAnswer], ...]:
        """Return what was answered before the key was seen: id of the question, who, and the answer."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT a.*, q.question_id FROM answers a JOIN questions q USING (key) WHERE q.is_present "
                "ORDER BY q.position, reviewer"
            ).fetchall()
        return tuple((row["question_id"], row["reviewer"], _blind_answer(row)) for row in rows)

    def tasks(self) -> dict[str, str]:
        """Return the task of each question by its id."""
        with self.database.reading() as connection:
            return dict(connection.execute("SELECT question_id, task FROM questions WHERE is_present").fetchall())

    def final_decisions(self) -> dict[str, Decision]:
        """Return, by question, the decision that stands where no more opinion is wanted."""
        with self.database.reading() as connection:
            wanted = dict(connection.execute("SELECT question_id, wanted FROM questions WHERE is_present").fetchall())
        opinions: dict[str, list[Decision]] = {}
        for decision in self.decisions():
            if decision.verdict != "skipped":
                opinions.setdefault(decision.question_id, []).append(decision)
        finals = {key: final_decision(found, wanted=wanted[key]) for key, found in opinions.items()}
        return {key: decision for key, decision in finals.items() if decision is not None}


# --- statements -----------------------------------------------------------------------------------------------------

_ON_PRESENT = """
SELECT d.*, q.question_id, q.question FROM decisions d JOIN questions q USING (key) WHERE q.is_present
"""

_WAITING = "".join(
    (
        """
SELECT q.* FROM questions q LEFT JOIN claims c ON c.key = q.key AND c.reviewer = :reviewer
WHERE q.is_queued AND q.missing > 0
    AND NOT EXISTS (
        SELECT 1 FROM decisions
        WHERE key = q.key AND withdrawn_at IS NULL AND reviewer = :reviewer
    )
    AND (:may_adjudicate OR NOT q.is_contested)
    AND (
        NOT EXISTS (SELECT 1 FROM comments WHERE key = q.key AND settled_at IS NULL AND recipient <> '')
        OR EXISTS (SELECT 1 FROM comments WHERE key = q.key AND settled_at IS NULL AND recipient = :reviewer)
    )
""",
        WANTED,
    )
)
_MINE = _WAITING + "AND c.until > :now LIMIT 1"
_RETURNED = "".join(
    (
        _WAITING,
        "AND q.key IN (SELECT key FROM comments WHERE recipient = :reviewer AND settled_at IS NULL) ",
        "ORDER BY q.priority, q.position LIMIT 1",
    )
)
"""What was returned to a reviewer comes to him, before anything else, and to nobody else."""
_NEXT = "".join(
    (
        _WAITING,
        "AND q.missing > (SELECT count(*) FROM claims WHERE key = q.key AND reviewer <> :reviewer ",
        "AND until > :now) ORDER BY q.priority, q.position LIMIT 1",
    )
)
_GOLD = "".join(
    (
        "SELECT q.* FROM questions q JOIN gold USING (key) WHERE q.is_present AND q.missing = 0 ",
        "AND NOT EXISTS (SELECT 1 FROM decisions WHERE key = q.key AND withdrawn_at IS NULL AND reviewer = :reviewer) ",
        WANTED,
    )
)
_IS_GOLD = """
SELECT 1 FROM gold WHERE key = :key AND NOT EXISTS (
    SELECT 1 FROM decisions WHERE key = :key AND reviewer = :reviewer AND withdrawn_at IS NULL AND NOT is_gold
)
"""
"""Who has decided what is known about a gold question may do so anew."""
_UPCOMING = "".join(
    (
        _WAITING,
        "AND c.until IS NULL ",
        "AND q.missing > (SELECT count(*) FROM claims WHERE key = q.key AND until > :now) ",
        "ORDER BY q.priority, q.position ",
        "LIMIT (SELECT min(:most, max(1, count(DISTINCT reviewer))) FROM claims WHERE until > :now)",
    )
)

_DEALT = "".join(
    (
        "SELECT 1 FROM questions q WHERE q.is_present AND q.question_id = :question_id AND (",
        "EXISTS (SELECT 1 FROM dealt WHERE key = q.key AND reviewer = :reviewer) ",
        "OR EXISTS (SELECT 1 FROM decisions WHERE key = q.key AND reviewer = :reviewer))",
        WANTED,
    )
)
"""A claim ends, and a page may be left open for longer; what was put before somebody once stays his to decide."""

_CHANGED = """
SELECT 1 FROM questions q, dealt d CROSS JOIN questions o ON o.key = d.key
WHERE o.question_id = q.question_id AND q.question_id = :question_id AND q.is_present AND NOT o.is_present
    AND d.reviewer = :reviewer
    AND NOT EXISTS (SELECT 1 FROM dealt WHERE key = q.key AND reviewer = :reviewer)
"""

_LET_GO = "DELETE FROM claims WHERE until <= :now OR (reviewer = :reviewer AND key IS NOT :key)"
"""A page that is loaded anew asks for the question that is open: it was opened when it was first shown."""
_SETTLE_RETURNED = "UPDATE comments SET settled_at = ? WHERE key = ? AND recipient = ? AND settled_at IS NULL"
_OF_REQUEST = "SELECT number, reviewer, question_id FROM decisions JOIN questions USING (key) WHERE request_id = ?"
_WITHDRAW_OWN = "UPDATE decisions SET withdrawn_at = ? WHERE key = ? AND reviewer = ? AND withdrawn_at IS NULL"
_DECIDE = """
INSERT INTO decisions (request_id, key, reviewer, verdict, before, after, reason, decided_at, opened_at,
    is_adjudication, is_gold)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def row_of(connection: sqlite3.Connection, question_id: str) -> sqlite3.Row:
    """Return the row of a question of the data set.

    Raises:
        StoreError: when there is no such question.
    """
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM questions WHERE is_present AND question_id = ?", (question_id,)
    ).fetchone()
    if row is None:
        raise StoreError(f"no question {question_id!r} in this review")
    return row


def _own_decision(connection: sqlite3.Connection, reviewer: str, number: int) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(
        f"{_ON_PRESENT} AND number = ? AND reviewer = ?", (number, reviewer)
    ).fetchone()
    if row is None:
        raise StoreError(f"{reviewer} took no decision number {number} on a question as it is now")
    return row


def _claim(connection: sqlite3.Connection, key: str, reviewer: str, now: float) -> None:
    connection.execute(
        "INSERT INTO claims VALUES (?, ?, ?, ?) ON CONFLICT (key, reviewer) DO UPDATE SET until = excluded.until",
        (key, reviewer, now + CLAIM_S, now),
    )
    connection.execute("INSERT OR IGNORE INTO dealt VALUES (?, ?)", (reviewer, key))


def _opened_at(connection: sqlite3.Connection, key: str, reviewer: str) -> float | None:
    claim = connection.execute(
        "SELECT opened_at FROM claims WHERE key = ? AND reviewer = ?", (key, reviewer)
    ).fetchone()
    return None if claim is None else float(claim["opened_at"])


def _assignment(connection: sqlite3.Connection, row: sqlite3.Row, reviewer: str, *, may_adjudicate: bool) -> Assignment:
    question = QUESTION.validate_json(row["question"])
    others = _others(connection, row, reviewer)
    is_asked = may_adjudicate and is_contested(others, wanted=row["wanted"])
    opinions = tuple(others) if is_asked else ()
    own = _own_answer(connection, row["key"], reviewer)
    is_blind = bool(row["is_blind"]) and own is None and not is_asked
    return Assignment(question, opinions, _former(connection, row["former"], question), is_blind, own)


def _own_answer(connection: sqlite3.Connection, key: str, reviewer: str) -> BlindAnswer | None:
    row = connection.execute("SELECT * FROM answers WHERE key = ? AND reviewer = ?", (key, reviewer)).fetchone()
    return None if row is None else _blind_answer(row)


def _blind_answer(row: sqlite3.Row) -> BlindAnswer:
    bbox = json.loads(row["bbox"])
    seconds = None if row["opened_at"] is None else row["answered_at"] - row["opened_at"]
    return BlindAnswer(answer=row["answer"], bbox=None if bbox is None else Box(*bbox), seconds=seconds)


def _others(connection: sqlite3.Connection, row: sqlite3.Row, reviewer: str) -> list[Decision]:
    """Return the opinions on a question of the store but one reviewer's own."""
    return [opinion for opinion in opinions_on(connection, row) if opinion.reviewer != reviewer]


def _former(connection: sqlite3.Connection, key: str | None, question: ReviewQuestion) -> FormerReview | None:
    row = connection.execute("SELECT * FROM questions WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    old = QUESTION.validate_json(row["question"])
    return FormerReview(changes_between(old, question), tuple(opinions_on(connection, row)))


def opinions_on(connection: sqlite3.Connection, row: sqlite3.Row) -> list[Decision]:
    """Return the opinions on a question of the store."""
    rows = connection.execute(
        "SELECT d.*, q.question_id, q.question FROM decisions d JOIN questions q USING (key) "
        "WHERE d.key = ? AND withdrawn_at IS NULL AND verdict <> 'skipped' AND NOT is_gold ORDER BY number",
        (row["key"],),
    )
    return [_decision(found) for found in rows]


def count_missing(connection: sqlite3.Connection, key: str) -> None:
    """Store how many opinions a question still needs; the queue asks for nothing else."""
    row = connection.execute("SELECT * FROM questions WHERE key = ?", (key,)).fetchone()
    opinions, wanted = opinions_on(connection, row), row["wanted"]
    values = (num_missing(opinions, wanted=wanted), is_contested(opinions, wanted=wanted), key)
    connection.execute("UPDATE questions SET missing = ?, is_contested = ? WHERE key = ?", values)


def _decision(row: sqlite3.Row) -> Decision:
    """Return a decision as it bears on its question as that stands now."""
    decision = Decision(
        number=row["number"],
        question_id=row["question_id"],
        reviewer=row["reviewer"],
        verdict=row["verdict"],
        before=CONTENT.validate_json(row["before"]),
        after=None if row["after"] is None else CONTENT.validate_json(row["after"]),
        reason=row["reason"],
        decided_at=row["decided_at"],
        opened_at=row["opened_at"],
        is_adjudication=bool(row["is_adjudication"]),
    )
    return decision.on(row["question_id"], QUESTION.validate_json(row["question"]).content)
