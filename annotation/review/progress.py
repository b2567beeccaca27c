"""How far a review is: counts, pace, and how well reviewers agree, for the page and the command line."""

from __future__ import annotations

import sqlite3
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rsvqa.annotation.review.agreement import VERDICTS, Decision, cohens_kappa, fleiss_kappa
from rsvqa.annotation.review.filters import NO_FILTERS, WANTED, Filters
from rsvqa.annotation.review.store import BY_WRITING, ReviewStore
from rsvqa.annotation.taxonomy import TASKS

PACE_OVER = 40
"""Latest decisions of a reviewer from which the pace is taken."""
PAUSE_S = 300.0
"""A longer time between two decisions is a break, not work."""
ACTIVE_S = 600.0
"""A reviewer who decided within this time counts as at work."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What one reviewer sees of how far the review is.

    Attributes:
        total, done: questions in the queue, and those of them that need no more opinions; with the filters given.
        mine: opinions of this reviewer that stand, over the whole review.
        skipped: questions that this reviewer skipped.
        seconds_each: median time between his latest decisions, breaks left out; None before there are three.
        seconds_left: for what is not done, at this pace, shared among those at work; None without a pace.
        num_active: reviewers at work, this one included.
        last_decision: number of his latest decision that stands, which can be undone.
    """

    total: int
    done: int
    mine: int
    skipped: int
    seconds_each: float | None
    seconds_left: float | None
    num_active: int
    last_decision: int | None


def read_progress(store: ReviewStore, reviewer: str, filters: Filters = NO_FILTERS) -> Progress:
    """Return how far the review is, as `reviewer` sees it."""
    now = store.now()
    with store.database.reading() as connection:
        total, missing, done = connection.execute(_COUNTS, filters.values).fetchone()
        verdicts: Mapping[str, int] = dict(connection.execute(_VERDICTS, (reviewer,)).fetchall())
        latest = connection.execute(_LATEST, (reviewer, f"{BY_WRITING}*", PACE_OVER)).fetchall()
        active = {row["reviewer"] for row in connection.execute(_ACTIVE, (now - ACTIVE_S,))} | {reviewer}
    seconds_each = pace([row["decided_at"] for row in latest])
    return Progress(
        total=total,
        done=done,
        mine=sum(count for verdict, count in verdicts.items() if verdict != "skipped"),
        skipped=verdicts.get("skipped", 0),
        seconds_each=seconds_each,
        seconds_left=None if seconds_each is None else seconds_each * missing / len(active),
        num_active=len(active),
        last_decision=latest[0]["number"] if latest else None,
    )


