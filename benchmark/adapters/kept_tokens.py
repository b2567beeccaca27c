"""The visual tokens that a GeoLLaVA keeps of some images, for the page of `rsvqa ask`."""

from __future__ import annotations

from collections.abc import Sequence

from rsvqa.benchmark.adapters.checkpoints import LoadedCheckpoint, input_device
from rsvqa.benchmark.adapters.transformers_model import TransformersModel
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import BenchImage, BenchModel
from rsvqa.rsvqa_builder.documents.token_page import TokenPicture, pictures_of

MODEL_TYPE = "geollava"


def pruning_checkpoint(model: BenchModel) -> LoadedCheckpoint:
    """Return the checkpoint of a model of which it is known what it keeps.

    Raises:
        ModelError: it is no GeoLLaVA.
    """
    if isinstance(model, TransformersModel) and model.checkpoint.model_type == MODEL_TYPE:
        return model.checkpoint
    kind = f"of type {model.checkpoint.model_type!r}" if isinstance(model, TransformersModel) else "no checkpoint"
    raise ModelError(f"kept tokens can be shown of a GeoLLaVA checkpoint; {model.name} is {kind}")


def token_pictures(
    checkpoint: LoadedCheckpoint, images: Sequence[BenchImage], names: Sequence[str]
) -> list[TokenPicture]:
    """Return each image with the tokens that the model keeps of it."""
    import torch

    model, shown = checkpoint.model, [image.rgb for image in images]
    inputs = checkpoint.processor.image_processor(shown, return_placements=True)
    device = input_device(model)
    with torch.inference_mode():
        found = model.get_image_features(inputs["pixel_values"].to(device), inputs["image_grid_thw"].to(device))
    return pictures_of(found, inputs, model.config, images=shown, names=names)
