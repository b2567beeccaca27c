"""Pictures for a model: never a huge image whole, but what it can see well.

Either the tile reduced and its nine parts, as XLRS-Bench's captions were made, or the part that a question is about
with some of what is around it, beside the reduced tile. Sizes are bounded by what the endpoint sees (`CropSettings`).
What surprises: the part around the box of a grounding question is not centred on it, for the place would be the answer.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from PIL import Image, ImageDraw

from rsvqa.annotation.facts import Box
from rsvqa.annotation.images import Pixels, reduce_image
from rsvqa.annotation.llm.items import QuestionItem, ShownImage, bounds_of
from rsvqa.annotation.llm.requests import RequestPicture
from rsvqa.annotation.taxonomy import AnswerForm

_WHOLE_TASKS = frozenset(
    {
        "overall_counting",
        "overall_land_use",
        "conditional_counting",
        "detailed_captioning",
        "anomaly_detection",
        "environmental_reasoning",
        "object_presence",
    }
)
"""Tasks whose answer needs the whole tile, or would be told by the choice of a part (is there an anomaly?)."""

_RED = (255, 0, 0)
_LINE_PX = 2
_MIN_CROP_PX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CropSettings:
    """What an endpoint is shown.

    Attributes:
        overview_px: longest side of the reduced tile.
        part_px: longest side of each of the nine parts.
        crop_px: longest side of the part that a question is about.
        context: how much is shown around it, in lengths of its longer side, on each side.
        jpeg_quality: 1 to 95.
    """

    overview_px: int = 1_024
    part_px: int = 768
    crop_px: int = 1_024
    context: float = 1.0
    jpeg_quality: int = 85


class CropWindow(NamedTuple):
    """A window of the tile, whole pixels; the maximum is exclusive."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.x_max - self.x_min, self.y_max - self.y_min


@dataclass(frozen=True, slots=True)
class Shown:
    """What a model is shown of an item: pictures, a sentence each that says what it is, and the last one's window."""

    pictures: tuple[RequestPicture, ...]
    captions: tuple[str, ...]
    frame: CropWindow

    @property
    def legend(self) -> str:
        """The captions, numbered, one per line."""
        return "\n".join(f"Picture {number}: {caption}" for number, caption in enumerate(self.captions, 1))


def nine_frames(width: int, height: int) -> tuple[CropWindow, ...]:
    """Return the nine parts of a tile, left to right and top to bottom; together they cover every pixel once."""
    xs = [round(width * third / 3) for third in range(4)]
    ys = [round(height * third / 3) for third in range(4)]
    return tuple(CropWindow(xs[c], ys[r], xs[c + 1], ys[r + 1]) for r in range(3) for c in range(3))


PART_NAMES = (
    "top left",
    "top centre",
    "top right",
    "middle left",
    "centre",
    "middle right",
    "bottom left",
    "bottom centre",
    "bottom right",
)


def focus_of(item: QuestionItem) -> Box | None:
    """Return what a question is about, in tile pixels; None for the whole tile."""
    if item.task in _WHOLE_TASKS:
        return None
    if item.region is not None:
        x, y, radius = item.region
        return Box(x - radius, y - radius, x + radius, y + radius)
    boxes = [box for box in (item.box, bounds_of(item)) if box is not None]
    if not boxes:
        return None
    return Box(
        min(box.x_min for box in boxes),
        min(box.y_min for box in boxes),
        max(box.x_max for box in boxes),
        max(box.y_max for box in boxes),
    )


def frame_around(item: QuestionItem, focus: Box, context: float) -> CropWindow:
    """Return the window that shows `focus` with its surroundings, inside the tile.

    The window of a box to be found is moved by a chance that follows from the question's id alone.
    """
    around = max(context * max(focus.x_max - focus.x_min, focus.y_max - focus.y_min), _MIN_CROP_PX / 2)
    shift_x = shift_y = 0.0
    if item.form is AnswerForm.BOX:
        rng = random.Random(f"{item.question_id}/crop")
        shift_x, shift_y = (rng.uniform(-0.8, 0.8) * around for _ in range(2))
    return CropWindow(
        max(0, int(focus.x_min - around + shift_x)),
        max(0, int(focus.y_min - around + shift_y)),
        min(item.width, int(focus.x_max + around + shift_x) + 1),
        min(item.height, int(focus.y_max + around + shift_y) + 1),
    )


