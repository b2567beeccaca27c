"""Questions that people write: what one is, the checks that it must pass, and how it stands among the others.

A written question keeps a task of the taxonomy, so every task's own scoring works on it. What surprises: its options
are stored in the order in which their author put them, and get their letters in that order.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass

import shapely
from pydantic import TypeAdapter
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.checks import check_question, normalise
from rsvqa.annotation.errors import nearest
from rsvqa.annotation.facts import BOX_DECIMALS, Box, as_shares
from rsvqa.annotation.lettering import lettered, right_letters
from rsvqa.annotation.questions import Evidence, Option, Question
from rsvqa.annotation.review.content import EditableContent, ReviewQuestion
from rsvqa.annotation.review.drawing import DrawingTile
from rsvqa.annotation.review.drawn import DrawnForm, DrawnObject, PixelPoint, outline_fault
from rsvqa.annotation.stored_evidence import encode_evidence
from rsvqa.annotation.taxonomy import NUM_OPTIONS, TASKS, AnswerForm, TaskInfo
from rsvqa.annotation.wording.templates import template_keys

WRITTEN_RULE = "written_by_person"
"""Rule in the evidence of a question that a person wrote; `origin` among its values says so too."""
ORIGIN = "person"
ASKED_BEFORE = "this is asked about the tile already"

_SAID_OF_FORMS = frozenset(
    {
        "answer form not of the task",
        "wrong number of options",
        "wrong number of right options",
        "answer missing or in the wrong field",
    }
)
"""Reasons of `checks` that say in general words what `_form_faults` says to who writes."""
_ID_CHARS = 8
_YES_NO = ["no", "yes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceShape:
    """Where on the tile an answer can be seen: a form and its points, tile pixels, as in `drawn.FORMS`."""

    form: DrawnForm
    points: tuple[PixelPoint, ...]

    @property
    def drawn(self) -> DrawnObject:
        """The shape as an object of no class."""
        return DrawnObject(class_name="", form=self.form, points=self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenQuestion:
    """A question as its author wrote it.

    Attributes:
        task: name in the taxonomy.
        question: the text, with every slot filled.
        options: without letters, in the order in which they get them; empty for free text and boxes.
        right: places of the right options, from 0.
        answer: the text, where the task wants one; else empty.
        box: the answer of grounding tasks, else the box in the text; tile pixels.
        shapes: evidence that was drawn.
        template: key of the wording that it was made from; empty for a free one.
    """

    task: str
    question: str
    options: tuple[str, ...] = ()
    right: tuple[int, ...] = ()
    answer: str = ""
    box: Box | None = None
    shapes: tuple[EvidenceShape, ...] = ()
    template: str = ""

    @property
    def marked(self) -> tuple[Option, ...]:
        """The options with what the key says of each."""
        return tuple(Option(text, place in self.right) for place, text in enumerate(self.options))

    @property
    def form(self) -> AnswerForm:
        """What an answer looks like."""
        return TASKS[self.task].form_of(len(self.options))


WRITTEN: TypeAdapter[WrittenQuestion] = TypeAdapter(WrittenQuestion)


def identity_of(text: str, options: Sequence[str]) -> str:
    """Return what two questions about one tile share that ask the same: text and set of options, case folded."""
    return _digest([normalise(text), sorted(map(normalise, options))], 16)


def written_faults(written: WrittenQuestion, tile: DrawingTile, *, asked: Set[str] = frozenset()) -> tuple[str, ...]:
    """Return why a written question may not stand, a line each; empty when it may.

    Args:
        written: with any texts and numbers whatever.
        tile: that it is about.
        asked: `identity_of` the other questions about the tile.
    """
    if fault := _task_fault(written):
        return (fault,)
    faults = [*_form_faults(written), *_shape_faults(written, tile)]
    reasons = check_question(_candidate(written), width=tile.width, height=tile.height)
    faults += [reason for reason in reasons if not (faults and reason in _SAID_OF_FORMS)]
    if identity_of(written.question, written.options) in asked:
        faults.append(ASKED_BEFORE)
    return tuple(faults)


def _task_fault(written: WrittenQuestion) -> str | None:
    if written.task not in TASKS:
        name = written.task[:40]
        return (
            f"{name!a} is not a task{nearest(name, list(TASKS))}: a free question keeps a task, by which it is scored"
        )
    info = TASKS[written.task]
    if info.is_regional or info.num_dates > 1:
        shown = "two dates" if info.num_dates > 1 else "a red circle"
        return f"{info.level_3} shows {shown}, in an image that a build makes: choose another task"
    if written.template and written.template not in template_keys(written.task):
        return f"{info.level_3} has no template {written.template[:60]!a}"
    return None


def _form_faults(written: WrittenQuestion) -> list[str]:
    """Return what is missing or too much for the task's form of answer."""
    info = TASKS[written.task]
    if fault := _count_fault(written, info):
        return [fault]
    faults = []
    if any(not 0 <= place < len(written.options) for place in written.right):
        faults.append("the key names no option")
    elif written.options and not written.right:
        faults.append("mark the right option")
    elif written.form is AnswerForm.SEVERAL_OF and len(written.right) == len(written.options):
        faults.append("every option is right: one must be wrong")
    elif written.form in (AnswerForm.ONE_OF, AnswerForm.YES_NO) and len(written.right) > 1:
        faults.append(f"{len(written.right)} options are marked: one is right")
    if written.form is AnswerForm.YES_NO and sorted(map(normalise, written.options)) != _YES_NO:
        faults.append("the options of a yes/no question are Yes and No")
    if written.form is AnswerForm.BOX and written.box is None:
        faults.append("draw the box that answers the question")
    if written.form is AnswerForm.TEXT and not written.answer.strip():
        faults.append("write the answer")
    return faults


