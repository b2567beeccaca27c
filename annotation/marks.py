"""Numbered red circles: which regions can share one marked copy of a tile, and drawing them on it.

One copy serves all regional questions of a tile, so no circle may touch another, and a question tells its circle by the
number. Nothing inside a circle is ever painted over: the ring lies outside the circle's radius, and a number goes where
it hides no region, as long as there is such a place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rsvqa.annotation.facts import Circle
from rsvqa.annotation.questions import Question

MAX_MARKS = 9
"""More circles make a tile hard to read, and a second digit its numbers."""

MARKS_OVERLAP = "marks overlap"
TOO_MANY_MARKS = "too many marks"

_RED = (255, 0, 0)
_WHITE = (255, 255, 255)
_LINE_SHARE = 0.0015
_MIN_LINE_PX = 3
_FONT_SHARE = 0.025
_MIN_FONT_PX = 16
_ROWS_AT_ONCE = 64
"""A ring is painted in bands of this many rows: a circle may be thousands of pixels wide."""


class Mark(NamedTuple):
    """One numbered circle."""

    number: int
    circle: Circle


@dataclass(frozen=True, slots=True)
class MarkPlan:
    """The circles of one tile.

    Attributes:
        marks: in the order of their numbers, which begin at 1.
        numbers: number of the circle by the index of its question.
        rejected: why a question gets no circle, `MARKS_OVERLAP` or `TOO_MANY_MARKS`, by its index.
    """

    marks: tuple[Mark, ...]
    numbers: Mapping[int, int]
    rejected: Mapping[int, str]


class MarkStyle(NamedTuple):
    """Sizes in pixels of what is painted: red line, white halo on either side of it, and height of the numbers."""

    line: int
    halo: int
    font: int

    @property
    def ring(self) -> int:
        """Return the whole width of the ring outside of the circle."""
        return self.line + 2 * self.halo


def mark_style(width: int, height: int) -> MarkStyle:
    """Return the sizes for a tile of `width` and `height` pixels, so that marks look alike at any size."""
    short_side = min(width, height)
    line = max(_MIN_LINE_PX, round(_LINE_SHARE * short_side))
    return MarkStyle(line, halo=max(1, line // 3), font=max(_MIN_FONT_PX, round(_FONT_SHARE * short_side)))


class MarkPlacer:
    """Accepts circles one by one as long as they can stand on one image."""

    def __init__(self, *, width: int, height: int, max_marks: int = MAX_MARKS) -> None:
        self._ring = mark_style(width, height).ring
        self._max_marks = max_marks
        self._circles: list[Circle] = []

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The accepted circles with their numbers, in order of first use."""
        return tuple(Mark(number, circle) for number, circle in enumerate(self._circles, 1))

    def place(self, circle: Circle) -> int | str:
        """Return the number of `circle`, or the reason why it cannot be marked.

        An identical circle has its number already. A different one must keep clear of every accepted ring.
        """
        if circle in self._circles:
            return self._circles.index(circle) + 1
        if any(_gap(circle, other) < 2 * self._ring for other in self._circles):
            return MARKS_OVERLAP
        if len(self._circles) >= self._max_marks:
            return TOO_MANY_MARKS
        self._circles.append(circle)
        return len(self._circles)


def place_marks(questions: Sequence[Question], *, width: int, height: int, max_marks: int = MAX_MARKS) -> MarkPlan:
    """Return the circles of `questions` on one image, first come first served; questions without a region need none."""
    placer = MarkPlacer(width=width, height=height, max_marks=max_marks)
    numbers: dict[int, int] = {}
    rejected: dict[int, str] = {}
    for index, question in enumerate(questions):
        if question.region is None:
            continue
        placed = placer.place(question.region)
        if isinstance(placed, int):
            numbers[index] = placed
        else:
            rejected[index] = placed
    return MarkPlan(placer.marks, numbers, rejected)


