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
from pathlib import PurePosixPath

import shapely
from pydantic import TypeAdapter
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.checks import check_question, normalise
from rsvqa.annotation.errors import nearest
from rsvqa.annotation.facts import BOX_DECIMALS, Box, Circle, as_shares
from rsvqa.annotation.lettering import lettered, right_letters
from rsvqa.annotation.marks import Mark
from rsvqa.annotation.questions import REGION_SLOT, Evidence, Option, Question, with_region_slot
from rsvqa.annotation.review.content import EditableContent, ReviewQuestion
from rsvqa.annotation.review.drawing import DrawingTile
from rsvqa.annotation.review.drawn import DrawnForm, DrawnObject, PixelPoint, outline_fault
from rsvqa.annotation.stored_evidence import encode_evidence
from rsvqa.annotation.tasks.regions import MIN_RADIUS_PX
from rsvqa.annotation.taxonomy import NUM_OPTIONS, TASKS, AnswerForm, TaskInfo
from rsvqa.annotation.wording.templates import template_keys

WRITTEN_RULE = "written_by_person"
"""Rule in the evidence of a question that a person wrote; `origin` among its values says so too."""
ORIGIN = "person"
CIRCLE_NUMBER = 1
"""What the text of a question calls its circle."""
LATER_IMAGE = "_later"
"""Ends the stem of the name of a tile's image of the second date."""
ASKED_BEFORE = "this is asked about the tile already"

_SAID_OF_FORMS = frozenset(
    {
        "answer form not of the task",
        "wrong number of options",
        "wrong number of right options",
        "answer missing or in the wrong field",
        "region missing or not expected",
        "region not named in the text",
    }
)
"""Reasons of `checks` that say in general words what `_form_faults` says to who writes."""
_ID_CHARS = 8
NO_LATER_DATE = "no scene of a later date that covers the whole tile is at hand"
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
        circle: that the question is about, tile pixels; None in tasks without one.
        later_scene, later_date: of the image beside the tile's, as they were when it was written; empty in tasks of
            one date.
        template: key of the wording that it was made from; empty for a free one.
    """

    task: str
    question: str
    options: tuple[str, ...] = ()
    right: tuple[int, ...] = ()
    answer: str = ""
    box: Box | None = None
    shapes: tuple[EvidenceShape, ...] = ()
    circle: Circle | None = None
    later_scene: str = ""
    later_date: str = ""
    template: str = ""

    @property
    def mark(self) -> Mark | None:
        """The circle with its number. A question has a copy of its image to itself, so that is always the same."""
        return None if self.circle is None else Mark(CIRCLE_NUMBER, self.circle)

    @property
    def identity(self) -> str:
        """What two questions about one tile share that ask the same: also of the same circle."""
        own = identity_of(self.question, self.options)
        return own if self.circle is None else f"{own} {self.circle}"

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
        asked: `identity_of` the other questions about the tile, or their `identity`.
    """
    if fault := _task_fault(written):
        return (fault,)
    faults = [*_form_faults(written), *(astray := _shape_faults(written, tile))]
    if astray:  # of such points no outline can be made
        return tuple(faults)
    reasons = check_question(_candidate(written), width=tile.width, height=tile.height)
    faults += [reason for reason in reasons if not (faults and reason in _SAID_OF_FORMS)]
    if written.identity in asked:
        faults.append(ASKED_BEFORE)
    return tuple(faults)


def _task_fault(written: WrittenQuestion) -> str | None:
    if written.task not in TASKS:
        name = written.task[:40]
        return (
            f"{name!a} is not a task{nearest(name, list(TASKS))}: a free question keeps a task, by which it is scored"
        )
    info = TASKS[written.task]
    if info.num_dates > 1 and not written.later_date:
        return f"{info.title} shows two dates: {NO_LATER_DATE}"
    if written.template and written.template not in template_keys(written.task):
        return f"{info.title} has no template {written.template[:60]!a}"
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
    faults += _circle_faults(written, info)
    if written.form is AnswerForm.BOX and written.box is None:
        faults.append("draw the box that answers the question")
    if written.form is AnswerForm.TEXT and not written.answer.strip():
        faults.append("write the answer")
    return faults


