"""Answers to a question beside its key: those of people who have not seen it yet, and those of models.

What is not to be seen before the answer is taken out here, on the server: the key, the evidence and what models said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rsvqa.annotation.facts import Box, in_pixels
from rsvqa.annotation.lettering import option_texts
from rsvqa.annotation.review.content import ReviewQuestion
from rsvqa.annotation.taxonomy import AnswerForm

SAME_BOX_IOU = 0.5
"""Boxes that overlap by this much are the same answer, as in grounding benchmarks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindAnswer:
    """What a person answered before the key was shown.

    Attributes:
        answer: letters, or the text; empty where the answer is a box.
        bbox: as shares of width and height; None without one.
        seconds: for which the question was open before it was answered; None where nobody knows.
    """

    answer: str = ""
    bbox: Box | None = None
    seconds: float | None = None


def hidden(question: ReviewQuestion) -> ReviewQuestion:
    """Return a question with nothing in it that tells its key.

    The circle stays, which is drawn into the image, and a box that the question is about.
    """
    content = replace(question.content, answer="")
    if question.form is AnswerForm.BOX:
        content = replace(content, bbox=None)
    region = {name: question.evidence[name] for name in ("region",) if name in question.evidence}
    return replace(question, content=content, evidence=region, review="", source="")


def answer_fault(question: ReviewQuestion, answer: str, bbox: Box | None) -> str | None:
    """Return why `answer` is none to `question`; None when it is one."""
    if question.form is AnswerForm.BOX:
        is_box = bbox is not None and 0 <= bbox.x_min < bbox.x_max <= 1 and 0 <= bbox.y_min < bbox.y_max <= 1
        return None if is_box else "draw a box first"
    if not question.content.options:
        return None if answer.strip() else "write an answer first"
    letters = {option[1:2] for option in question.content.options}
    is_one = question.form is not AnswerForm.SEVERAL_OF
    is_known = answer and set(answer) <= letters and len(set(answer)) == len(answer)
    return None if is_known and not (is_one and len(answer) > 1) else "choose an option first"


def is_key(question: ReviewQuestion, answer: str, bbox: Box | None) -> bool | None:
    """Return whether an answer is the key; None for texts, which are not compared by machine."""
    content = question.content
    if question.form is AnswerForm.BOX:
        return bbox is not None and content.bbox is not None and _iou(bbox, content.bbox) >= SAME_BOX_IOU
    return set(answer) == set(content.answer) if content.options else None


def _iou(one: Box, other: Box) -> float:
    width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (_area(one) + _area(other) - shared) if shared else 0.0


def _area(box: Box) -> float:
    return (box.x_max - box.x_min) * (box.y_max - box.y_min)


def guesses_of(question: ReviewQuestion) -> list[dict[str, Any]]:
    """Return what models answered blind to the key: its letters now, its box in pixels, or else its text.

    Options are found by their texts: letters may have been dealt anew since the model was asked.
    """
    asked = question.evidence.get("annotation")
    notes = asked.get("notes", ()) if isinstance(asked, Mapping) else ()
    return [_guess(question, note) for note in notes if isinstance(note, Mapping) and note.get("answer")]


def _guess(question: ReviewQuestion, note: Mapping[str, Any]) -> dict[str, Any]:
    text, content = str(note["answer"]), question.content
    letters, box = "", None
    if content.options:
        told = {re.sub(r"^\([A-Z]\) ", "", part) for part in text.split("; ")}
        letters = "".join(
            option[1:2]
            for option, shown in zip(content.options, option_texts(content.options), strict=True)
            if shown in told
        )
    elif found := re.fullmatch(r"\[(-?\d+), (-?\d+), (-?\d+), (-?\d+)\]", text):
        box = [int(number) for number in found.groups()]
    own = None
    if letters:
        own = is_key(question, letters, None)
    elif box is not None and content.bbox is not None:
        key = in_pixels(content.bbox, question.width, question.height)
        own = _iou(Box(*map(float, box)), key) >= SAME_BOX_IOU
    return {"model": str(note.get("model", "")), "letters": letters, "box": box, "text": text, "is_key": own}