def pace(times: Sequence[float]) -> float | None:
    """Return the median of the seconds between neighbouring times, breaks left out; None with fewer than two gaps."""
    gaps = [abs(later - earlier) for earlier, later in pairwise(times)]
    gaps = [gap for gap in gaps if gap <= PAUSE_S]
    return statistics.median(gaps) if len(gaps) >= 2 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """Decisions on one task.

    Attributes:
        queued, done: questions in the queue, and those that need no more opinions.
        verdicts: opinions that stand, by verdict; skipped ones included.
        reasons: of rejections, most frequent first.
        num_double: questions with two opinions or more.
        agreement: share of them on which the first two reviewers gave the same verdict; None without any.
        kappa: Cohen's, of the same pairs; None without any, or where it is not defined.
        num_several: questions with three opinions or more.
        fleiss: Fleiss' kappa of all opinions on those; None without any, or where it is not defined.
        num_disputed: questions on which no more than half agree, and that wait for who decides.
    """

    queued: int
    done: int
    verdicts: Mapping[str, int]
    reasons: Mapping[str, int]
    num_double: int
    agreement: float | None
    kappa: float | None
    num_several: int
    fleiss: float | None
    num_disputed: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Decisions by task in the order of the taxonomy, of all tasks together, and opinions by reviewer."""

    tasks: Mapping[str, TaskSummary]
    overall: TaskSummary
    reviewers: Mapping[str, int]


def read_summary(store: ReviewStore, *, only: str | None = None) -> Summary:
    """Return what has been decided so far, by one person where `only` is given."""
    decisions = [decision for decision in store.decisions() if only in (None, decision.reviewer)]
    with store.database.reading() as connection:
        rows = connection.execute(
            "SELECT question_id, task, missing, is_queued, is_contested FROM questions WHERE is_present"
        ).fetchall()
    task_of = {row["question_id"]: row["task"] for row in rows}
    queued = [row for row in rows if row["is_queued"]]
    names = [name for name in TASKS if name in set(task_of.values())]
    return Summary(
        tasks={
            name: _summarise(
                [row for row in queued if row["task"] == name],
                [decision for decision in decisions if task_of[decision.question_id] == name],
            )
            for name in names
        },
        overall=_summarise(queued, decisions),
        reviewers=dict(sorted(Counter(d.reviewer for d in decisions if d.verdict != "skipped").items())),
    )


def _summarise(queued: Sequence[sqlite3.Row], decisions: Sequence[Decision]) -> TaskSummary:
    verdicts = Counter(decision.verdict for decision in decisions)
    reasons = Counter(decision.reason for decision in decisions if decision.verdict == "rejected")
    pairs = first_pairs(decisions)
    labels = [(one.verdict, other.verdict) for one, other in pairs]
    several = [found for found in _blind_verdicts(decisions).values() if len(found) >= _SEVERAL]
    return TaskSummary(
        queued=len(queued),
        done=sum(row["missing"] == 0 for row in queued),
        verdicts={verdict: verdicts[verdict] for verdict in VERDICTS},
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        num_double=len(pairs),
        agreement=sum(one == other for one, other in labels) / len(labels) if labels else None,
        kappa=cohens_kappa(labels),
        num_several=len(several),
        fleiss=fleiss_kappa(several),
        num_disputed=sum(row["is_contested"] for row in queued),
    )


_SEVERAL = 3
"""Opinions on a question from which Fleiss' kappa says more than Cohen's."""


def _blind_verdicts(decisions: Sequence[Decision]) -> dict[str, list[str]]:
    """Return the verdicts on each question of those who did not see each other's opinions."""
    found: dict[str, list[str]] = {}
    for decision in decisions:
        if decision.verdict != "skipped" and not decision.is_adjudication:
            found.setdefault(decision.question_id, []).append(decision.verdict)
    return found


def first_pairs(decisions: Sequence[Decision]) -> list[tuple[Decision, Decision]]:
    """Return the first two opinions on each question that has two.

    The two are in the order of their reviewers' names: with two reviewers each then is one rater throughout, as Cohen's
    kappa wants it. Who decided between others saw what they said, so his opinion says nothing about agreement.
    """
    opinions: dict[str, list[Decision]] = {}
    for decision in decisions:
        if decision.verdict != "skipped" and not decision.is_adjudication:
            opinions.setdefault(decision.question_id, []).append(decision)
    pairs = []
    for found in opinions.values():
        if len(found) >= 2:
            one, other = sorted(found[:2], key=lambda decision: decision.reviewer)
            pairs.append((one, other))
    return pairs


@dataclass(frozen=True, slots=True)
class Choices:
    """What the queue may be filtered by: values with their numbers of questions."""

    tasks: Mapping[str, int]
    sources: Mapping[str, int]
    splits: Mapping[str, int]
    num_disputed: int


def read_choices(store: ReviewStore) -> Choices:
    """Return what the queue holds, by task in the order of the taxonomy, by source, by split, and models' disputes."""
    with store.database.reading() as connection:
        rows = connection.execute("SELECT task, source, split, is_disputed FROM questions WHERE is_queued").fetchall()
    tasks = Counter(row["task"] for row in rows)
    return Choices(
        tasks={name: tasks[name] for name in TASKS if name in tasks},
        sources=dict(sorted(Counter(row["source"] for row in rows).items())),
        splits=dict(sorted(Counter(row["split"] for row in rows).items())),
        num_disputed=sum(row["is_disputed"] for row in rows),
    )


_COUNTS = "".join(
    (
        """
SELECT count(*), coalesce(sum(missing), 0), coalesce(sum(missing = 0), 0) FROM questions q
WHERE is_queued
""",
        WANTED,
    )
)
_VERDICTS = (
    "SELECT verdict, count(*) FROM decisions JOIN questions USING (key) "
    "WHERE is_present AND reviewer = ? AND withdrawn_at IS NULL GROUP BY verdict"
)
_LATEST = (
    "SELECT number, decided_at FROM decisions JOIN questions USING (key) "
    "WHERE is_present AND reviewer = ? AND withdrawn_at IS NULL AND request_id NOT GLOB ? "
    "ORDER BY number DESC LIMIT ?"
)
"""What was written is taken back where it was written, and its time is no time for a decision."""
_ACTIVE = "SELECT DISTINCT reviewer FROM decisions WHERE decided_at > ?"