def _circle_faults(written: WrittenQuestion, info: TaskInfo) -> list[str]:
    circle = written.circle
    if circle is None:
        return ["draw the circle that the question is about"] if info.is_regional else []
    if not info.is_regional:
        return [f"{info.title} is about no circle"]
    if circle.radius < MIN_RADIUS_PX:
        return [f"the circle has a radius of {circle.radius:g} px: expected {MIN_RADIUS_PX} or more"]
    text = with_region_slot(written.question, CIRCLE_NUMBER)
    return [] if REGION_SLOT in text else [f'name the circle in the question: "circle {CIRCLE_NUMBER}"']


def _count_fault(written: WrittenQuestion, info: TaskInfo) -> str | None:
    wanted = sorted({NUM_OPTIONS[form] for form in info.forms})
    if len(written.options) in wanted:
        return None
    said = " or ".join(map(str, wanted)) if any(wanted) else "no"
    return f"{info.title} has {said} options: here are {len(written.options)}"


def _shape_faults(written: WrittenQuestion, tile: DrawingTile) -> list[str]:
    found = (outline_fault(shape.drawn, width=tile.width, height=tile.height) for shape in written.shapes)
    return [f"evidence {number}: {fault}" for number, fault in enumerate(found, 1) if fault]


def _candidate(written: WrittenQuestion) -> Question:
    number = CIRCLE_NUMBER if TASKS[written.task].is_regional else None  # also before its circle is drawn
    return Question(
        task=written.task,
        form=written.form,
        text=with_region_slot(written.question, number),
        evidence=_evidence(written),
        options=written.marked,
        answer=with_region_slot(written.answer, number),
        box=written.box,
        region=written.circle,
        num_dates=TASKS[written.task].num_dates,
    )


def _evidence(written: WrittenQuestion) -> Evidence:
    values = {"origin": ORIGIN}
    if written.template:
        values["template"] = written.template
    if written.later_scene:
        values["later_scene"] = written.later_scene
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
    said = [written.task, written.question, sorted(written.options)]
    digest = _digest(said if written.circle is None else [*said, written.circle], _ID_CHARS)
    images: tuple[str, ...] = (tile.image,)
    dates: tuple[str | None, ...] = (tile.date,)
    digests: tuple[str, ...] = (tile.image_digest,)
    if TASKS[written.task].num_dates > 1:
        images, dates = (*images, later_image(tile.image)), (*dates, written.later_date)
        digests = (*digests, _digest([tile.image_digest, written.later_scene, written.later_date], 64))
    return ReviewQuestion(
        question_id=f"{tile.tile_id}/{TASKS[written.task].short}-w{digest}",
        task=written.task,
        split=tile.split,
        scene=tile.scene,
        source="human",
        review="none",
        language=tile.language,
        images=images,
        width=tile.width,
        height=tile.height,
        content=EditableContent(question=written.question, options=lettered(written.options), answer=answer, bbox=bbox),
        gsd=tile.gsd,
        dates=dates,
        evidence=encode_evidence(_evidence(written), written.mark),
        image_digests=digests,
    )


def later_image(image: str) -> str:
    """Return the name of a tile's image of the second date, by that of the first: "a/0_0_later.jpg"."""
    path = PurePosixPath(image)
    return str(path.with_name(f"{path.stem}{LATER_IMAGE}{path.suffix}"))


def tidied(text: str) -> str:
    """Return a text as it is stored: no white space at its ends, and single spaces inside its lines."""
    return "\n".join(re.sub(r"[ \t]+", " ", line).strip() for line in text.strip().split("\n"))


def _digest(parts: object, chars: int) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:chars]