def _gap(one: Circle, other: Circle) -> float:
    """Return the distance between two circles' rims in pixels; negative when they overlap or one holds the other."""
    return math.hypot(one.x - other.x, one.y - other.y) - one.radius - other.radius


# --- drawing --------------------------------------------------------------------------------------------------------


def draw_marks(pixels: NDArray[np.uint8], marks: Sequence[Mark]) -> None:
    """Paint `marks` in place on `pixels`, (height, width, 3) uint8 RGB.

    Only bands of rows and the numbers' small rectangles are copied, never the whole image. Equal input gives equal
    bytes.
    """
    height, width, _ = pixels.shape
    style = mark_style(width, height)
    for mark in marks:
        _draw_ring(pixels, mark.circle, style)
    taken: list[_Rectangle] = []
    for mark in marks:
        label = _label(mark.number, style)
        place = _label_place(mark, label, marks, taken, style, size=(height, width))
        taken.append(place)
        _paste_label(pixels, label, place)


def _draw_ring(pixels: NDArray[np.uint8], circle: Circle, style: MarkStyle) -> None:
    """Paint a red ring with a white halo on both sides; its inner edge is the circle's radius."""
    height, width, _ = pixels.shape
    outer = circle.radius + style.ring
    middle = circle.radius + style.ring / 2
    bottom = _clamped(circle.y + outer + 1, height)
    # Distances are between the circle's centre and pixel centres.
    for first in range(_clamped(circle.y - outer, height), bottom, _ROWS_AT_ONCE):
        dy = np.arange(first, min(first + _ROWS_AT_ONCE, bottom)) + 0.5 - circle.y
        for left, right in _ring_columns(circle, outer, np.abs(dy), width):
            dx = np.arange(left, right) + 0.5 - circle.x
            from_line = np.abs(np.sqrt(dy[:, None] ** 2 + dx[None, :] ** 2) - middle)
            _paint(pixels[first : first + len(dy), left:right], from_line, style)


def _paint(part: NDArray[np.uint8], from_line: NDArray[np.float64], style: MarkStyle) -> None:
    """Paint the ring on a part of the image whose pixels are so far from the middle of its line."""
    # A pixel is white as far as the whole ring covers it, and red over that as far as the line does.
    white, red = style.ring / 2, style.line / 2 + 0.5
    is_red = from_line <= red - 1
    is_white = (from_line <= white - 1) & ~is_red
    whole = part.view(_PIXEL)[..., 0]  # one number per pixel is set several times as fast as three
    whole[is_white] = _as_pixel(_WHITE)
    whole[is_red] = _as_pixel(_RED)
    # Only the two edges of a line are mixed, which is slow.
    for colour, cover, is_whole in ((_WHITE, white, is_white | is_red), (_RED, red, is_red)):
        rows, columns = np.nonzero((from_line < cover) & ~is_whole)
        share = (cover - from_line[rows, columns])[:, None]
        mixed = part[rows, columns] * (1 - share) + np.array(colour) * share
        part[rows, columns] = np.round(mixed).astype(np.uint8)


_PIXEL = np.dtype("V3")


def _as_pixel(colour: tuple[int, int, int]) -> NDArray[np.void]:
    pixel: NDArray[np.void] = np.array(colour, dtype=np.uint8).view(_PIXEL)
    return pixel


