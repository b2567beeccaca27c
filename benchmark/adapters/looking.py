"""A model that looks before it answers: the whole image reduced, then parts of it in more detail, named by itself.

Works around any `BenchModel`, in rounds: all prompts of a few images name a region, then all are answered with what
they asked to see. The whole and each part are at most `look_side` pixels long, so that the ways of looking differ in
what is shown and in nothing else. Boxes are those of the whole, in questions and in replies.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np

from rsvqa.annotation.facts import Box, in_pixels
from rsvqa.annotation.images import ImageSize, Pixels, reduce_image
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.annotation.wording.box_units import stated_units
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import (
    BenchImage,
    BenchModel,
    BoxConvention,
    LookCall,
    ModelView,
    Prompt,
    PromptGroup,
    Reply,
    Unanswered,
)
from rsvqa.benchmark.protocol.boxes import read_box, rewrite_boxes
from rsvqa.benchmark.protocol.look_prompts import LOOK_PROMPT_NAME, region_prompt, shown_pictures
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import ImageFormat
from rsvqa.rsvqa_builder.tiles.tile_work import encode

CONTEXT = 1.5
"""Sides of a shown part over those of the region that was named."""
REGION_TOKENS = 128
"""Bound of a reply that names a region: that of a reply with a box."""
MAX_ROUND_BYTES = 256_000_000
"""Decoded images whose prompts are asked in one round: one of 10,000 × 10,000 px, or many small ones."""
MAX_ROUND_PROMPTS = 64
_SAME = 0.9
"""Overlap (IoU) from which a window that is asked for shows nothing new."""


@dataclass(slots=True, kw_only=True)
class _Asked:
    """A prompt on its way: what it is shown, and what its calls said and cost.

    Attributes:
        images: as they are.
        wholes: the same reduced, as they are shown.
        seconds: its part of reducing them.
        windows: parts to show, in pixels of the images.
        looks: calls so far.
        is_settled: whether no further part is asked for.
    """

    prompt: Prompt
    images: tuple[BenchImage, ...]
    wholes: tuple[BenchImage, ...]
    seconds: float
    windows: tuple[Window, ...] = ()
    looks: list[LookCall] = field(default_factory=list)
    is_settled: bool = False

    @property
    def key(self) -> str:
        """Of the prompt."""
        return self.prompt.key

    @property
    def size(self) -> ImageSize:
        """Of the first image as it is."""
        return _size(self.images[0])

    @property
    def view(self) -> ModelView:
        """Of the first image: as it is shown, before the model's own processor."""
        shown, own = _size(self.wholes[0]), self.size
        scale_x, scale_y = shown.width / own.width, shown.height / own.height
        return ModelView(width=shown.width, height=shown.height, scale_x=scale_x, scale_y=scale_y)

    @property
    def may_gain(self) -> bool:
        """Whether a part may help: a benchmark's caption is about the whole, and a small image is shown in full."""
        sample = self.prompt.sample
        return (sample.form is not AnswerForm.TEXT or not sample.task) and self.size != _size(self.wholes[0])

    def note(self, reply: Reply, text: str) -> None:
        """Keep what a call said and cost."""
        self.looks.append(
            LookCall(
                windows=self.windows,
                sent=text if reply.sent is None else reply.sent,
                text=reply.text,
                num_prompt_tokens=reply.num_prompt_tokens,
                num_visual_tokens=reply.num_visual_tokens,
                num_new_tokens=reply.num_new_tokens,
                seconds=reply.seconds,
            )
        )


