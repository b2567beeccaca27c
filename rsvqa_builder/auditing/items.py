"""What an audit looks at: one `AuditItem` per question, whatever file it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from rsvqa.annotation.facts import Box
from rsvqa.annotation.taxonomy import AnswerForm

_BOX_SENTENCE = re.compile(r"\[\s*-?\d[^\]]*\]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditImage:
    """An image of a question, not read yet.

    Attributes:
        name: the same for the same image of the data.
        read: returns the encoded bytes; raises `ImageError` or `OSError` where it is missing.
        stated: width and height that the data state, pixels.
    """

    name: str
    read: Callable[[], bytes]
    stated: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditItem:
    """One question, without its image.

    Attributes:
        where: its id, or file and row.
        task: what figures are given for.
        form: of the answer.
        question: its text.
        options: without their letters; empty for texts and boxes.
        right: places of the right options, from 0.
        reference: the right text of a free answer.
        box: normalised (x_min, y_min, x_max, y_max) of the answer, or of the object that the text marks.
        size: width and height of the image, pixels; None when unknown.
        split: "train", "val", "test"; empty when none is stated.
        place: of ground that no other place shares; empty when unknown.
        image: the same for questions about the same image.
        language: of the question; empty when unknown.
        images: that it shows; empty when they are not looked at.
        problem: why the row is no question; empty when it is one. Such a row is counted and not guessed.
    """

    where: str
    task: str
    form: AnswerForm
    question: str
    options: tuple[str, ...] = ()
    right: tuple[int, ...] = ()
    reference: str = ""
    box: Box | None = None
    size: tuple[int, int] | None = None
    split: str = ""
    place: str = ""
    image: str = ""
    language: str = ""
    images: tuple[AuditImage, ...] = ()
    problem: str = ""


def folded(text: str) -> str:
    """Return a text as contents are compared: small letters, single spaces, no full stop at the end."""
    return _SPACE.sub(" ", text).strip(" .。").casefold()


def wording_of(question: str) -> str:
    """Return a question without what differs between two of one template and class: numbers and boxes."""
    return folded(_NUMBER.sub("#", _BOX_SENTENCE.sub("[box]", question)))
