"""What a reviewer sees of a question, what he may change of it, and the checks that a change must pass.

A question stands here as it stands in a shard: options with their letters, the box as shares of width and height. What
surprises: the box of a question that names one stands twice, as numbers and in the text, and the answer of a grounding
question is its box once more. Only the numbers are moved; `settled` writes the others anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from rsvqa.annotation.checks import UNKNOWN_TASK, check_question
from rsvqa.annotation.facts import BOX_DECIMALS, Box, in_pixels
from rsvqa.annotation.lettering import LetteringError, lettered, letters_fault, moved_letters, option_texts
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
        image_digests: SHA-256 of the encoded bytes of each image.
        twin: how many questions of the same content stand before it in the data set.
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
    image_digests: tuple[str, ...] = ()
    twin: int = 0

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


_ALONGSIDE = ("feature_ids", "annotation")
"""Parts of the evidence that do not bear on what is decided: names of labels, and what models did."""


def content_key(question: ReviewQuestion) -> str:
    """Return the SHA-256 of all that a decision is about: where it is the same, the decision stands.

    That is the task, the place and bytes of the images, the text, which options there are and which are right, the box,
    and the evidence. Ids, numbers, the order of options and their letters are not part of it.
    """
    content = question.content
    evidence = {name: value for name, value in question.evidence.items() if name not in _ALONGSIDE}
    options, right = _unordered(content)
    parts = [question.task, question.language, question.images, question.image_digests, question.twin]
    return _digest([*parts, content.question, options, right, content.bbox, evidence])


def kin_key(question: ReviewQuestion) -> str:
    """Return what two versions of one question share although its answer, options, evidence or image has changed."""
    return _digest([question.task, question.language, question.images, question.twin, question.content.question])


def changes_between(old: ReviewQuestion, new: ReviewQuestion) -> tuple[str, ...]:
    """Return which parts of what a decision is about differ between two versions of a question."""
    before, after = _unordered(old.content), _unordered(new.content)
    evidence = [
        {name: value for name, value in question.evidence.items() if name not in _ALONGSIDE} for question in (old, new)
    ]
    differ = {
        "image": (old.images, old.image_digests) != (new.images, new.image_digests),
        "question": old.content.question != new.content.question,
        "answer": before[1] != after[1],
        "options": before[0] != after[0],
        "box": old.content.bbox != new.content.bbox,
        "evidence": evidence[0] != evidence[1],
    }
    return tuple(name for name, is_other in differ.items() if is_other)


def relettered(content: EditableContent, old: EditableContent, new: EditableContent) -> EditableContent:
    """Return `content`, a changed version of `old`, with its options in the order that `new` has given those of `old`.

    As it is where an option was added or taken away: its letters fit its own options.
    """
    if len(content.options) != len(old.options) or old.options == new.options:
        return content
    places = option_texts(old.options)
    order = [places.index(text) for text in option_texts(new.options)]
    texts = option_texts(content.options)
    return replace(
        content, options=lettered(texts[place] for place in order), answer=moved_letters(content.answer, order)
    )


def _unordered(content: EditableContent) -> tuple[list[str], list[str]]:
    """Return the texts of all options and of the right ones, sorted; without options, the answer."""
    try:
        texts = option_texts(content.options)
    except LetteringError:  # another maker's: as they stand
        return [*content.options], [content.answer]
    if not texts:
        return [], [content.answer]
    right = [option.text for option in marked_options(texts, content.answer) if option.is_right]
    return sorted(texts), sorted(right)


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


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
