"""Checkpoints that a training run begins from, and adapters on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from transformers import AutoProcessor
from transformers.configuration_utils import PreTrainedConfig

from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.conversion import convert_checkpoint
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.registration import register
from rsvqa.model.trainer import TrainingError

RELEASED_TYPES = ("llava_qwen", "llava_qwen2")
"""`model_type` of checkpoints in the layout of LongVA and the released GeoLLaVA-8K."""
_LORA_TARGETS = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
"""Every linear layer of the LLM's blocks; the head and the embeddings stay."""


class StartingPoint(NamedTuple):
    """A model and the processor that it goes with."""

    model: Any
    processor: Any


def load_checkpoint(name: str, *, dtype: torch.dtype, converted: Path) -> StartingPoint:
    """Return the model and the processor of a folder or a hub id.

    Args:
        name: of the checkpoint.
        dtype: of the weights.
        converted: folder for its conversion, where it is in the released layout; used again if it is there.

    Raises:
        TrainingError: when it is not there, of another architecture, or lacks weights.
    """
    register()
    model_type = _model_type(name)
    if model_type in RELEASED_TYPES:
        with PartialState().main_process_first():
            if not converted.exists():
                convert_checkpoint(name, converted)
        name = str(converted)
    elif model_type != GeoLlavaConfig.model_type:
        raise TrainingError(f"the checkpoint {name!r} is a {model_type!r}, expected {GeoLlavaConfig.model_type!r}")
    model, info = GeoLlavaForConditionalGeneration.from_pretrained(name, dtype=dtype, output_loading_info=True)
    if missing := sorted([*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])]):
        raise TrainingError(
            f"the checkpoint {name!r} lacks {len(missing)} weights of its own configuration, the first is {missing[0]}"
            "; files of two checkpoints may be mixed in one folder"
        )
    return StartingPoint(model, AutoProcessor.from_pretrained(name))


def _model_type(name: str) -> str:
    try:
        config, _ = PreTrainedConfig.get_config_dict(name)
    except (OSError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise TrainingError(f"cannot read the checkpoint {name!r}: {first_line}") from error
    if not config:
        raise TrainingError(f"cannot read the checkpoint {name!r}: there is no config.json in it")
    return str(config.get("model_type", "model without a type"))


def with_adapters(model: Any, *, rank: int) -> Any:  # noqa: ANN401  peft's own type
    """Return the model with adapters on the linear layers of its LLM; they alone train."""
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=_LORA_TARGETS))
