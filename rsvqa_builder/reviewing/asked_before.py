"""What a data set holds already, as who writes a question must know it: what is asked, proposed, and can be guessed.

Guessing is judged as in an audit: by what an option says, by that and the wording, and by the letter of the right one;
surely above chance means by more than three points at the lower end of Wilson's interval.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rsvqa.annotation.authoring.writing import identity_of
from rsvqa.annotation.facts import in_pixels
from rsvqa.annotation.lettering import LETTERS, LetteringError, option_texts
from rsvqa.annotation.llm.proposing_step import PROPOSED
from rsvqa.annotation.review.content import ReviewQuestion
from rsvqa.annotation.review.drawing import Proposal
from rsvqa.rsvqa_builder.auditing.holdout import wilson
from rsvqa.rsvqa_builder.auditing.items import folded, wording_of
from rsvqa.rsvqa_builder.dataset.records import HELD_BACK

POINTS_OVER_CHANCE = 3.0
"""Above which an audit says that a task is guessed."""
MIN_OFFERED = 5
"""Times that something must be offered before it is called a give-away."""


class _Clue(NamedTuple):
    """Something by which the right option could be told: of a task, in questions with so many options."""

    task: str
    num_options: int
    wording: str
    says: str
    letter: str


@dataclass(slots=True)
class _Count:
    """How often an option with a clue was offered and right, and how often chance would have it right."""

    offered: int = 0
    right: int = 0
    expected: float = 0.0

    def plus(self, *, is_right: bool, expected: float) -> _Count:
        return _Count(self.offered + 1, self.right + is_right, self.expected + expected)

    @property
    def is_surely_over_chance(self) -> bool:
        low = wilson(self.right / self.offered, self.offered, self.offered).low
        return self.offered >= MIN_OFFERED and 100 * (low - self.expected / self.offered) > POINTS_OVER_CHANCE


class Guesses:
    """Counts by which clue right options could be told."""

    def __init__(self) -> None:
        self._counts: defaultdict[_Clue, _Count] = defaultdict(_Count)

    def add(self, question: ReviewQuestion) -> None:
        """Count one question; one without options, or held back by a review, tells nothing."""
        if question.review not in HELD_BACK:
            for clue, is_right, expected in _clues(question):
                self._counts[clue] = self._counts[clue].plus(is_right=is_right, expected=expected)

    def warnings(self, question: ReviewQuestion, others: Iterable[ReviewQuestion]) -> tuple[str, ...]:
        """Return what tells the right options of a question, once it is one more beside those counted and `others`."""
        wanted = dict.fromkeys(clue for clue, is_right, _ in _clues(question) if is_right)
        counts = {clue: self._counts.get(clue, _Count()) for clue in wanted}
        for one in (*others, question):
            for clue, is_right, expected in _clues(one):
                if clue in counts:
                    counts[clue] = counts[clue].plus(is_right=is_right, expected=expected)
        found = [(clue, count) for clue, count in counts.items() if count.is_surely_over_chance]
        told = {clue.says for clue, _ in found if clue.says and not clue.wording}
        return tuple(_warning(clue, count) for clue, count in found if not clue.wording or clue.says not in told)


def _clues(question: ReviewQuestion) -> Iterator[tuple[_Clue, bool, float]]:
    """Yield the clues of each option, whether it is right, and how likely by chance."""
    content = question.content
    try:
        texts = option_texts(content.options)
    except LetteringError:  # another maker's
        return
    expected = len(content.answer) / len(texts) if texts else 0.0
    for letter, text in zip(LETTERS, texts, strict=False):
        is_right, says = letter in content.answer, folded(text)
        for wording, said, mark in (("", says, ""), (wording_of(content.question), says, ""), ("", "", letter)):
            yield _Clue(question.task, len(texts), wording, said, mark), is_right, expected


def _warning(clue: _Clue, count: _Count) -> str:
    if clue.letter:
        return (
            f"this can be guessed: ({clue.letter}) is right in {count.right:,} of {count.offered:,} questions of the "
            "task; put the right option elsewhere"
        )
    asked = "with these words" if clue.wording else "of the task"
    return (
        f"this can be guessed: {clue.says[:60]!r} is right in {count.right:,} of {count.offered:,} questions {asked} "
        "that offer it"
    )


@dataclass(slots=True)
class AskedBefore:
    """What the questions of a data set say, read once.

    Attributes:
        guesses: of all of them.
        asked: `identity_of` each question, by the name of its first image.
        proposals: of models, by the name of the image.
    """

    guesses: Guesses = field(default_factory=Guesses)
    asked: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    proposals: defaultdict[str, list[Proposal]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, questions: Iterable[ReviewQuestion]) -> AskedBefore:
        """Return what these questions say."""
        found = cls()
        for question in questions:
            found._see(question)
        return found

    def _see(self, question: ReviewQuestion) -> None:
        self.guesses.add(question)
        image = question.images[0]
        self.asked[image].add(_identity(question))
        if (proposal := _proposal(question)) is not None:
            self.proposals[image].append(proposal)


def _identity(question: ReviewQuestion) -> str:
    try:
        texts = option_texts(question.content.options)
    except LetteringError:
        texts = question.content.options
    return identity_of(question.content.question, texts)


def _proposal(question: ReviewQuestion) -> Proposal | None:
    """Return the object that a question proposes; None for any other question."""
    evidence: Mapping[str, Any] = question.evidence
    box, values = question.content.bbox, evidence.get("values", {})
    if evidence.get("rule") != PROPOSED or box is None or "object" not in values:
        return None
    notes = evidence.get("annotation", {}).get("notes", ())
    return Proposal(
        key=question.question_id,
        name=str(values["object"]),
        description=str(values.get("description", "")),
        class_name="",
        box=in_pixels(box, question.width, question.height),
        model=next((str(note["model"]) for note in notes if note.get("model")), ""),
    )
