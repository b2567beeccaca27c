"""What the harness asks of a model, whichever it is: groups of prompts about the same images in, replies out.

A model gets an iterator, not a list: it may batch, answer several groups at once and out of order, and it pulls the
next images only when it has room for them, so memory stays bounded. It yields each reply the moment it has it, as the
runner puts each on disk before it asks for the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.wording.box_units import BoxUnits
from rsvqa.benchmark.samples import Sample
from rsvqa.rsvqa_builder.scenes.tiling import Window

BoxConvention = BoxUnits | Literal["view_pixels"]
"""Units of the boxes that a model writes, declared by its adapter and never guessed from their size.

`pixels` are those of the original image, `view_pixels` those of the resized image that the model sees; the others are
shares of the image's (width, height), scaled to 1, 100 or 1,000.
"""


@dataclass(frozen=True, slots=True)
class BenchImage:
    """One image, decoded once for all its questions.

    Attributes:
        rgb: (height, width, 3) uint8.
        encoded: the file's bytes, for endpoints that take them as they are.
        sha256: of `encoded`, hexadecimal.
    """

    rgb: NDArray[np.uint8]
    encoded: bytes
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question as it is put to a model.

    Attributes:
        key: unique in a run: the sample's id, and with rotated options also the rotation.
        sample: what is asked; a model must not look at its answer (the baseline `majority` does, openly).
        text: the user's turn, without image placeholders; boxes in it are pixels of the original image.
        max_new_tokens: bound of the reply.
        rotation: how many places the options are rotated; 0 as in the file.
    """

    key: str
    sample: Sample
    text: str
    max_new_tokens: int
    rotation: int = 0


@dataclass(frozen=True, slots=True)
class PromptGroup:
    """Prompts that show the same images in the same order; `images` is empty for a blind run."""

    images: tuple[BenchImage, ...]
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """What a model sees of one image: the original, scaled, then set into a canvas at an offset.

    Attributes:
        width, height: of the canvas, pixels.
        scale_x, scale_y: canvas pixels per original pixel.
        offset_x, offset_y: of the image's corner in the canvas, pixels.
    """

    width: int
    height: int
    scale_x: float
    scale_y: float
    offset_x: float = 0.0
    offset_y: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LookCall:
    """One call of a model that looks before it answers; the last one holds its answer.

    Attributes:
        windows: parts of the image that were shown behind the whole, in its pixels.
        sent: the prompt's text as the model got it.
        text: what it wrote.
        num_prompt_tokens, num_visual_tokens, num_new_tokens: None where a model does not say.
        seconds: spent on this call.
    """

    windows: tuple[Window, ...]
    sent: str
    text: str
    num_prompt_tokens: int | None = None
    num_visual_tokens: int | None = None
    num_new_tokens: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model wrote.

    Attributes:
        key: of the prompt.
        text: the reply, without special tokens; empty when the model ended at once.
        sent: the prompt's text as the model got it, when boxes were rewritten; else None.
        ended: whether the model ended the reply itself; False when it ran into the bound.
        num_prompt_tokens, num_visual_tokens, num_new_tokens: None where a model does not say.
        seconds: spent on this reply; shared work (reading, encoding the image) is divided among its prompts.
        views: one per image; empty where unknown or blind.
        box_convention: of boxes in `text`.
        looks: every call, of a model that looks before it answers; tokens and seconds above are those of all of them.
    """

    key: str
    text: str
    ended: bool = True
    sent: str | None = None
    num_prompt_tokens: int | None = None
    num_visual_tokens: int | None = None
    num_new_tokens: int | None = None
    seconds: float = 0.0
    views: tuple[ModelView, ...] = ()
    box_convention: BoxConvention = "pixels"
    looks: tuple[LookCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A prompt without a reply for a reason outside the model's judgement: a refused request, an image too large.

    It is stored, counted as not scored, and asked again when the run is repeated.
    """

    key: str
    reason: str


class BenchModel(Protocol):
    """A model under test."""

    @property
    def name(self) -> str:
        """Short, for tables."""
        ...

    @property
    def box_convention(self) -> BoxConvention:
        """Units of the boxes that it writes; a question that asks for a box and names no units asks for these."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return what identifies the model and bears on its replies (family, revision, dtype, pixel budget …), as JSON.

        Part of the run's fingerprint: what is the same here gives the same replies. No secrets.
        """
        ...

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        """Yield one result a prompt, in any order, each as soon as it is known.

        Raises:
            ModelError: when no reply can be expected any more (out of memory, endpoint gone); what was yielded stays.
        """
        ...
