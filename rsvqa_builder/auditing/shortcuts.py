"""Which tasks can be answered without the image, by what, and how well."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.auditing.classifiers import classifier_guessers
from rsvqa.rsvqa_builder.auditing.guessers import rule_guessers
from rsvqa.rsvqa_builder.auditing.holdout import MIN_GROUPS, Guessed, Share, chance_of, guess
from rsvqa.rsvqa_builder.auditing.items import AuditItem
from rsvqa.rsvqa_builder.auditing.open_answers import guess_box, guess_text
from rsvqa.rsvqa_builder.auditing.option_tables import OptionTable

MIN_QUESTIONS = 10
"""Of a task below which nothing is guessed: chance alone would decide."""
NUM_EXAMPLES = 3
"""Worst questions and words that are listed per task."""
_MIN_SURPRISE = 3.0
"""Standard errors from chance."""
_MIN_OFFERED = 5
"""Times that something must be offered to be called a give-away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveAway:
    """An option that is right much more, or less, often than others.

    `right` of `offered` times; chance says `expected`. `wording` is the question that it goes with, empty for any.
    """

    wording: str
    says: str
    offered: int
    right: int
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut:
    """What guessing reaches in the questions of one task and form.

    Attributes:
        task, form, language: of the questions; the language is empty when there is one only.
        num_questions: that there are.
        num_guessed: that were drawn of them and guessed.
        held_out: "place" or "image": what was kept apart.
        num_groups: how many of them.
        measure: of the share: "right", "IoU of 0.5 or more", "words shared".
        chance: share of guessing; None for texts.
        best: of the best guesser; None when nothing was guessed.
        majority: share of the option that is most often right, by what it says.
        by: guesser that was chosen most often.
        guessers: share of each, the best first.
        give_aways: see `GiveAway`.
        worst: questions that were guessed right with the most confidence.
        why_not: why nothing was guessed.
    """

    task: str
    form: AnswerForm
    language: str = ""
    num_questions: int
    num_guessed: int = 0
    held_out: str = ""
    num_groups: int = 0
    measure: str = "right"
    chance: float | None = None
    best: Share | None = None
    majority: float | None = None
    by: str = ""
    guessers: dict[str, float] = field(default_factory=dict)
    give_aways: tuple[GiveAway, ...] = ()
    worst: tuple[AuditItem, ...] = ()
    why_not: str = ""

    @property
    def points(self) -> float | None:
        """Points above chance; None without chance or guess."""
        return None if self.best is None or self.chance is None else 100 * (self.best.value - self.chance)

    @property
    def sure_points(self) -> float | None:
        """Points above chance of the interval's lower end."""
        return None if self.best is None or self.chance is None else 100 * (self.best.low - self.chance)


Key = tuple[str, str, str]


Held = TypeVar("Held")
Other = TypeVar("Other")


