"""What is shown of a question and of the replies to it, as data: the report draws it here, the pages to browse there.

Boxes are in pixels of the first image, so they lie right whatever the size of its thumbnail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rsvqa.annotation.facts import Box, in_pixels
from rsvqa.annotation.images import ImageSize
from rsvqa.annotation.lettering import LETTERS, option_texts
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.files.stored_replies import StoredImage, StoredReply
from rsvqa.benchmark.protocol.boxes import find_boxes
from rsvqa.benchmark.scores.labels import label_of
from rsvqa.benchmark.scores.measures import Measured
from rsvqa.benchmark.scores.score import AnswerOutcome
from rsvqa.benchmark.scores.scoring import replied_box

BOX_NAMES = {"asked": "asked about", "right": "right box", "said": "replied box", "looked": "looked at"}
OUTCOME_NAMES = {
    AnswerOutcome.RIGHT: "right",
    AnswerOutcome.WRONG: "wrong",
    AnswerOutcome.NO_ANSWER: "no answer",
    AnswerOutcome.NOT_SCORED: "not scored",
}


@dataclass(frozen=True, slots=True)
class CardPicture:
    """An image of a question; `caption` is its size in words."""

    sha256: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardBox:
    """A box to draw.

    Attributes:
        kind: a key of `BOX_NAMES`.
        x, y, width, height: in pixels of the image, to a tenth.
        ring: centre and radius of a circle around a box that is too small to be seen; None for others.
    """

    kind: str
    x: float
    y: float
    width: float
    height: float
    ring: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class CardOption:
    """An option, and whether it is right."""

    letter: str
    text: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class CardLook:
    """A call before the answer: what was sent and what came back."""

    sent: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAnswer:
    """What one run made of the question.

    Attributes:
        reply: None when there is none, then `failure` says why.
        letters: of the options that the strict parser read from it.
        verdicts: how each parser judges it.
        prompt: as the model got it.
        looks: all calls but the last, which is the reply.
        facts: time and tokens, in words.
        views: what the model saw of each picture, in words; empty where that is not known.
        boxes: that the model replied or looked at.
    """

    reply: str | None
    failure: str | None
    letters: str
    verdicts: tuple[str, ...]
    prompt: str
    boxes_rewritten: bool
    looks: tuple[CardLook, ...]
    facts: tuple[str, ...]
    views: tuple[str, ...]
    boxes: tuple[CardBox, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCard:
    """A question with the answers of one run, or of several that asked the same.

    Attributes:
        task, short: name of the task and its abbreviation.
        references: right captions or words.
        boxes: asked about, or right.
        answers: one per run, in the order given; None for a run that did not ask it.
    """

    sample_id: str
    task: str
    short: str
    language: str
    question: str
    options: tuple[CardOption, ...]
    references: tuple[str, ...]
    pictures: tuple[CardPicture, ...]
    boxes: tuple[CardBox, ...]
    answers: tuple[CardAnswer | None, ...]


def make_card(runs: Sequence[Measured | None]) -> SampleCard:
    """Return the card of a question that runs were asked; the first of them asked it.

    A run that failed before it read the images does not know them; then they are those of another.
    """
    asked = [one for one in runs if one is not None]
    reply = asked[0].reply
    images = next((one.reply.images for one in asked if one.reply.images), ())
    label = label_of(reply)
    options = tuple(
        CardOption(letter, text, letter in reply.answer)
        for letter, text in zip(LETTERS, option_texts(reply.options), strict=False)
    )
    return SampleCard(
        sample_id=reply.sample_id,
        task=label.title,
        short=label.short,
        language=reply.language,
        question=reply.question,
        options=options,
        references=reply.references,
        pictures=tuple(_picture(image) for image in images),
        boxes=tuple(_asked_boxes(reply, images[0])) if images else (),
        answers=tuple(None if one is None else _answer(one) for one in runs),
    )


def is_disputed(one: Measured) -> bool:
    """Tell whether the strict parser and the published extraction judge a reply differently."""
    return (
        one.is_scored
        and one.is_judged
        and one.score.official is not None
        and one.score.strict is not one.score.official
    )


def _picture(image: StoredImage) -> CardPicture:
    return CardPicture(image.sha256, image.width, image.height, f"{image.width:,} × {image.height:,} px")


def _answer(one: Measured) -> CardAnswer:
    reply = one.reply
    return CardAnswer(
        reply=reply.reply,
        failure=reply.failure,
        letters=one.score.strict_letters,
        verdicts=tuple(_verdicts(one)),
        prompt=reply.prompt,
        boxes_rewritten=reply.boxes_rewritten,
        looks=tuple(CardLook(look.sent, look.text) for look in reply.looks[:-1]),
        facts=tuple(_facts(reply)),
        views=tuple(_view(image) for image in reply.images),
        boxes=tuple(_model_boxes(reply)),
    )


def _verdicts(one: Measured) -> Iterable[str]:
    if one.score.iou is not None:
        return [f"IoU {one.score.iou:.3f}"]
    return [
        f"{name}: {OUTCOME_NAMES[outcome]}{f' ({letters})' if letters else ''}"
        for name, outcome, letters in (
            ("strict", one.score.strict, one.score.strict_letters),
            ("official", one.score.official, one.score.official_letters),
            ("permissive", one.score.permissive, one.score.permissive_letters),
            ("judge", one.score.judge, one.score.judge_text),
        )
        if outcome is not None
    ]


def _facts(reply: StoredReply) -> Iterable[str]:
    facts: Iterable[tuple[float | None, Callable[[float], str]]] = (
        (reply.seconds or None, lambda value: f"{value:.2f} s"),
        (reply.num_prompt_tokens, lambda value: f"{value:,} prompt tokens"),
        (reply.num_visual_tokens, lambda value: f"{value:,} visual"),
        (reply.num_new_tokens, lambda value: f"{value:,} new"),
    )
    yield from (wording(value) for value, wording in facts if value is not None)
    if reply.reply is not None and not reply.ended:
        yield "cut at the bound of new tokens"


def _view(image: StoredImage) -> str:
    if image.view_width is None or image.view_height is None:
        return ""
    return f"seen as {image.view_width:,} × {image.view_height:,}"


def _asked_boxes(reply: StoredReply, image: StoredImage) -> Iterable[CardBox]:
    """Return the boxes that the question names, then the right one."""
    for box in find_boxes(reply.question, ImageSize(image.height, image.width)):
        yield _drawn("asked", box, image)
    if reply.form is AnswerForm.BOX and reply.box is not None:
        yield _drawn("right", in_pixels(Box(*reply.box), image.width, image.height), image)


def _model_boxes(reply: StoredReply) -> Iterable[CardBox]:
    """Return the box that was replied, then the windows that the model looked at."""
    if not reply.images:
        return
    image = reply.images[0]
    if reply.form is AnswerForm.BOX and (said := replied_box(reply)) is not None:
        yield _drawn("said", in_pixels(said, image.width, image.height), image)
    for x, y, width, height in reply.looks[-1].windows if reply.looks else ():
        yield _drawn("looked", Box(x, y, x + width, y + height), image)


def _drawn(kind: str, box: Box, image: StoredImage) -> CardBox:
    width, height = box.x_max - box.x_min, box.y_max - box.y_min
    radius = max(image.width, image.height) / 40
    ring = None
    if max(width, height) < radius / 2:
        ring = (round((box.x_min + box.x_max) / 2, 1), round((box.y_min + box.y_max) / 2, 1), round(radius, 1))
    return CardBox(
        kind=kind,
        x=round(box.x_min, 1),
        y=round(box.y_min, 1),
        width=round(width, 1),
        height=round(height, 1),
        ring=ring,
    )
