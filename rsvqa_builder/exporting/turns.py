"""A question as the turns of a chat for one family of models: pictures, prompt and reply, with boxes in its units.

What surprises: texts are pieces here, words and boxes apart, as ms-swift wants the boxes beside its texts and everybody
else wants them written. A second picture of a part, or a call that enlarges one, never tells where the answer is: a
part is shown only where the question itself names the place; a call is the model's own, and part of what it learns.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from rsvqa.annotation.facts import Box, as_shares, in_pixels
from rsvqa.annotation.images import ImageError, ImageSize
from rsvqa.annotation.stored_evidence import decode_geometry, decode_mark
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.annotation.wording.box_units import UNITS_SAID, ask_in_units
from rsvqa.rsvqa_builder.dataset.prompts import exchange_of, mark_fault, placeholder_fault
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.rows import StoredQuestion
from rsvqa.rsvqa_builder.exporting.families import BoxFamily
from rsvqa.rsvqa_builder.exporting.pictures import Picture, PictureMaker
from rsvqa.rsvqa_builder.scenes.tiling import Window

PictureChoice = Literal["whole", "parts", "zoom"]
PICTURE_CHOICES: tuple[PictureChoice, ...] = get_args(PictureChoice)
"""`whole`: what the question shows; `parts`: and the surroundings of the place it names; `zoom`: a call for those."""

AnswerType = Literal["letter", "letters", "box", "text"]
UNNAMED_OBJECT = "object"
"""Name in the answer of a box whose class no evidence states."""

MIN_PART_PX = 448
_SURROUNDINGS = 3
"""A part is so many times as long as what it is about."""

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_WRITTEN = re.compile(rf"\[{_NUMBER},{_NUMBER}(?:,{_NUMBER},{_NUMBER})?\]")


class PlacedBox(NamedTuple):
    """A box, or a point of two numbers, as shares of its picture's sides; one that is answered has a name."""

    shares: tuple[float, ...]
    name: str | None = None


Pieces = tuple[str | PlacedBox, ...]


class ZoomCall(NamedTuple):
    """A call of the model for a part of the first picture, and what it gets."""

    place: PlacedBox
    picture: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """One question as it is trained on.

    Attributes:
        question: the row that it comes from.
        pictures: shown with the prompt, in order.
        prompt, reply: in pieces.
        zoom: what the model calls for between them.
    """

    question: StoredQuestion
    pictures: tuple[Picture, ...]
    prompt: Pieces
    reply: Pieces
    zoom: ZoomCall | None = None

    @property
    def answer_type(self) -> AnswerType:
        """What a scorer looks for in a reply."""
        return _ANSWER_TYPES[self.question.record.form]

    def text(self, pieces: Pieces, family: BoxFamily) -> str:
        """Return pieces as one text, boxes in the family's units; all of them are of the first picture."""
        seen = self.pictures[0].seen
        return "".join(
            piece if isinstance(piece, str) else family.write(family.numbers(piece.shares, seen), piece.name)
            for piece in pieces
        )


_ANSWER_TYPES: dict[AnswerForm, AnswerType] = {
    AnswerForm.ONE_OF: "letter",
    AnswerForm.YES_NO: "letter",
    AnswerForm.SEVERAL_OF: "letters",
    AnswerForm.BOX: "box",
    AnswerForm.TEXT: "text",
    AnswerForm.WORDS: "text",
}


