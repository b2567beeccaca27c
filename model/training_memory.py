"""What a training step needs of a device's memory, worked out before it begins.

Sizes of tensors follow from the model and the longest chat; two numbers are measured: how many tensors of a layer's
width live at once while its gradient is computed. They come from `python -m tests.perf.training_memory`, which runs a
step on tensors without contents and counts their bytes. What surprises: for an 8K image a tower that trains keeps more
than the language model weighs, as its norms make the inputs of its layers float32.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import nn

from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.trainer import part_of
from rsvqa.model.training_settings import ModelPart, TrainingSettings

_NUM_MLP_TENSORS = 6
"""Tensors of an MLP's inner width that live at once in the backward pass of a layer."""
_NUM_MLP_INPUTS, _NUM_ATTENTION_INPUTS = 11, 21
"""Tensors of the model's width that live with those of the MLP, and in the backward pass of attention and norm."""
_BYTES_OF_STATE = {"adamw": 8, "adamw_8bit": 2, "paged_adamw_8bit": 2}
"""Bytes per trained weight: two averages, in float32 or in a byte each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes that a step needs on a device that holds the whole model; CUDA's own and gaps between tensors come on top.

    Attributes:
        weights: of the model, as they are stored.
        gradients: of the weights that train.
        optimizer: its averages.
        tower: inputs of the tower's layers, where it trains.
        llm: inputs of the language model's layers.
        work: the most of what a layer needs while its gradient is computed, and of bf16 copies of float32 weights.
    """

    weights: int
    gradients: int
    optimizer: int
    tower: int
    llm: int
    work: int

    @property
    def total(self) -> int:
        """Return the expected peak."""
        return sum(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        parts = ", ".join(f"{field.name} {getattr(self, field.name) / 2**20:,.0f}" for field in fields(self))
        return f"{self.total / 2**20:,.0f} MiB expected per device that holds the whole model: {parts}"


def estimate_memory(
    model: nn.Module,
    config: GeoLlavaConfig,
    settings: TrainingSettings,
    *,
    num_cells: int,
    num_tokens: int,
    computes_in_bf16: bool,
) -> MemoryNeed:
    """Return what a step of `num_cells` cells and `num_tokens` tokens at a time needs, with gradient checkpointing.

    Args:
        model: with its adapters and frozen parts.
        config: of the model.
        settings: of the run.
        num_cells: of the images of a device's batch.
        num_tokens: of its chats, visual tokens too, padding included.
        computes_in_bf16: whether autocast does.
    """
    vision, text = config.vision_config, config.text_config
    size = 2 if computes_in_bf16 else 4  # of a number in the passes
    learning = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    num_learning = sum(weight.numel() for _, weight in learning)
    num_layers = config.vision_feature_layer
    num_tower_layers = num_layers if num_layers >= 0 else vision.num_hidden_layers + 1 + num_layers
    tower = num_cells * (1 + (vision.image_size // vision.patch_size) ** 2) * vision.hidden_size * 4 * num_tower_layers
    num_at_once = min(num_tokens, settings.mlp_chunk or num_tokens)
    mlp = _NUM_MLP_TENSORS * num_at_once * text.intermediate_size + _NUM_MLP_INPUTS * num_tokens * text.hidden_size
    layer = size * max(mlp, _NUM_ATTENTION_INPUTS * num_tokens * text.hidden_size)
    if settings.questions_per_pass > 1:  # what each token sees, and the numbers that a layer adds to its scores
        layer += (1 + size) * num_tokens**2 // settings.device_rows
    # autocast keeps a copy of each weight that it has made smaller until the forward pass ends
    copies = sum(weight.numel() * 2 for _, weight in learning if computes_in_bf16 and weight.dtype == torch.float32)
    return MemoryNeed(
        weights=sum(weight.numel() * weight.element_size() for weight in model.parameters()),
        gradients=sum(weight.numel() * weight.element_size() for _, weight in learning),
        optimizer=num_learning * _BYTES_OF_STATE[settings.optimizer],
        tower=tower if any(part_of(name) is ModelPart.TOWER for name, _ in learning) else 0,
        llm=text.num_hidden_layers * num_tokens * text.hidden_size * size,
        work=max(layer, copies),
    )