class BoundedDraw(Generic[Held]):
    """Keeps at most so many questions of each task, form and language: those with the smallest hash."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heaps: dict[Key, list[tuple[int, int, Held]]] = {}
        self.counts: Counter[Key] = Counter()

    def offer(self, key: Key, rank: int, held: Held) -> None:
        """Take the next question, or let it go; the greatest ranks stay."""
        self.counts[key] += 1
        self._keep(key, (rank, self.counts[key], held))

    def _keep(self, key: Key, entry: tuple[int, int, Held]) -> None:
        heap = self._heaps.setdefault(key, [])
        if len(heap) < self._most:
            heapq.heappush(heap, entry)
        elif entry[0] > heap[0][0]:
            heapq.heapreplace(heap, entry)

    def told(self, name_of: Callable[[Held], str]) -> list[Any]:
        """Return what `join` takes, for JSON; questions by name."""
        return [
            [*key, self.counts[key], [[rank, number, name_of(held)] for rank, number, held in heap]]
            for key, heap in self._heaps.items()
        ]

    def join(self, told: Iterable[Any], held_as: Callable[[str], Held]) -> None:
        """Take in what another draw told of the questions that come next."""
        for task, form, language, count, kept in told:
            key = (task, form, language)
            before = self.counts[key]
            self.counts[key] += count
            for rank, number, name in kept:
                self._keep(key, (rank, before + number, held_as(name)))

    def held(self) -> Iterator[Held]:
        """Yield what is kept, in any order."""
        return (held for heap in self._heaps.values() for _, _, held in heap)

    def changed(self, function: Callable[[Held], Other]) -> BoundedDraw[Other]:
        """Return a draw of what a function makes of each question that is kept."""
        found: BoundedDraw[Other] = BoundedDraw(self._most)
        found.counts = self.counts
        found._heaps = {
            key: [(rank, number, function(held)) for rank, number, held in heap] for key, heap in self._heaps.items()
        }
        return found

    def drawn(self) -> Iterator[tuple[Key, list[Held]]]:
        """Yield the questions of each task in the order in which they came."""
        for key in sorted(self._heaps):
            yield key, [held for _, _, held in sorted(self._heaps[key], key=lambda entry: entry[1])]


class DrawnQuestions(BoundedDraw[AuditItem]):
    """Draws at most so many questions of each task, form and language, whatever the order in which they come.

    Those with the smallest hash of seed and question stay, so that equal data gives an equal sample in bounded memory.
    """

    def __init__(self, most: int, *, seed: int) -> None:
        super().__init__(most)
        self._seed = seed

    def add(self, item: AuditItem) -> None:
        """Take a question, or let it go."""
        content = f"{self._seed}/{item.where}/{item.question}".encode()
        rank = -int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
        self.offer((item.task, item.form.value, item.language), rank, item)


def find_shortcuts(
    sample: BoundedDraw[AuditItem],
    *,
    seed: int,
    with_classifiers: bool,
    order: Callable[[str], Any] = str,
    advance: Callable[[], None] = lambda: None,
) -> list[Shortcut]:
    """Return what guessing reaches for each task, form and language, tasks in the given order."""
    drawn = list(sample.drawn())
    languages = {language for _, _, language in sample.counts}
    found = []
    for (task, form, language), items in sorted(drawn, key=lambda entry: (order(entry[0][0]), entry[0])):
        facts: dict[str, Any] = {
            "task": task,
            "form": AnswerForm(form),
            "num_questions": sample.counts[task, form, language],
        }
        if len(languages) > 1:
            facts["language"] = language
        found.append(Shortcut(**facts, **_guessed(items, AnswerForm(form), seed, with_classifiers=with_classifiers)))
        advance()
    return found


def _guessed(items: Sequence[AuditItem], form: AnswerForm, seed: int, *, with_classifiers: bool) -> dict[str, Any]:
    items = [
        item for item in items if form in (AnswerForm.TEXT, AnswerForm.BOX) or (len(item.options) > 1 and item.right)
    ]
    held_out, groups = _groups(items)
    if len(items) < MIN_QUESTIONS:
        return {"why_not": f"fewer than {MIN_QUESTIONS} questions"}
    if len(set(groups)) < 2:
        return {"why_not": "all questions are about one image"}
    facts: dict[str, Any] = {"num_guessed": len(items), "held_out": held_out, "num_groups": len(set(groups))}
    if form is AnswerForm.BOX:
        return facts | guess_box(items, groups, seed=seed)
    if form is AnswerForm.TEXT:
        return facts | guess_text(items, groups, seed=seed)
    table = OptionTable(items)
    guessers = rule_guessers(table) + (classifier_guessers(table, seed=seed) if with_classifiers else [])
    outcome = guess(table, guessers, groups, seed=seed)
    assert outcome is not None  # there are two groups
    by_share = sorted(outcome.shares.items(), key=lambda entry: (-entry[1], entry[0]))
    return facts | {
        "chance": chance_of(table),
        "best": outcome.share,
        "majority": outcome.shares[guessers[0].name],
        "by": next(iter(outcome.chosen)),
        "guessers": dict(by_share),
        "give_aways": tuple(_give_aways(table)),
        "worst": tuple(_worst(items, outcome)),
    }


def _groups(items: Sequence[AuditItem]) -> tuple[str, list[str]]:
    """Return what is held out, and that of each question."""
    places = [item.place for item in items]
    if all(places) and len(set(places)) >= MIN_GROUPS:
        return "place", places
    return "image", [item.image or item.where for item in items]


def _give_aways(table: OptionTable) -> Iterator[GiveAway]:
    """Yield the options that are right most surprisingly often or rarely: alone, then by wording."""
    yield from _surprises(table, [("", content) for content in table.contents])
    wordings = [table.wordings[number] for number in table.question_of]
    if len(set(wordings)) > 1:
        yield from _surprises(table, list(zip(wordings, table.contents, strict=True)))


def _surprises(table: OptionTable, keys: Sequence[tuple[str, str]]) -> Iterator[GiveAway]:
    expected_of = np.add.reduceat(table.is_right.astype(np.float64), table.starts) / table.counts
    found: dict[tuple[str, str], list[float]] = {}
    for place, key in enumerate(keys):
        entry = found.setdefault(key, [0, 0, 0.0, 0.0])
        expected = expected_of[table.question_of[place]]
        entry[0] += 1
        entry[1] += float(table.is_right[place])
        entry[2] += expected
        entry[3] += expected * (1 - expected)

    def surprise(key: tuple[str, str]) -> float:
        _, right, expected, variance = found[key]
        return abs(right - expected) / math.sqrt(variance + 1e-9)

    listed = [key for key in found if found[key][0] >= _MIN_OFFERED and surprise(key) > _MIN_SURPRISE]
    for key in sorted(listed, key=lambda key: (-round(surprise(key), 9), key))[:NUM_EXAMPLES]:
        offered, right, expected, _ = found[key]
        yield GiveAway(wording=key[0], says=key[1], offered=int(offered), right=int(right), expected=expected)


def _worst(items: Sequence[AuditItem], outcome: Guessed) -> Iterable[AuditItem]:
    order = np.lexsort((np.arange(len(items)), -np.round(outcome.confidences, 9), -outcome.credit))
    return [items[number] for number in order[:NUM_EXAMPLES] if outcome.credit[number] == 1]
