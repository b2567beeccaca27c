"""How well and how fast people work: agreement with gold questions and with each other, time, and haste.

Gold questions are ones that somebody has decided before; whoever gets one cannot tell it from others.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from rsvqa.annotation.review.agreement import VERDICTS, Decision, cohens_kappa
from rsvqa.annotation.review.answers import BlindAnswer, is_key
from rsvqa.annotation.review.progress import PAUSE_S, first_pairs
from rsvqa.annotation.review.store import ReviewStore

HASTY_SHARE = 0.25
"""A decision in less than this share of the usual time on its task is flagged ..."""
HASTY_S = 1.5
"""... and one in less than this many seconds always is: nobody reads a question in that time."""
MIN_TIMES = 5
"""Decisions on a task from which its usual time is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one person did on one task; shares and medians are None over nothing.

    Attributes:
        person: a name.
        task: name of the task; empty for all tasks together.
        decided: opinions that stand, those on gold questions included; skipped ones are none.
        accepted, fixed, rejected, skipped: how many of each.
        fix_rate: share of `decided` that are fixes.
        seconds: median time for a decision, breaks left out.
        hours: sum of those times.
        hasty: decisions that took less time than is plausible.
        num_gold: opinions on gold questions.
        gold_agreement: share of them that want the same as the known decision.
        num_blind: answers given before the key was seen, texts left out.
        blind_agreement: share of them that were the key.
        num_double: questions that another person judged too, without seeing this opinion.
        kappa: Cohen's, of the verdicts on those.
    """

    person: str
    task: str
    decided: int
    accepted: int
    fixed: int
    rejected: int
    skipped: int
    fix_rate: float | None
    seconds: float | None
    hours: float
    hasty: int
    num_gold: int
    gold_agreement: float | None
    num_blind: int
    blind_agreement: float | None
    num_double: int
    kappa: float | None


def read_work(store: ReviewStore) -> list[Work]:
    """Return what each person did: first on all tasks together, then task by task, in the order of their names."""
    view = _View(store)
    return [
        view.work(person, task)
        for person in view.people
        for task in ("", *sorted({view.tasks[d.question_id] for d in view.of(person)}))
    ]


def is_hasty(seconds: float | None, usual: float | None) -> bool:
    """Return whether a decision took less time than is plausible, given the usual time on its task."""
    return seconds is not None and seconds < max(HASTY_S, HASTY_SHARE * (usual or 0.0))


def usual_times(decisions: Iterable[Decision], tasks: Mapping[str, str]) -> dict[str, float]:
    """Return the median time for a decision by task, breaks left out; only where there are `MIN_TIMES`."""
    times: dict[str, list[float]] = {}
    for decision in decisions:
        if decision.verdict != "skipped" and decision.seconds is not None and decision.seconds <= PAUSE_S:
            times.setdefault(tasks[decision.question_id], []).append(decision.seconds)
    return {task: statistics.median(found) for task, found in times.items() if len(found) >= MIN_TIMES}


class _View:
    """All that is known of people's work, read once."""

    def __init__(self, store: ReviewStore) -> None:
        self.decisions = store.decisions()
        self.gold = store.gold_decisions()
        self.known = store.final_decisions()
        self.tasks = store.tasks()
        self.usual = usual_times((*self.decisions, *self.gold), self.tasks)
        self.pairs = first_pairs(self.decisions)
        self.answers: list[tuple[str, str, bool]] = []
        for question_id, person, answer in store.answers():
            right = _is_key(store, question_id, answer)
            if right is not None:
                self.answers.append((question_id, person, right))

    @property
    def people(self) -> list[str]:
        return sorted({decision.reviewer for decision in (*self.decisions, *self.gold)})

    def of(self, person: str) -> list[Decision]:
        return [decision for decision in (*self.decisions, *self.gold) if decision.reviewer == person]

    def work(self, person: str, task: str) -> Work:
        def counts(question_id: str) -> bool:
            return not task or self.tasks[question_id] == task

        mine = [decision for decision in self.of(person) if counts(decision.question_id)]
        verdicts = {verdict: sum(decision.verdict == verdict for decision in mine) for verdict in VERDICTS}
        opinions = [decision for decision in mine if decision.verdict != "skipped"]
        times = [d.seconds for d in opinions if d.seconds is not None and d.seconds <= PAUSE_S]
        hasty = [d for d in opinions if is_hasty(d.seconds, self.usual.get(self.tasks[d.question_id]))]
        blind = [right for question_id, who, right in self.answers if who == person and counts(question_id)]
        gold = self._gold_agreements(person, counts_of=[d for d in self.gold if counts(d.question_id)])
        pairs = [
            (a, b) if a.reviewer == person else (b, a) for a, b in self.pairs if person in (a.reviewer, b.reviewer)
        ]
        labels = [(own.verdict, other.verdict) for own, other in pairs if counts(own.question_id)]
        return Work(
            person=person,
            task=task,
            decided=len(opinions),
            accepted=verdicts["accepted"],
            fixed=verdicts["fixed"],
            rejected=verdicts["rejected"],
            skipped=verdicts["skipped"],
            fix_rate=_share([decision.verdict == "fixed" for decision in opinions]),
            seconds=statistics.median(times) if times else None,
            hours=sum(times) / 3600,
            hasty=len(hasty),
            num_gold=len(gold),
            gold_agreement=_share(gold),
            num_blind=len(blind),
            blind_agreement=_share(blind),
            num_double=len(labels),
            kappa=cohens_kappa(labels),
        )

    def _gold_agreements(self, person: str, *, counts_of: Sequence[Decision]) -> list[bool]:
        return [
            decision.agrees_with(self.known[decision.question_id])
            for decision in counts_of
            if decision.reviewer == person
            and decision.verdict != "skipped"
            and decision.question_id in self.known  # else it was reopened: nobody knows what is right
        ]


def _is_key(store: ReviewStore, question_id: str, answer: BlindAnswer) -> bool | None:
    return is_key(store.question(question_id), answer.answer, answer.bbox)


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None


def work_csv(rows: Iterable[Work]) -> str:
    """Return people's work as CSV; a name that a spreadsheet would take for a formula is written as text."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(Work)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = asdict(row)
        name = "'" + row.person if row.person[:1] in "=+-@" else row.person
        rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
        writer.writerow({**rounded, "person": name})
    return out.getvalue()
