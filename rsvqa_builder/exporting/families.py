"""How each family of base models reads boxes: units, wrapper, and the size that it resizes pictures to.

A model that is trained on boxes in other units than those it was trained on before has to unlearn them first, and no
trainer tells. What surprises: the pixels of Qwen2.5-VL are those of the picture after its processor has resized it, so
its boxes depend on the budget of pixels that the training runs with.

Sources: Qwen3-VL's qwen-vl-finetune for Qwen2.5-VL and Qwen3-VL, the chat data format of internvl.readthedocs.io for
InternVL, the released data of GeoLLaVA-8K for LLaVA. DeepSeek-VL2, PaliGemma and Florence-2 have conventions of their
own that no source at hand states in full, so they are not here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.images import ImageSize
from rsvqa.annotation.wording.box_units import BoxUnits

MIN_SEEN_PIXELS = 112 * 112
"""Below this a picture is enlarged by some trainers of models of pixels and not by others (16 x 28 x 28)."""
MAX_ELONGATION = 200
"""A picture that is longer is refused by some processors of models of pixels and cut short by others."""

SWIFT_BOX = "<bbox>"
SWIFT_NAME = "<ref-object>"


class UnknownModelError(RsvqaError):
    """No convention of boxes is known for a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFamily:
    """One convention of boxes.

    Attributes:
        name: as it is asked for.
        names: what the names of its checkpoints begin with, lower case.
        example: a checkpoint on the Hub, for the line of command.
        units: of its boxes; "pixels" are those of the resized picture.
        answer: a box that is answered, with {x1} … {y2} and {name}, the text of JSON.
        given: a box that a question gives.
        side_factor: of models of pixels: sides of the resized picture are multiples of it.
        swift_answer: the answer in ms-swift, which writes boxes itself; None where it would write other units.
        template: what LLaMA-Factory calls the chat template; None where it has none.
    """

    name: str
    names: tuple[str, ...]
    example: str
    units: BoxUnits
    answer: str
    given: str = "[{x1}, {y1}, {x2}, {y2}]"
    side_factor: int | None = None
    swift_answer: str | None = None
    template: str | None = None

    @property
    def form(self) -> str:
        """What a prompt says that an answer looks like."""
        return _filled(self.answer, ("x1", "y1", "x2", "y2"), "name")

    def write(self, numbers: Sequence[str], name: str | None) -> str:
        """Return a box in numbers of the family's units, an answer's where it has a name; or a point, of two."""
        if len(numbers) == 2:
            return f"[{', '.join(numbers)}]"
        return _filled(self.given if name is None else self.answer, numbers, name or "")

    def numbers(self, shares: Sequence[float], seen: ImageSize) -> tuple[str, ...]:
        """Return the coordinates of a box or point, given as shares of the picture's sides, in the family's units."""
        if self.units == "0-1":
            return tuple(str(round(share, 4)) for share in shares)
        sides = (seen.width, seen.height) if self.units == "pixels" else (1000, 1000)
        return tuple(str(round(share * side)) for share, side in zip(shares, sides * 2, strict=False))

    def is_over(self, size: ImageSize, max_pixels: int | None) -> bool:
        """Return whether a picture is to be reduced before a trainer gets it.

        Of models of pixels also one that is within the budget itself, and beyond it once its sides are multiples: some
        trainers' processors know of the budget, and others' do not.
        """
        if max_pixels is None:
            return False
        rounded = size if self.side_factor is None else _rounded(size, self.side_factor)
        return max(size.height * size.width, rounded.height * rounded.width) > max_pixels

    def unfit_size(self, size: ImageSize, max_pixels: int | None) -> str | None:
        """Return why trainers would not agree on the size at which a picture is seen, or None."""
        if self.side_factor is None:
            return None
        seen = self.seen_size(size, max_pixels)
        shown = seen if self.is_over(size, max_pixels) else size
        if shown.height * shown.width < MIN_SEEN_PIXELS:
            return f"picture of less than {MIN_SEEN_PIXELS} px, which trainers enlarge differently"
        if min(shown) < self.side_factor:
            return f"picture narrower than {self.side_factor} px, which trainers enlarge differently"
        if max(shown) > MAX_ELONGATION * min(shown):
            return f"picture more than {MAX_ELONGATION} times as long as wide, which trainers refuse"
        if self.seen_size(shown, max_pixels) != seen:
            return "picture so narrow that it is not to be reduced to the budget"
        return None

    def seen_size(self, size: ImageSize, max_pixels: int | None) -> ImageSize:
        """Return the size at which a picture is seen in a training with `max_pixels`.

        Of models of other units the sides keep their proportion; nothing is resized within the budget.
        """
        if self.side_factor is None:
            return _within(size, max_pixels)
        return smart_size(size, factor=self.side_factor, max_pixels=max_pixels or size.height * size.width)


