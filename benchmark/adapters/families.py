"""What differs between families of checkpoints, as data: units of boxes, pixel budget, what may be shared and batched.

A family is found by the `model_type` of a checkpoint's configuration. Nothing here is guessed from replies; a type that
is not listed gets `DEFAULT`, which takes no short cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from rsvqa.annotation.images import ImageSize
from rsvqa.benchmark.models import BoxConvention, ModelView

SetBudget = Callable[[Any, Any, int], None]
"""Sets a processor, and the model's configuration where that must agree, to at most so many pixels per image."""

SeeImage = Callable[[Any, Mapping[str, Any], int, ImageSize], ModelView]
"""Returns the view of the i-th image from the processor, what it gave for all images, i, and the image's size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFamily:
    """How checkpoints of one architecture are asked.

    Attributes:
        name: for the result.
        box_convention: units of the boxes that it writes.
        rewrites_boxes: boxes in a question are put into pixels of the view; needs `see`.
        reuses_prefix: the cache of images and of all before them may serve every question about them: tested to give
            the replies of whole prompts.
        takes_arrays: its processor was tested with arrays; else it gets PIL images, which every processor takes.
        batches: several prompts at a time give the replies that each gives alone.
        set_budget: None where images are scaled down before the processor gets them.
        see: None where the model's view is not worked out.
        processes_on_device: its image processor works where the model is, once it has been told.
    """

    name: str
    box_convention: BoxConvention
    rewrites_boxes: bool = False
    reuses_prefix: bool = True
    takes_arrays: bool = True
    batches: bool = True
    set_budget: SetBudget | None = None
    see: SeeImage | None = None
    processes_on_device: bool = False


# --- pixel budgets ---


def _bound_area(processor: Any, _config: Any, max_pixels: int) -> None:  # noqa: ANN401  transformers' types
    """Bound the area, also above what the checkpoint has; Qwen's processors call areas edges."""
    images = processor.image_processor
    least = min(dict(images.size)["shortest_edge"], max_pixels)
    images.size = type(images.size)(shortest_edge=least, longest_edge=max_pixels)


def _bound_longest_edge(processor: Any, _config: Any, max_pixels: int) -> None:  # noqa: ANN401
    """Bound the longer side so that a square of it holds no more pixels, but not below one square of the tower."""
    images = processor.image_processor
    edge = max(math.isqrt(max_pixels), dict(images.max_image_size)["longest_edge"])
    images.size = type(images.size)(longest_edge=min(edge, dict(images.size)["longest_edge"]))


def _bound_grids(processor: Any, config: Any, max_pixels: int) -> None:  # noqa: ANN401
    """Leave the grids that hold no more pixels, at least the smallest; the model chooses from them a second time."""
    grids = sorted(processor.image_processor.image_grid_pinpoints, key=math.prod)
    fitting = [grid for grid in grids if math.prod(grid) <= max_pixels] or grids[:1]
    processor.image_processor.image_grid_pinpoints = fitting
    config.image_grid_pinpoints = fitting


def _bound_patches(processor: Any, _config: Any, max_pixels: int) -> None:  # noqa: ANN401
    images = processor.image_processor
    size = dict(images.size)
    images.max_patches = min(images.max_patches, max(1, max_pixels // (size["height"] * size["width"])))
    images.min_patches = min(images.min_patches, images.max_patches)


def _bound_cells(processor: Any, _config: Any, max_pixels: int) -> None:  # noqa: ANN401
    images = processor.image_processor
    cells = max(1, max_pixels // images.cell_size**2)
    images.max_cells = cells if images.max_cells is None else min(cells, images.max_cells)


# --- views ---


def _see_patches(processor: Any, inputs: Mapping[str, Any], index: int, size: ImageSize) -> ModelView:  # noqa: ANN401
    """Return the resized image of Qwen's processors, whole patches in both directions."""
    _, rows, columns = inputs["image_grid_thw"][index].tolist()
    patch = processor.image_processor.patch_size
    width, height = columns * patch, rows * patch
    return ModelView(width=width, height=height, scale_x=width / size.width, scale_y=height / size.height)


def _see_cells(processor: Any, _inputs: Mapping[str, Any], _index: int, size: ImageSize) -> ModelView:  # noqa: ANN401
    """Return the canvas of cells that GeoLLaVA's processor puts an image on."""
    _, place = processor.image_processor.place(size.height, size.width)
    return ModelView(
        width=place.canvas_width,
        height=place.canvas_height,
        scale_x=place.scale_x,
        scale_y=place.scale_y,
        offset_x=place.offset_x,
        offset_y=place.offset_y,
    )


DEFAULT = ModelFamily(name="default", box_convention="0-1", reuses_prefix=False, takes_arrays=False, batches=False)
"""For an architecture that nobody has tested: one whole prompt at a time."""

_QWEN3_VL = ModelFamily(name="qwen3_vl", box_convention="0-1000", set_budget=_bound_area, see=_see_patches)
_LIKE_QWEN3_VL = replace(_QWEN3_VL, reuses_prefix=False, batches=False)
"""Of its processor and box units, with language models whose caches and batches are not tested."""
_GLM4V = replace(DEFAULT, name="glm4v", box_convention="0-1000", see=_see_patches)

FAMILIES: Mapping[str, ModelFamily] = MappingProxyType(
    {
        "llava": ModelFamily(name="llava", box_convention="0-1"),
        "llava_next": ModelFamily(name="llava_next", box_convention="0-1", set_budget=_bound_grids),
        "llava_onevision": ModelFamily(name="llava_onevision", box_convention="0-1", set_budget=_bound_grids),
        "qwen2_vl": ModelFamily(name="qwen2_vl", box_convention="0-1000", set_budget=_bound_area, see=_see_patches),
        "qwen2_5_vl": ModelFamily(
            name="qwen2_5_vl",
            box_convention="view_pixels",
            rewrites_boxes=True,
            set_budget=_bound_area,
            see=_see_patches,
        ),
        "qwen3_vl": _QWEN3_VL,
        "qwen3_vl_moe": _LIKE_QWEN3_VL,
        "qwen3_5": _LIKE_QWEN3_VL,
        "qwen3_5_moe": _LIKE_QWEN3_VL,
        "glm4v": _GLM4V,
        "glm4v_moe": _GLM4V,
        "glm46v": _GLM4V,
        "idefics3": ModelFamily(name="idefics3", box_convention="0-1", set_budget=_bound_longest_edge),
        "smolvlm": ModelFamily(name="idefics3", box_convention="0-1", set_budget=_bound_longest_edge),
        "internvl": ModelFamily(name="internvl", box_convention="0-1000", set_budget=_bound_patches),
        # `rsvqa train` shows boxes in questions as the data set has them, and teaches boxes as shares of the sides
        "geollava": ModelFamily(
            name="geollava", box_convention="0-1", set_budget=_bound_cells, see=_see_cells, processes_on_device=True
        ),
    }
)
"""By `model_type`. Units of boxes are those that the models' own documentation or training data use."""


def family_of(model_type: str) -> ModelFamily:
    """Return the family of a configuration's `model_type`."""
    return FAMILIES.get(model_type, DEFAULT)