class LookingModel:
    """A `BenchModel` around another one; see the module."""

    def __init__(self, model: BenchModel, settings: BenchSettings) -> None:
        self._model = model
        self._mode = settings.look
        self._side = settings.look_side
        self._rewrites_boxes = settings.rewrite_boxes
        self._max_regions = {"fovea": 1, "zoom": settings.max_calls - 1}.get(settings.look, 0)

    @property
    def name(self) -> str:
        """The model's, and how it looks."""
        return f"{self._model.name}, {self._mode}"

    @property
    def box_convention(self) -> BoxConvention:
        """The model's own."""
        return self._model.box_convention

    def describe(self) -> Mapping[str, Any]:
        """Return what the model says of itself, and the wordings by which it is made to look."""
        return {**self._model.describe(), "look_prompts": LOOK_PROMPT_NAME}

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        """Yield one result a prompt, a round of images after the other.

        Raises:
            ModelError: as the model does, or when there is no image to look at.
        """
        for group_round in _rounds(groups):
            asked = [one for group in group_round for one in self._begin(group)]
            for _ in range(self._max_regions):
                asked = yield from self._name_regions(asked)
            if self._mode == "tiles":
                for one in asked:
                    one.windows = _quarters(one.size) if one.may_gain else ()
            by_key = {one.key: one for one in asked}
            for result in self._call(asked, self._last_text, None):
                yield result if isinstance(result, Unanswered) else self._total(by_key[result.key], result)

    def _begin(self, group: PromptGroup) -> Iterator[_Asked]:
        if not group.images:
            raise ModelError(f"{self._model.name} is shown no image, so there is nothing to look at")
        start = time.perf_counter()
        wholes = tuple(_shown(image, image.rgb, self._side) for image in group.images)
        seconds = (time.perf_counter() - start) / len(group.prompts)
        for prompt in group.prompts:
            yield _Asked(prompt=prompt, images=group.images, wholes=wholes, seconds=seconds)

    def _name_regions(self, asked: list[_Asked]) -> Generator[Unanswered, None, list[_Asked]]:
        """Ask for one more part to look at; yield what fails, and return the others."""
        looking = {one.key: one for one in asked if one.may_gain and not one.is_settled}
        failed = set()
        for result in self._call(looking.values(), self._region_text, REGION_TOKENS):
            if isinstance(result, Unanswered):
                failed.add(result.key)
                yield result
                continue
            one = looking[result.key]
            one.note(result, self._region_text(one))
            window = self._window(one, result)
            shown = (*one.windows, Window(0, 0, one.size.width, one.size.height))
            if window is None or any(_overlap(window, known) >= _SAME for known in shown):
                one.is_settled = True
            else:
                one.windows = (*one.windows, window)
        return [one for one in asked if one.key not in failed]

    def _call(
        self, asked: Iterable[_Asked], text_of: Callable[[_Asked], str], bound: int | None
    ) -> Iterator[Reply | Unanswered]:
        """Yield the model's results; `bound` is of new tokens, None for that of each prompt."""
        asked = list(asked)
        if asked:
            yield from self._model.reply(self._groups(asked, text_of, bound))

    def _groups(
        self, asked: Iterable[_Asked], text_of: Callable[[_Asked], str], bound: int | None
    ) -> Iterator[PromptGroup]:
        """Yield prompts that show the same pictures together."""
        for _, alike in groupby(asked, key=lambda one: (id(one.wholes), one.windows)):
            members = list(alike)
            first = members[0]
            parts = (
                _shown(image, _cut(image, window, first.size), self._side)
                for window in first.windows
                for image in first.images
            )
            prompts = (
                replace(one.prompt, text=text_of(one), max_new_tokens=bound or one.prompt.max_new_tokens)
                for one in members
            )
            yield PromptGroup((*first.wholes, *parts), tuple(prompts))

    def _region_text(self, one: _Asked) -> str:
        question = self._as_shown(one.prompt.sample.question, one)
        return region_prompt(one.prompt.sample, question, self.box_convention, _shown_text(one))

    def _last_text(self, one: _Asked) -> str:
        text = self._as_shown(one.prompt.text, one)
        shown = _shown_text(one)
        return f"{shown}\n{text}" if shown else text

    def _as_shown(self, text: str, one: _Asked) -> str:
        return rewrite_boxes(text, size=one.size, view=one.view) if self._rewrites_boxes else text

    def _window(self, one: _Asked, reply: Reply) -> Window | None:
        """Return the window of the region that a reply names; None where it names none."""
        view = reply.views[0] if reply.views else None
        if reply.box_convention == "view_pixels" and view is None:
            return None
        box = read_box(reply.text, convention=reply.box_convention, size=_size(one.wholes[0]), view=view)
        return None if box is None else _around(in_pixels(box, one.size.width, one.size.height), one.size, self._side)

    def _total(self, one: _Asked, reply: Reply) -> Reply:
        """Return the reply with the cost of all calls, and its boxes and views as those of the images as they are."""
        one.note(reply, self._last_text(one))
        states_pixels = stated_units(one.prompt.sample.question) == "pixels"
        in_shown_pixels = reply.box_convention == "pixels" or (states_pixels and reply.box_convention != "view_pixels")
        own = reply.views[: len(one.images)]
        views = (one.view,) * len(one.images)
        if own and not in_shown_pixels:
            views = tuple(map(_composed, own, views))
        return replace(
            reply,
            sent=one.looks[-1].sent,
            views=views,
            box_convention="view_pixels" if in_shown_pixels else reply.box_convention,
            num_prompt_tokens=_sum(look.num_prompt_tokens for look in one.looks),
            num_visual_tokens=_sum(look.num_visual_tokens for look in one.looks),
            num_new_tokens=_sum(look.num_new_tokens for look in one.looks),
            seconds=one.seconds + sum(look.seconds for look in one.looks),
            looks=tuple(one.looks),
        )


