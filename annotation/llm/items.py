"""What a step works on: a question as it stands in the data set, with its evidence and the pixels of its tile.

An item is a value: a step returns a changed copy. It knows no file; pixels come by a callable, when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import shapely

from rsvqa.annotation.facts import Box, Circle
from rsvqa.annotation.images import Pixels
from rsvqa.annotation.lettering import lettered
from rsvqa.annotation.llm.outcomes import Note, QuestionOutcome, QuestionState
from rsvqa.annotation.questions import Evidence, Question, marked_options, with_region_slot
from rsvqa.annotation.taxonomy import TASKS, AnswerForm


@dataclass(frozen=True, slots=True)
class ShownImage:
    """An image that a question shows: its name in the data set, and its pixels when they are asked for."""

    name: str
    load: Callable[[], Pixels]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileKnowledge:
    """What the evidence of all questions of a tile says of it.

    Attributes:
        counts: objects on the tile, by class, where the number is known for certain.
        present: classes of which something is there.
        absent: classes of which certainly nothing is there.
        colours: colours that objects of a class are known to have, by class.
        nouns: how each class of the class table is called, singular and plural.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    colours: Mapping[str, frozenset[str]] = field(default_factory=dict)
    nouns: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionItem:
    """A question as it stands.

    Attributes:
        question_id: unique in the data set.
        task, form: as in the taxonomy.
        language: of the text.
        text: holds the number of its circle and boxes as pixels of the tile.
        options: without letters; their letters are those of their places.
        answer: letters ("A", "ACD"); the text; for a box its numbers as stored.
        box: in tile pixels: the answer of a grounding question, or the box in the text.
        region: the circle in tile pixels, drawn on the views.
        region_number: of the circle.
        evidence: rule, feature ids, values and geometry of the answer.
        width, height: of the tile, pixels.
        views: one, or the earlier and the later date.
        knowledge: of the tile.
        source: "rule" until a model has written a part of it.
        translation_of: id of the question that this is a version of in another language; empty for an original.
        original: that question, where it is at hand.
        former: texts that a model has replaced, by what they were, so that they can be put back.
        outcome: what the steps have found out.
    """

    question_id: str
    task: str
    form: AnswerForm
    language: str
    text: str
    options: tuple[str, ...]
    answer: str
    box: Box | None
    region: Circle | None
    region_number: int | None
    evidence: Evidence
    width: int
    height: int
    views: tuple[ShownImage, ...]
    knowledge: TileKnowledge = field(default_factory=TileKnowledge)
    source: str = "rule"
    translation_of: str = ""
    original: QuestionItem | None = None
    former: Mapping[str, Any] = field(default_factory=dict)
    outcome: QuestionOutcome = field(default_factory=QuestionOutcome)

    @property
    def original_id(self) -> str:
        """Id of the question in its first language."""
        return self.translation_of or self.question_id

    @property
    def right_options(self) -> tuple[str, ...]:
        """Texts of the right options."""
        return tuple(option.text for option in marked_options(self.options, self.answer) if option.is_right)

    @property
    def lettered(self) -> str:
        """The options as a model is shown them, one per line."""
        return "\n".join(lettered(self.options))

    def noted(self, note: Note) -> QuestionItem:
        """Return the item with one more note."""
        return replace(self, outcome=replace(self.outcome, notes=(*self.outcome.notes, note)))

    def checked(self, *names: str) -> QuestionItem:
        """Return the item with more checks passed."""
        passed = tuple(dict.fromkeys((*self.outcome.checks, *names)))
        return replace(self, outcome=replace(self.outcome, checks=passed))

    def rejected(self, reason: str) -> QuestionItem:
        """Return the item as one to be dropped."""
        return replace(self, outcome=replace(self.outcome, state=QuestionState.REJECTED, reasons=(reason,)))

    def for_review(self, reason: str) -> QuestionItem:
        """Return the item as one that a person must look at; what is rejected stays so."""
        if self.outcome.is_rejected or reason in self.outcome.reasons:
            return self
        reasons = (*self.outcome.reasons, reason)
        return replace(self, outcome=replace(self.outcome, state=QuestionState.REVIEW, reasons=reasons))

    def with_doubts(self, *statements: str) -> QuestionItem:
        """Return the item with statements marked that no fact bears out."""
        doubts = tuple(dict.fromkeys((*self.outcome.doubts, *statements)))
        return replace(self, outcome=replace(self.outcome, doubts=doubts))

    def settled(self, *reasons: str) -> QuestionItem:
        """Return the item without these reasons for a review, and accepted when none is left."""
        if self.outcome.state is not QuestionState.REVIEW:
            return self
        left = tuple(reason for reason in self.outcome.reasons if reason not in reasons)
        state = QuestionState.REVIEW if left else QuestionState.ACCEPTED
        return replace(self, outcome=replace(self.outcome, state=state, reasons=left))

    def worded(self, **texts: Any) -> QuestionItem:  # noqa: ANN401  `text`, `options` and `answer` have types of their own
        """Return the item with texts of a model; what a rule had written is kept in `former`."""
        old = {name: getattr(self, name) for name in texts}
        return replace(self, **texts, source="llm", former={**old, **self.former})

    def as_written_by_rule(self) -> QuestionItem:
        """Return the item with every text that a rule had written put back."""
        if not self.former:
            return self
        return replace(self, **self.former, former={}, source="rule", outcome=replace(self.outcome, doubts=()))

    def as_question(self) -> Question:
        """Return the item as the candidate that `checks.check_question` knows.

        Letters are taken off, and the number of a circle makes room for its slot.
        """
        is_text = self.form is AnswerForm.TEXT
        return Question(
            task=self.task,
            form=self.form,
            text=with_region_slot(self.text, self.region_number),
            evidence=self.evidence,
            options=marked_options(self.options, self.answer),
            answer=with_region_slot(self.answer, self.region_number) if is_text else "",
            box=self.box,
            region=self.region,
            num_dates=TASKS[self.task].num_dates,
        )


def bounds_of(item: QuestionItem) -> Box | None:
    """Return the upright bounds of the evidence's geometry, in tile pixels; None without one."""
    geometry = item.evidence.geometry
    if geometry is None or shapely.is_empty(geometry):
        return None
    return Box(*geometry.bounds)