def _filled(template: str, numbers: Sequence[str], name: str) -> str:
    for key, number in zip(("x1", "y1", "x2", "y2"), numbers, strict=True):
        template = template.replace(f"{{{key}}}", number)
    quoted = json.dumps(name, ensure_ascii=False)
    return template.replace("{quoted}", quoted).replace("{name}", re.sub(r"[<>]", "", name))


def smart_size(size: ImageSize, *, factor: int, max_pixels: int, min_pixels: int = 56 * 56) -> ImageSize:
    """Return the size to which Qwen's processors resize a picture: multiples of `factor`, within the budget.

    As `smart_resize` of transformers (models/qwen2_vl/image_processing_qwen2_vl.py), down to the last pixel.
    """
    height, width = _rounded(size, factor)
    if height * width > max_pixels:
        ratio = math.sqrt(size.height * size.width / max_pixels)
        height = max(factor, math.floor(size.height / ratio / factor) * factor)
        width = max(factor, math.floor(size.width / ratio / factor) * factor)
    elif height * width < min_pixels:
        ratio = math.sqrt(min_pixels / (size.height * size.width))
        height = math.ceil(size.height * ratio / factor) * factor
        width = math.ceil(size.width * ratio / factor) * factor
    return ImageSize(height, width)


def _rounded(size: ImageSize, factor: int) -> ImageSize:
    return ImageSize(round(size.height / factor) * factor, round(size.width / factor) * factor)


def _within(size: ImageSize, max_pixels: int | None) -> ImageSize:
    if max_pixels is None or size.height * size.width <= max_pixels:
        return size
    ratio = math.sqrt(max_pixels / (size.height * size.width))
    return ImageSize(max(1, math.floor(size.height * ratio)), max(1, math.floor(size.width * ratio)))


_JSON = '[{"bbox_2d": [{x1}, {y1}, {x2}, {y2}], "label": {quoted}}]'
_SWIFT_JSON = _JSON.replace("[{x1}, {y1}, {x2}, {y2}]", SWIFT_BOX)

_ALL = (
    BoxFamily(
        name="llava",
        names=("llava-1.5", "llava-v1.5", "llava-next", "llava-v1.6", "geollava", "longva"),
        example="llava-hf/llava-1.5-7b-hf",
        units="0-1",
        answer="[{x1}, {y1}, {x2}, {y2}]",
        template="llava",
    ),
    BoxFamily(
        name="qwen2-vl",
        names=("qwen2-vl",),
        example="Qwen/Qwen2-VL-7B-Instruct",
        units="0-1000",
        answer="<|box_start|>({x1},{y1}),({x2},{y2})<|box_end|>",
        given="<|box_start|>({x1},{y1}),({x2},{y2})<|box_end|>",
        swift_answer=SWIFT_BOX,
        template="qwen2_vl",
    ),
    BoxFamily(
        name="qwen2.5-vl",
        names=("qwen2.5-vl", "qwen2_5-vl"),
        example="Qwen/Qwen2.5-VL-7B-Instruct",
        units="pixels",
        answer=_JSON,
        side_factor=28,
        swift_answer=_SWIFT_JSON,
        template="qwen2_vl",
    ),
    BoxFamily(
        name="qwen3-vl",
        names=("qwen3-vl",),
        example="Qwen/Qwen3-VL-8B-Instruct",
        units="0-1000",
        answer=_JSON,
        swift_answer=_SWIFT_JSON,
        template="qwen3_vl_nothink",
    ),
    BoxFamily(
        name="internvl",
        names=("internvl2", "internvl3"),
        example="OpenGVLab/InternVL3-8B",
        units="0-1000",
        answer="<ref>{name}</ref><box>[[{x1}, {y1}, {x2}, {y2}]]</box>",
        given="<box>[[{x1}, {y1}, {x2}, {y2}]]</box>",
        swift_answer=f"{SWIFT_NAME}{SWIFT_BOX}",
        template="intern_vl",
    ),
)
FAMILIES: Mapping[str, BoxFamily] = {family.name: family for family in _ALL}


def family_of(model: str) -> BoxFamily:
    """Return the family of a model, named itself or by one of its checkpoints: "Qwen/Qwen2.5-VL-7B-Instruct".

    Raises:
        UnknownModelError: of a model whose boxes are not known; they are never guessed from a likeness of names.
    """
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    for family in _ALL:
        if name == family.name or name.startswith(family.names):
            return family
    raise UnknownModelError(
        f"how {model!r} reads boxes is not known: expected {', '.join(FAMILIES)}, or a checkpoint of these families by "
        "its name on the Hub"
    )