def _rounds(groups: Iterable[PromptGroup]) -> Iterator[list[PromptGroup]]:
    """Yield groups, as many at a time as memory allows; a group is never cut."""
    gathered: list[PromptGroup] = []
    num_bytes = num_prompts = 0
    for group in groups:
        gathered.append(group)
        num_bytes += sum(image.rgb.nbytes for image in group.images)
        num_prompts += len(group.prompts)
        if num_bytes >= MAX_ROUND_BYTES or num_prompts >= MAX_ROUND_PROMPTS:
            yield gathered
            gathered, num_bytes, num_prompts = [], 0, 0
    if gathered:
        yield gathered


def _shown_text(one: _Asked) -> str:
    if not one.windows:
        return ""
    size = one.size
    language, num_dates = one.prompt.sample.language, len(one.images)
    return shown_pictures(language, one.windows, width=size.width, height=size.height, num_dates=num_dates)


def _shown(image: BenchImage, rgb: Pixels, longest_px: int) -> BenchImage:
    """Return an image or a part of it as it is shown, encoded without loss; the image itself where nothing changes."""
    reduced = reduce_image(rgb, longest_px)
    if reduced is image.rgb:
        return image
    encoded = encode(np.ascontiguousarray(reduced), ImageFormat.PNG, quality=0)
    return BenchImage(reduced, encoded, hashlib.sha256(encoded).hexdigest())


def _cut(image: BenchImage, window: Window, size: ImageSize) -> Pixels:
    """Return a part of an image; of one of another size than the first, the part at the same shares."""
    height, width, _ = image.rgb.shape
    scale_x, scale_y = width / size.width, height / size.height
    left, top = round(window.x * scale_x), round(window.y * scale_y)
    right, bottom = round((window.x + window.width) * scale_x), round((window.y + window.height) * scale_y)
    return image.rgb[top : max(bottom, top + 1), left : max(right, left + 1)]


def _around(box: Box, size: ImageSize, side: int) -> Window:
    """Return the window that shows a region with its surroundings, at least `side` pixels long, inside the image."""
    width = min(size.width, max(side, round(CONTEXT * (box.x_max - box.x_min))))
    height = min(size.height, max(side, round(CONTEXT * (box.y_max - box.y_min))))
    x = round((box.x_min + box.x_max - width) / 2)
    y = round((box.y_min + box.y_max - height) / 2)
    return Window(min(max(x, 0), size.width - width), min(max(y, 0), size.height - height), width, height)


def _quarters(size: ImageSize) -> tuple[Window, ...]:
    xs, ys = (0, size.width // 2, size.width), (0, size.height // 2, size.height)
    return tuple(Window(xs[i], ys[j], xs[i + 1] - xs[i], ys[j + 1] - ys[j]) for j in (0, 1) for i in (0, 1))


def _overlap(window: Window, other: Window) -> float:
    """Return the intersection of two windows over their union."""
    width = min(window.x + window.width, other.x + other.width) - max(window.x, other.x)
    height = min(window.y + window.height, other.y + other.height) - max(window.y, other.y)
    common = max(width, 0) * max(height, 0)
    return common / (window.width * window.height + other.width * other.height - common)


def _composed(own: ModelView, shown: ModelView) -> ModelView:
    """Return the view of the image as it is, from that of the shown one."""
    return replace(own, scale_x=own.scale_x * shown.scale_x, scale_y=own.scale_y * shown.scale_y)


def _size(image: BenchImage) -> ImageSize:
    return ImageSize(*image.rgb.shape[:2])


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
