"""Checkpoints that a training run begins from, and adapters on them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoProcessor

from model.configuration_geollava import GeoLlavaConfig
from model.modeling_geollava import GeoLlavaForConditionalGeneration
from model.registration import register
from model.trainer import TrainingError, part_of
from model.training_settings import Part

_RELEASED_TYPES = ("llava_qwen", "llava_qwen2")
_LORA_TARGETS = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
"""Every linear layer of the LLM's blocks; the head and the embeddings stay."""


class Checkpoint(NamedTuple):
    """A model and the processor that it goes with."""

    model: Any
    processor: Any


def load_checkpoint(name: str, *, dtype: torch.dtype) -> Checkpoint:
    """Return the model and the processor of a folder or a hub id.

    Raises:
        TrainingError: when it is not there, of another architecture, or lacks weights.
    """
    register()
    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise TrainingError(
            f"cannot read the checkpoint {name!r}: {first_line}; a checkpoint in the released layout is made "
            f"readable by `rsvqa convert --from {name} --out DIR`"
        ) from error
    if not isinstance(config, GeoLlavaConfig):
        hint = f"; run `rsvqa convert --from {name} --out DIR` first" if config.model_type in _RELEASED_TYPES else ""
        raise TrainingError(f"the checkpoint {name!r} is a {config.model_type!r}, expected 'geollava'{hint}")
    model, info = GeoLlavaForConditionalGeneration.from_pretrained(name, dtype=dtype, output_loading_info=True)
    if missing := sorted([*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])]):
        raise TrainingError(
            f"the checkpoint {name!r} lacks {len(missing)} weights of its own configuration, the first is {missing[0]}"
            "; files of two checkpoints may be mixed in one folder"
        )
    return Checkpoint(model, AutoProcessor.from_pretrained(name))


def with_adapters(model: Any, *, rank: int, frozen: Collection[Part]) -> Any:  # noqa: ANN401  peft's own type
    """Return the model with adapters on the linear layers of its LLM; tower and projector train unless frozen."""
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=_LORA_TARGETS))
    for name, parameter in adapted.named_parameters():
        if part_of(name) is not Part.LLM and part_of(name) not in frozen:
            parameter.requires_grad_(requires_grad="affinity_head" not in name)
    return adapted
