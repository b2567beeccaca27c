"""The visual tokens that a GeoLLaVA keeps of some images, for the page of `rsvqa ask`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rsvqa.benchmark.adapters.checkpoints import LoadedCheckpoint, input_device
from rsvqa.benchmark.adapters.transformers_model import TransformersModel
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import BenchImage, BenchModel
from rsvqa.rsvqa_builder.documents.token_map import TokenGrid, TokenMap, map_all, map_tokens
from rsvqa.rsvqa_builder.documents.token_page import TokenPicture

MODEL_TYPE = "geollava"
_PRUNING = ("pruning", "tokens_per_cell", "affinity", "anchor_projection", "scope", "fill")


def pruning_checkpoint(model: BenchModel) -> LoadedCheckpoint:
    """Return the checkpoint of a model of which it is known what it keeps.

    Raises:
        ModelError: it is no GeoLLaVA.
    """
    if isinstance(model, TransformersModel) and model.checkpoint.model_type == MODEL_TYPE:
        return model.checkpoint
    kind = f"of type {model.checkpoint.model_type!r}" if isinstance(model, TransformersModel) else "no checkpoint"
    raise ModelError(f"kept tokens can be shown of a GeoLLaVA checkpoint; {model.name} is {kind}")


def pruning_of(checkpoint: LoadedCheckpoint) -> Mapping[str, Any]:
    """Return the settings that decide what is kept, by name."""
    config = checkpoint.model.config
    return {name: getattr(config, name) for name in _PRUNING}


def token_pictures(
    checkpoint: LoadedCheckpoint, images: Sequence[BenchImage], names: Sequence[str]
) -> list[TokenPicture]:
    """Return each image with the tokens that the model keeps of it."""
    import torch

    model = checkpoint.model
    inputs = checkpoint.processor.image_processor([image.rgb for image in images], return_placements=True)
    grids = inputs["image_grid_thw"]
    device = input_device(model)
    with torch.inference_mode():
        found = model.get_image_features(inputs["pixel_values"].to(device), grids.to(device))
    patch = int(model.config.vision_config.patch_size)
    side = int(model.config.vision_config.image_size) // patch
    return [
        TokenPicture(
            name=name,
            rgb=image.rgb,
            tokens=_map(found, number, TokenGrid(int(grid[1]), int(grid[2]), side), model.config.fill),
            patch=patch,
            scale=(placement.scale_y, placement.scale_x),
            offset=(placement.offset_y, placement.offset_x),
        )
        for number, (image, name, grid, placement) in enumerate(
            zip(images, names, grids, inputs["image_placements"], strict=True)
        )
    ]


def _map(found: Any, number: int, grid: TokenGrid, fill: str) -> TokenMap:  # noqa: ANN401  the model's own output
    if found.cells is None:
        return map_all(grid)
    cells, positions, scores, roots = (
        np.asarray(values[number].cpu()) for values in (found.cells, found.positions, found.scores, found.roots)
    )
    return map_tokens(
        grid, cells=cells, positions=positions, scores=scores, roots=roots, fills_with_zeros=fill == "zeros"
    )
