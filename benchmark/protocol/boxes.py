"""Boxes in questions and in replies: read under declared units, and rewritten for a model that sees another size.

Units are never guessed from the size of the numbers: a box whose numbers do not fit the declared units is invalid.
What surprises: the size that a question states may differ from the decoded image; its boxes are pixels of the stated
size, so they are stretched to the image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rsvqa.annotation.facts import Box, as_shares
from rsvqa.annotation.images import ImageSize
from rsvqa.benchmark.models import BoxConvention, ModelView
from rsvqa.benchmark.protocol.thinking import final_text

EDGE_TOLERANCE = 0.01
"""Share of a side by which a replied box may reach beyond the image and is cut (models round); further is invalid."""

_NUMBER = r"-?\d{1,9}(?:\.\d{1,20})?"
_KEY = r"(?:[\"']?[xy](?:_?(?:min|max)|[0-3])[\"']?\s{0,3}[:=]\s{0,3})?"  # "x_min": or y1=
_GAP = (  # a comma, "), (", "><" or spaces
    r"(?:\s{0,3}(?:[,;，、]|[)\]]\s{0,3}[,，]?\s{0,3}[(\[]|>\s{0,3},?\s{0,3}<)\s{0,3}|\s{1,3})"
)
_NUMBERS = re.compile(rf"(?<![\w.-]){_KEY}{_NUMBER}(?:{_GAP}{_KEY}{_NUMBER})*(?!\w|\.\d|%)")
_TURNED = re.compile(r"\s{0,3}>?\s{0,3}\|\s{0,3}<?\s{0,3}-?\d")
"""An angle behind a box, "{<1><2><3><4>|<45>}": what it turns is another box."""
_KEYED_NUMBER = re.compile(rf"{_KEY}({_NUMBER})")

_COORDINATE = r"\s{0,3}\d{1,9}(?:\.\d{1,9})?\s{0,3}"
_POINT_OR_BOX = re.compile(rf"\[{_COORDINATE},{_COORDINATE}(?:,{_COORDINATE},{_COORDINATE})?\]")
_STATED_SIZE = re.compile(r"(Image resolution:\s{0,3})(\d{1,6})(\s{0,3}[x×*]\s{0,3})(\d{1,6})", re.IGNORECASE)

_PER_SIDE: dict[BoxConvention, float] = {"0-1": 1.0, "0-100": 100.0, "0-1000": 1000.0}


# --- replies ---


def read_box(reply: str, *, convention: BoxConvention, size: ImageSize, view: ModelView | None = None) -> Box | None:
    """Return the box that a reply gives, normalised to 0–1 of the original image; None for no or an invalid one.

    A box is four numbers in a row, in any brackets, also as two points or with keys ("x_min": …). Reasoning is left
    out. Invalid are several boxes that differ, turned ones, corners in the wrong order or on one line, and numbers that
    lie beyond the image by more than `EDGE_TOLERANCE` under the declared units.

    Args:
        reply: what the model wrote.
        convention: units of its numbers, as its adapter declares or the question states.
        size: of the original image.
        view: what the model saw; needed for "view_pixels" only.
    """
    boxes = set(replied_numbers(reply))
    if len(boxes) != 1:
        return None
    return _clipped(_normalised(boxes.pop(), convention, size, view))


def replied_numbers(reply: str) -> list[Box]:
    """Return every four numbers in a row that the reply's answer holds, as they stand there."""
    found = []
    text = final_text(reply) or ""
    for run in _NUMBERS.finditer(text):
        numbers = [float(number) for number in _KEYED_NUMBER.findall(run[0])]
        if len(numbers) == 4 and not _TURNED.match(text, run.end()):
            found.append(Box(*numbers))
    return found


def _normalised(box: Box, convention: BoxConvention, size: ImageSize, view: ModelView | None) -> Box:
    if convention in _PER_SIDE:
        return Box(*(value / _PER_SIDE[convention] for value in box))
    if convention == "view_pixels":
        if view is None:
            raise ValueError("boxes in pixels of the view cannot be read without the view; the adapter must state it")
        box = _from_view(box, view)
    return as_shares(box, size.width, size.height)


def _from_view(box: Box, view: ModelView) -> Box:
    return Box(
        (box.x_min - view.offset_x) / view.scale_x,
        (box.y_min - view.offset_y) / view.scale_y,
        (box.x_max - view.offset_x) / view.scale_x,
        (box.y_max - view.offset_y) / view.scale_y,
    )


def _clipped(box: Box) -> Box | None:
    if min(box) < -EDGE_TOLERANCE or max(box) > 1 + EDGE_TOLERANCE:
        return None
    box = Box(*(min(max(value, 0.0), 1.0) for value in box))
    return box if box.x_min < box.x_max and box.y_min < box.y_max else None


# --- questions ---


def find_boxes(text: str, size: ImageSize) -> tuple[Box, ...]:
    """Return the pixel boxes that a question names, in pixels of the image as it is stored.

    Boxes are four numbers in square brackets, pixels of the size that the text states as "Image resolution: W x H", or
    of the image where it states none. Four numbers of at most 1 are shares of the sides, and no pixel box.
    """
    stated = _stated_size(text) or size
    found = []
    for match in _POINT_OR_BOX.finditer(text):
        numbers = _coordinates(match[0])
        if len(numbers) == 4 and max(numbers) > 1:
            found.append(Box(*_scaled(numbers, size.width / stated.width, size.height / stated.height)))
    return tuple(found)


def rewrite_boxes(text: str, *, size: ImageSize, view: ModelView) -> str:
    """Return a question with its boxes, points and stated size as the model sees them, in whole pixels of the view.

    Boxes are found as in `find_boxes`. Points, two numbers in square brackets, are rewritten only in a text that states
    the image's size: elsewhere two numbers may mean anything. A text whose numbers are those of the view already, or
    that has none, comes back byte for byte.
    """
    stated = _stated_size(text)
    of = stated or size
    scale_x, scale_y = size.width / of.width * view.scale_x, size.height / of.height * view.scale_y
    seen_as = (of.width, of.height, scale_x, scale_y, view.offset_x, view.offset_y)
    if seen_as == (view.width, view.height, 1, 1, 0, 0):
        return text

    def rewritten(match: re.Match[str]) -> str:
        numbers = _coordinates(match[0])
        if max(numbers) <= 1 or (len(numbers) == 2 and stated is None):
            return match[0]
        seen = _scaled(numbers, scale_x, scale_y)
        offsets = (view.offset_x, view.offset_y) * 2
        return "[" + ", ".join(str(round(value + offset)) for value, offset in zip(seen, offsets, strict=False)) + "]"

    text = _POINT_OR_BOX.sub(rewritten, text)
    return _STATED_SIZE.sub(rf"\g<1>{view.width}\g<3>{view.height}", text)


def _stated_size(text: str) -> ImageSize | None:
    match = _STATED_SIZE.search(text)
    if match is None or int(match[2]) == 0 or int(match[4]) == 0:
        return None
    return ImageSize(width=int(match[2]), height=int(match[4]))


def _coordinates(bracketed: str) -> list[float]:
    return [float(number) for number in bracketed.strip("[]").split(",")]


def _scaled(numbers: Sequence[float], scale_x: float, scale_y: float) -> list[float]:
    return [number * (scale_y if place % 2 else scale_x) for place, number in enumerate(numbers)]
