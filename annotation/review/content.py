"""What a reviewer sees of a question, what he may change of it, and the checks that a change must pass.

A question stands here as it stands in a shard: options with their letters, the box as shares of width and height. What
surprises: the box of a question that names one stands twice, as numbers and in the text, and the answer of a grounding
question is its box once more. Only the numbers are moved; `settled` writes the others anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from rsvqa.annotation.checks import UNKNOWN_TASK, check_question
from rsvqa.annotation.facts import BOX_DECIMALS, Box, in_pixels
from rsvqa.annotation.lettering import letters_fault, option_texts
from rsvqa.annotation.questions import Question, marked_options, with_region_slot
from rsvqa.annotation.stored_evidence import decode_evidence, decode_mark
from rsvqa.annotation.taxonomy import TASKS, AnswerForm

BOX_CAME_OR_WENT = "box added or taken away"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditableContent:
    """The part of a question that a reviewer may change.

    Attributes:
        question: the text; boxes in it are whole pixels.
        options: "(A) …"; empty for free text and boxes.
        answer: letters without separators ("A", "ACD"), the text, or the numbers of `bbox`.
        bbox: (x_min, y_min, x_max, y_max) as shares of width and height; None without a box.
    """

    question: str
    options: tuple[str, ...] = ()
    answer: str = ""
    bbox: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewQuestion:
    """A question as it stands in the data set.

    Attributes:
        question_id: unique in the data set.
        task: name in the taxonomy.
        split, scene, source, review, language: as in its row.
        images: names of the images that it shows, one per date.
        width, height: of each image, pixels.
        gsd: metres per pixel; None when unknown.
        dates: ISO days, one per image; None when unknown.
        content: what may be changed.
        evidence: why the answer is right, the JSON object of its row.
    """

    question_id: str
    task: str
    split: str
    scene: str
    source: str
    review: str
    language: str
    images: tuple[str, ...]
    width: int
    height: int
    content: EditableContent
    gsd: float | None = None
    dates: tuple[str | None, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def form(self) -> AnswerForm:
        """What an answer looks like."""
        return TASKS[self.task].form_of(len(self.content.options))

    @property
    def is_disputed(self) -> bool:
        """True when models that were asked without the key did not all answer with it."""
        asked = self.evidence.get("annotation")
        agreement = asked.get("agreement") if isinstance(asked, Mapping) else None
        return isinstance(agreement, int | float) and agreement < 1


CONTENT: TypeAdapter[EditableContent] = TypeAdapter(EditableContent)
QUESTION: TypeAdapter[ReviewQuestion] = TypeAdapter(ReviewQuestion)


def settled(question: ReviewQuestion, content: EditableContent) -> EditableContent:
    """Return `content` with everything that follows from a moved box written anew.

    A box that was not moved keeps its numbers exactly. The answer of a grounding question is never but its box.
    """
    old = question.content.bbox
    box = content.bbox
    if box is None or old is None:
        return content
    if box == old:
        return replace(content, answer=question.content.answer) if question.form is AnswerForm.BOX else content
    box = Box(*(round(value, BOX_DECIMALS) for value in box))
    if question.form is AnswerForm.BOX:
        return replace(content, bbox=box, answer=str(list(box)))
    return replace(content, bbox=box, question=_rewritten(content.question, question, box))


def _rewritten(text: str, question: ReviewQuestion, box: Box) -> str:
    """Return `text` with `box`, in whole pixels, in the place of its first box."""
    pixels = [round(value) for value in in_pixels(box, question.width, question.height)]
    return re.sub(r"\[\s*\d+(?:\s*,\s*\d+){3}\s*\]", str(pixels), text, count=1)


def check_content(question: ReviewQuestion, content: EditableContent) -> tuple[str, ...]:
    """Return why `question` may not stand with `content`; empty when it may.

    The reasons are those of `checks.check_question`, and three on what candidates cannot have: letters, and a box that
    was there before or was not.
    """
    if question.task not in TASKS:
        return (UNKNOWN_TASK,)
    if (content.bbox is None) != (question.content.bbox is None):
        return (BOX_CAME_OR_WENT,)
    if fault := letters_fault(content.options, content.answer):
        return (fault,)
    return check_question(_candidate(question, content), width=question.width, height=question.height)


def _candidate(question: ReviewQuestion, content: EditableContent) -> Question:
    mark = decode_mark(question.evidence)
    number = None if mark is None else mark.number
    is_text = question.form is AnswerForm.TEXT
    return Question(
        task=question.task,
        form=question.form,
        text=with_region_slot(content.question, number),
        evidence=decode_evidence(question.evidence),
        options=marked_options(option_texts(content.options), content.answer),
        answer=with_region_slot(content.answer, number) if is_text else "",
        box=None if content.bbox is None else in_pixels(content.bbox, question.width, question.height),
        region=None if mark is None else mark.circle,
        num_dates=len(question.images),
    )