def _ring_columns(
    circle: Circle, outer: float, distances: NDArray[np.float64], width: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the column ranges, left and right of the centre, that hold the ring in rows at the given `distances`.

    Without this the whole square around a circle of a thousand pixels would be computed for its thin rim.
    """
    inner_half = math.sqrt(max(circle.radius**2 - float(distances.max()) ** 2, 0))
    outer_half = math.sqrt(max(outer**2 - float(distances.min()) ** 2, 0))
    centre = _clamped(circle.x, width)
    return (
        (_clamped(circle.x - outer_half - 1, width), min(_clamped(circle.x - inner_half + 1, width), centre)),
        (max(_clamped(circle.x + inner_half - 1, width), centre), _clamped(circle.x + outer_half + 2, width)),
    )


def _clamped(value: float, size: int) -> int:
    return min(max(math.floor(value), 0), size)


class _Rectangle(NamedTuple):
    """Whole pixels, exclusive maximum."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


def _label(number: int, style: MarkStyle) -> NDArray[np.uint8]:
    """Return the number in red with a white outline as (height, width, 4) uint8 RGBA, cut to what is painted."""
    font = ImageFont.load_default(size=style.font)
    bold = max(1, style.font // 24)  # the bundled font is thin
    outline = bold + style.halo + 1
    side = 2 * (style.font + outline)
    canvas = Image.new("RGBA", (side * len(str(number)), side), (*_WHITE, 0))
    draw = ImageDraw.Draw(canvas)
    for colour, stroke in ((_WHITE, outline), (_RED, bold)):
        paint = (*colour, 255)
        draw.text((outline, outline), str(number), fill=paint, font=font, stroke_width=stroke, stroke_fill=paint)
    return np.asarray(canvas.crop(canvas.getchannel("A").getbbox()))


def _label_place(
    mark: Mark,
    label: NDArray[np.uint8],
    marks: Sequence[Mark],
    taken: Sequence[_Rectangle],
    style: MarkStyle,
    *,
    size: tuple[int, int],
) -> _Rectangle:
    """Return where the number goes: beside the ring, hiding as little of any region and other number as can be.

    The first of equally good places wins, beginning at the upper right.
    """
    candidates = [_beside(mark.circle, angle_deg, label, style, size) for angle_deg in _LABEL_ANGLES_DEG]

    def hidden(place: _Rectangle) -> float:
        regions = sum(_depth(place, other.circle, style) for other in marks)
        return regions + sum(_overlap(place, other) for other in taken)

    return min(candidates, key=hidden)


_LABEL_ANGLES_DEG = (-45, -135, 45, 135, -90, 0, 180, 90)
"""From the x axis, clockwise in the image: the corners of a circle's square have room, so they come first."""


def _beside(
    circle: Circle, angle_deg: int, label: NDArray[np.uint8], style: MarkStyle, size: tuple[int, int]
) -> _Rectangle:
    """Return the label's rectangle just outside the ring in a direction, pushed into the image where it sticks out."""
    label_height, label_width, _ = label.shape
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    # The label's half diagonal keeps its nearest corner off the ring.
    away = circle.radius + style.ring + style.halo + math.hypot(label_width, label_height) / 2
    height, width = size
    x = min(max(round(circle.x + away * cos - label_width / 2), 0), max(width - label_width, 0))
    y = min(max(round(circle.y + away * sin - label_height / 2), 0), max(height - label_height, 0))
    return _Rectangle(x, y, min(x + label_width, width), min(y + label_height, height))


def _depth(place: _Rectangle, circle: Circle, style: MarkStyle) -> float:
    """Return how many pixels a rectangle reaches into a circle's ring and region; 0 when it keeps clear."""
    dx = max(place.x_min - circle.x, 0, circle.x - place.x_max)
    dy = max(place.y_min - circle.y, 0, circle.y - place.y_max)
    return max(circle.radius + style.ring - math.hypot(dx, dy), 0)


def _overlap(one: _Rectangle, other: _Rectangle) -> float:
    """Return the shorter side, in pixels, of what two rectangles share; 0 when they do not touch."""
    shared_width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    shared_height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    return max(min(shared_width, shared_height), 0)


def _paste_label(pixels: NDArray[np.uint8], label: NDArray[np.uint8], place: _Rectangle) -> None:
    target = pixels[place.y_min : place.y_max, place.x_min : place.x_max]
    cut = label[: target.shape[0], : target.shape[1]]
    share = cut[..., 3:] / 255
    target[:] = np.round(target * (1 - share) + cut[..., :3] * share).astype(np.uint8)