def _count_fault(written: WrittenQuestion, info: TaskInfo) -> str | None:
    wanted = sorted({NUM_OPTIONS[form] for form in info.forms})
    if len(written.options) in wanted:
        return None
    said = " or ".join(map(str, wanted)) if any(wanted) else "no"
    return f"{info.level_3} has {said} options: here are {len(written.options)}"


def _shape_faults(written: WrittenQuestion, tile: DrawingTile) -> list[str]:
    found = (outline_fault(shape.drawn, width=tile.width, height=tile.height) for shape in written.shapes)
    return [f"evidence {number}: {fault}" for number, fault in enumerate(found, 1) if fault]


def _candidate(written: WrittenQuestion) -> Question:
    return Question(
        task=written.task,
        form=written.form,
        text=written.question,
        evidence=_evidence(written),
        options=written.marked,
        answer=written.answer,
        box=written.box,
    )


def _evidence(written: WrittenQuestion) -> Evidence:
    values = {"origin": ORIGIN, "template": written.template} if written.template else {"origin": ORIGIN}
    return Evidence(rule=WRITTEN_RULE, geometry=_geometry(written), values=values)


def _geometry(written: WrittenQuestion) -> BaseGeometry | None:
    if not written.shapes:
        return None
    parts = [shape.drawn.geometry for shape in written.shapes]
    return parts[0] if len(parts) == 1 else shapely.GeometryCollection(parts)


def question_of_written(written: WrittenQuestion, tile: DrawingTile) -> ReviewQuestion:
    """Return a written question as it stands among the others of a data set.

    Its id follows from what it asks. The key is no part of it: who judges a question sees its id before the key, and
    would only have to try four.
    """
    box = written.box
    bbox = (
        None if box is None else Box(*(round(share, BOX_DECIMALS) for share in as_shares(box, tile.width, tile.height)))
    )
    answer = right_letters(option.is_right for option in written.marked) or written.answer
    if written.form is AnswerForm.BOX:
        answer = str(list(bbox or ()))
    digest = _digest([written.task, written.question, sorted(written.options)], _ID_CHARS)
    return ReviewQuestion(
        question_id=f"{tile.tile_id}/{TASKS[written.task].short}-w{digest}",
        task=written.task,
        split=tile.split,
        scene=tile.scene,
        source="human",
        review="none",
        language=tile.language,
        images=(tile.image,),
        width=tile.width,
        height=tile.height,
        content=EditableContent(question=written.question, options=lettered(written.options), answer=answer, bbox=bbox),
        gsd=tile.gsd,
        dates=(tile.date,),
        evidence=encode_evidence(_evidence(written), None),
        image_digests=(tile.image_digest,),
    )


def tidied(text: str) -> str:
    """Return a text as it is stored: no white space at its ends, and single spaces inside its lines."""
    return "\n".join(re.sub(r"[ \t]+", " ", line).strip() for line in text.strip().split("\n"))


def _digest(parts: object, chars: int) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:chars]