class TurnMaker:
    """Makes the turns of questions for one family, one budget and one choice of pictures."""

    def __init__(self, family: BoxFamily, max_pixels: int | None, choice: PictureChoice) -> None:
        self.family = family
        self._choice = choice
        self._pictures = PictureMaker(family, max_pixels)

    def begin_row_group(self) -> None:
        """Other pictures come now."""
        self._pictures.forget()

    def unfit(self, question: StoredQuestion) -> str | None:
        """Return why a question cannot be put to the family, or None."""
        if fault := placeholder_fault(question.record) or self._pictures.unfit(question.images[0]):
            return fault
        if question.record.form is AnswerForm.BOX and self._asked(question.record) is None:
            return f"question states the units of its box in words that cannot be turned into {self.family.units}"
        if (
            self.family.units != "0-1"
            and _WRITTEN.search(question.record.question)
            and not (_stated_size(question.record.question, question))
        ):
            return "point without the image's size"
        try:
            turns = self.make(question)
        except ImageError:
            return "image broken or not of the row's size"
        if self.family.units == "0-1" and _has_vanished(turns):
            return "box smaller than a pixel of the reduced picture"
        for place in (piece for piece in (*turns.prompt, *turns.reply) if isinstance(piece, PlacedBox)):
            if fault := mark_fault(place.name or ""):
                return fault
            numbers = [float(number) for number in self.family.numbers(place.shares, turns.pictures[0].seen)]
            if len(numbers) == 4 and not _is_box(numbers):
                return "box smaller than a unit of the model's"
        return None

    def make(self, question: StoredQuestion) -> Turns:
        """Return the turns of a question that fits."""
        prompt, reply = self._texts(question)
        pictures = [self._pictures.whole(image) for image in question.images]
        zoom = None
        if self._choice == "parts" and (window := _window(question, _told_place(question))):
            pictures.append(self._pictures.part(question.images[0], window))
            place = self.family.write(self.family.numbers(_shares(window, question), pictures[0].seen), None)
            told = f"The last picture shows the part {place} of the first, {UNITS_SAID[self.family.units]}.\n"
            prompt = (told, *prompt)
        if self._choice == "zoom" and (window := _window(question, _told_place(question) or _evidence_place(question))):
            part = self._pictures.part(question.images[0], window)
            zoom = ZoomCall(PlacedBox(_shares(window, question)), part)
        return Turns(question=question, pictures=tuple(pictures), prompt=prompt, reply=reply, zoom=zoom)

    def _seen(self, question: StoredQuestion) -> ImageSize:
        return self._pictures.whole(question.images[0]).seen

    def _texts(self, question: StoredQuestion) -> tuple[Pieces, Pieces]:
        record = question.record
        if record.form is not AnswerForm.BOX:
            prompt, reply = exchange_of(record)
            return self._in_units(prompt, question), (reply,)
        asked = self._asked(record)
        assert asked is not None, "`unfit` was asked before"
        assert record.bbox is not None, "`defect` was asked before"
        if self.family.units == "0-1":
            return self._in_units(asked, question), (record.answer,)
        name = str(record.evidence.get("values", {}).get("class", UNNAMED_OBJECT))
        return self._in_units(asked, question), (PlacedBox(tuple(record.bbox), name),)

    def _asked(self, record: Record) -> str | None:
        if self.family.units == "0-1":
            return exchange_of(record).prompt
        return ask_in_units(record.question, self.family.units, self.family.form)

    def _in_units(self, text: str, question: StoredQuestion) -> Pieces:
        """Return a prompt in pieces, the boxes and points that it gives apart, where it states the image's size."""
        seen = self._seen(question)
        if not (size := _stated_size(text, question)) or (self.family.units == "0-1" and size.says(seen)):
            return (text,)
        pieces: list[str | PlacedBox] = []
        end = 0
        for found in _WRITTEN.finditer(text):
            numbers = [float(number) for number in found.groups() if number is not None]
            shares = tuple(number / side for number, side in zip(numbers, question.size * 2, strict=False))
            pieces += [text[end : found.start()], self._given(shares, question.record)]
            end = found.end()
        pieces.append(text[end:])
        if self.family.units == "0-1":  # the benchmark's own form: pixels of the picture, and its size
            pieces = [piece if isinstance(piece, str) else _pixel_text(piece.shares, seen) for piece in pieces]
        elif self.family.units != "pixels" and len(pieces) > 1 and question.record.form is not AnswerForm.BOX:
            pieces[2] = f" ({UNITS_SAID[self.family.units]}){pieces[2]}"
        return tuple(size.replaced(piece, seen) if isinstance(piece, str) else piece for piece in pieces)

    def _given(self, shares: tuple[float, ...], record: Record) -> PlacedBox:
        """Return a box that a text gives in whole pixels, by the row's own numbers where it is the row's box."""
        own = record.bbox
        width, height = record.tile.window.width, record.tile.window.height
        if own is not None and len(shares) == 4 and record.form is not AnswerForm.BOX:
            near = in_pixels(own, width, height)
            written = in_pixels(Box(*shares), width, height)
            if all(abs(one - other) <= 2 for one, other in zip(written, near, strict=True)):
                return PlacedBox(tuple(own))
        return PlacedBox(shares)