def show(item: QuestionItem, settings: CropSettings) -> Shown:
    """Return the pictures for a question: of the whole tile overview and nine parts, else overview and part.

    A question about two dates gets the part on both.
    """
    focus = focus_of(item)
    return show_whole(item, settings) if focus is None else show_part(item, focus, settings)


def show_part(item: QuestionItem, focus: Box, settings: CropSettings) -> Shown:
    """Return overview and the part around `focus`, on each date."""
    frame = frame_around(item, focus, settings.context)
    outline = None if item.form is AnswerForm.BOX else item.box
    pictures: list[RequestPicture] = []
    captions: list[str] = []
    for view, date in zip(item.views, _dates(item), strict=True):
        pictures += [
            _shared_picture(view, _whole(item), settings.overview_px, settings),
            picture_of(view.load(), frame, settings.crop_px, settings, outline=outline),
        ]
        captions += [f"the whole image{date}, reduced", f"{_place(frame)} of the image{date}"]
    return Shown(tuple(pictures), tuple(captions), frame)


def show_whole(item: QuestionItem, settings: CropSettings) -> Shown:
    """Return the reduced tile and its nine parts; of a tile that is no larger than the overview, the tile alone."""
    frame, view = _whole(item), item.views[0]
    pictures = [_shared_picture(view, frame, settings.overview_px, settings)]
    captions = ["the whole image" if max(frame.size) <= settings.overview_px else "the whole image, reduced"]
    if max(frame.size) > settings.overview_px:
        for part, name in zip(nine_frames(item.width, item.height), PART_NAMES, strict=True):
            pictures.append(_shared_picture(view, part, settings.part_px, settings))
            captions.append(f"the {name} part of the image, {_place(part)}")
    return Shown(tuple(pictures), tuple(captions), frame)


@lru_cache(maxsize=32)
def _shared_picture(view: ShownImage, frame: CropWindow, longest_px: int, settings: CropSettings) -> RequestPicture:
    """Return a picture that many questions about one tile show: reducing 8,192 pixels takes longer than asking."""
    return picture_of(view.load(), frame, longest_px, settings)


def picture_of(
    pixels: Pixels, frame: CropWindow, longest_px: int, settings: CropSettings, *, outline: Box | None = None
) -> RequestPicture:
    """Return a window of a tile as JPEG, reduced where its longer side exceeds `longest_px`.

    Args:
        pixels: of the tile.
        frame: the window.
        longest_px: bound of the picture's longer side.
        settings: quality.
        outline: in tile pixels; gets a red line around it, outside of it.
    """
    part = pixels[frame.y_min : frame.y_max, frame.x_min : frame.x_max]
    ratio = min(1.0, longest_px / max(part.shape[:2]))
    image = Image.fromarray(reduce_image(part, longest_px))
    if outline is not None:
        _draw_outline(image, outline, frame, ratio)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=settings.jpeg_quality)
    return RequestPicture(stream.getvalue(), "image/jpeg", "high")


def _draw_outline(image: Image.Image, box: Box, frame: CropWindow, ratio: float) -> None:
    left, top = (box.x_min - frame.x_min) * ratio, (box.y_min - frame.y_min) * ratio
    right, bottom = (box.x_max - frame.x_min) * ratio, (box.y_max - frame.y_min) * ratio
    # the line's inner edge is one pixel off the box
    sides = (
        math.floor(left) - 1 - _LINE_PX,
        math.floor(top) - 1 - _LINE_PX,
        math.ceil(right) + _LINE_PX,
        math.ceil(bottom) + _LINE_PX,
    )
    ImageDraw.Draw(image).rectangle(sides, outline=_RED, width=_LINE_PX)


def _whole(item: QuestionItem) -> CropWindow:
    return CropWindow(0, 0, item.width, item.height)


def _place(frame: CropWindow) -> str:
    return f"the window [{frame.x_min}, {frame.y_min}, {frame.x_max}, {frame.y_max}] in pixels"


def _dates(item: QuestionItem) -> Sequence[str]:
    return ("",) if len(item.views) == 1 else (" at the earlier date", " at the later date")