def _is_box(numbers: Sequence[float]) -> bool:
    return numbers[0] < numbers[2] and numbers[1] < numbers[3]


def _has_vanished(turns: Turns) -> bool:
    """Return whether a box that the prompt gives, in pixels of the picture, has no extent once that is reduced."""
    seen = turns.pictures[0].seen
    if (seen.width, seen.height) == turns.question.size:
        return False
    written = [match for text in turns.prompt if isinstance(text, str) for match in _WRITTEN.finditer(text)]
    return any(match[3] and not _is_box([float(number) for number in match.groups()]) for match in written)


class _StatedSize(NamedTuple):
    """How a text says the size of its image."""

    pattern: re.Pattern[str]
    size: ImageSize

    def says(self, size: ImageSize) -> bool:
        return self.size == size

    def replaced(self, text: str, size: ImageSize) -> str:
        return self.pattern.sub(rf"{size.width}\g<1>{size.height}", text)


def _stated_size(text: str, question: StoredQuestion) -> _StatedSize | None:
    width, height = question.size
    pattern = re.compile(rf"(?<!\d){width}(\s*[x×]\s*){height}(?!\d)")
    return _StatedSize(pattern, ImageSize(height, width)) if pattern.search(text) else None


def _pixel_text(shares: Sequence[float], seen: ImageSize) -> str:
    sides = (seen.width, seen.height) * 2
    return "[" + ", ".join(str(round(share * side)) for share, side in zip(shares, sides, strict=False)) + "]"


# --- parts ---


def _told_place(question: StoredQuestion) -> Box | None:
    """Return the place that a question itself names, pixels: its box, or the circle drawn on its picture."""
    record = question.record
    if record.bbox is not None and record.form is not AnswerForm.BOX:
        return in_pixels(record.bbox, *question.size)
    if mark := decode_mark(record.evidence):
        x, y, radius = mark.circle
        return Box(x - radius, y - radius, x + radius, y + radius)
    return None


def _evidence_place(question: StoredQuestion) -> Box | None:
    """Return where the answer is seen, pixels."""
    record = question.record
    if record.bbox is not None:
        return in_pixels(record.bbox, *question.size)
    geometry = decode_geometry(record.evidence)
    return None if geometry is None else Box(*geometry.bounds)


def _window(question: StoredQuestion, place: Box | None) -> Window | None:
    """Return the surroundings of a place as a square window; None without one, and where that is most of the tile.

    The square is moved by chance within what still holds the place, or its middle would always be the answer.
    """
    width, height = question.size
    if place is None:
        return None
    longest = max(place.x_max - place.x_min, place.y_max - place.y_min)
    side = max(MIN_PART_PX, round(_SURROUNDINGS * longest))
    if 2 * side > min(width, height):
        return None
    digest = hashlib.sha256(question.record.question_id.encode()).digest()
    x = _start(place.x_min, place.x_max, side, width, digest[0] / 255)
    y = _start(place.y_min, place.y_max, side, height, digest[1] / 255)
    return Window(x, y, side, side)


def _start(first: float, last: float, side: int, length: int, chance: float) -> int:
    margin = side - (last - first)
    return min(max(0, round(first - margin * (0.25 + 0.5 * chance))), length - side)


def _shares(window: Window, question: StoredQuestion) -> tuple[float, ...]:
    box = Box(window.x, window.y, window.x + window.width, window.y + window.height)
    return tuple(as_shares(box, *question.size))


ZOOM_TOOL = {
    "type": "function",
    "function": {
        "name": "zoom",
        "description": "Shows a part of the first picture at a higher resolution.",
        "parameters": {
            "type": "object",
            "properties": {"bbox_2d": {"type": "array", "items": {"type": "number"}, "description": "The part's box."}},
            "required": ["bbox_2d"],
        },
    },
}


def zoom_arguments(turns: Turns, family: BoxFamily) -> str:
    """Return the call of a zoom as JSON, its box in the family's units."""
    assert turns.zoom is not None
    numbers = [json.loads(number) for number in family.numbers(turns.zoom.place.shares, turns.pictures[0].seen)]
    return json.dumps({"name": "zoom", "arguments": {"bbox_2d": numbers}})
