"""Checkpoints that a training run begins from, and adapters on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from accelerate import PartialState
from transformers import AutoProcessor
from transformers.configuration_utils import PreTrainedConfig

from rsvqa.annotation.extras import require_extra
from rsvqa.model.configuration_geollava import RELEASED_PRUNING, GeoLlavaConfig
from rsvqa.model.conversion import convert_checkpoint
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.processing_geollava import GeoLlavaProcessor
from rsvqa.model.registration import register
from rsvqa.model.trainer import TrainingError
from rsvqa.rsvqa_builder.checkpoint_names import cache_alone_where_the_hub_is_gone, folder_fault, hub_fault, one_line
from rsvqa.rsvqa_builder.progress import without_bars

RELEASED_TYPES = ("llava_qwen", "llava_qwen2")
"""`model_type` of checkpoints in the layout of LongVA and the released GeoLLaVA-8K."""
_LORA_TARGETS = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
"""Every linear layer of the LLM's blocks; the head and the embeddings stay."""


RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "cell_size": 336,
        "max_grid": 24,
        "max_cells": 24 * 24,
        "vision_feature_layer": -2,
        "tokens_per_cell": 24,
        **RELEASED_PRUNING,
    }
)
"""What GeoLLaVA-8K was trained with, of all that a checkpoint brings along beside its weights."""


class Inherited(NamedTuple):
    """A setting that a run took from its checkpoint, and what the recipe says."""

    checkpoint: Any
    recipe: Any


class StartingPoint(NamedTuple):
    """A model and the processor that it goes with."""

    model: Any
    processor: Any

    @property
    def max_cells(self) -> int:
        """Most cells of an image."""
        images = self.processor.image_processor
        square = int(images.max_grid) ** 2
        return square if images.max_cells is None else min(square, int(images.max_cells))

    def agree(self) -> None:
        """Let the processor fit the model as it is set now.

        It writes as many placeholders as there are visual tokens, and leaves pixels to the model to normalise, by the
        processor's mean and spread where an earlier version has saved them there.
        """
        images, config = self.processor.image_processor, self.model.config
        self.processor.num_cell_tokens = config.num_cell_tokens
        if images.do_normalize:
            config.image_mean, config.image_std = images.image_mean, images.image_std
            images.do_normalize, images.image_mean, images.image_std = False, None, None

    def limit_grid(self, max_grid: int) -> None:
        """See images at up to `max_grid` cells along each side, whatever the checkpoint was trained with."""
        self.processor.image_processor.max_grid = max_grid
        self.processor.image_processor.max_cells = None
        self.model.config.max_grid = max_grid

    def inherited(self, *, besides: Collection[str]) -> dict[str, Inherited]:
        """Return what differs from the recipe, without the settings `besides`, which the run has chosen itself."""
        images, config = self.processor.image_processor, self.model.config
        found = {name: getattr(config, name) for name in RECIPE if hasattr(config, name)}
        found |= {"cell_size": images.cell_size, "max_grid": images.max_grid, "max_cells": self.max_cells}
        return {
            name: Inherited(found[name], wanted)
            for name, wanted in RECIPE.items()
            if found[name] != wanted and name not in besides
        }


def load_checkpoint(
    name: str, *, dtype: torch.dtype, converted: Path | None, bits: Literal[4, 8] | None = None
) -> StartingPoint:
    """Return the model and the processor of a folder or a hub id.

    Args:
        name: of the checkpoint.
        dtype: of the weights.
        converted: folder for its conversion, where it is in the released layout; used again if it is there. None
            refuses that layout.
        bits: of the weights of the LLM's layers, which then cannot train; None leaves them in `dtype`.

    Raises:
        TrainingError: when it is not there, of another architecture, or lacks weights.
    """
    register()
    with cache_alone_where_the_hub_is_gone(name):
        return _load(name, checkpoint_type(name), dtype=dtype, converted=converted, bits=bits)


def _load(
    name: str, model_type: str, *, dtype: torch.dtype, converted: Path | None, bits: Literal[4, 8] | None
) -> StartingPoint:
    if model_type in RELEASED_TYPES:
        if converted is None:
            raise TrainingError(f"the checkpoint {name!r} is in the released layout; `rsvqa convert` makes it loadable")
        with PartialState().main_process_first():
            if not converted.exists():
                convert_checkpoint(name, converted)
        name = str(converted)
    elif model_type != GeoLlavaConfig.model_type:
        raise TrainingError(f"the checkpoint {name!r} is a {model_type!r}, expected {GeoLlavaConfig.model_type!r}")
    with without_bars(), one_line(f"the checkpoint {name!r} cannot be loaded", TrainingError):
        model, info = GeoLlavaForConditionalGeneration.from_pretrained(
            name, dtype=dtype, output_loading_info=True, **({} if bits is None else _quantisation(bits, dtype))
        )
    if missing := sorted([*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])]):
        raise TrainingError(
            f"the checkpoint {name!r} lacks {len(missing)} weights of its own configuration, the first is {missing[0]}"
            "; files of two checkpoints may be mixed in one folder"
        )
    return StartingPoint(model, _load_processor(name, model.config))


def _load_processor(name: str, config: GeoLlavaConfig) -> Any:  # noqa: ANN401  transformers' own type
    """Return the processor of a checkpoint, which must be one that fits its model."""
    with one_line(f"the processor of the checkpoint {name!r} cannot be loaded", TrainingError):
        processor: Any = AutoProcessor.from_pretrained(name)
    if not isinstance(processor, GeoLlavaProcessor):
        raise TrainingError(
            f"the checkpoint {name!r} has a {type(processor).__name__}, expected a processor of images and text: the "
            "files of a processor beside config.json"
        )
    images = processor.image_processor
    side, token = config.vision_config.image_size, config.image_token_id
    if (images.cell_size, processor.image_token_id) != (side, token):
        raise TrainingError(
            f"the processor of the checkpoint {name!r} cuts cells of {images.cell_size} px and writes placeholders of "
            f"the id {processor.image_token_id}; its model expects {side} px and the id {token}: files of two "
            "checkpoints may be mixed in one folder"
        )
    return processor


def checkpoint_type(name: str) -> str:
    """Return the `model_type` of a checkpoint, a folder or a hub id.

    Raises:
        TrainingError: it is not there, or its configuration cannot be read.
    """
    if fault := folder_fault(name):
        raise TrainingError(fault)
    try:
        with cache_alone_where_the_hub_is_gone(name):
            config, _ = PreTrainedConfig.get_config_dict(name)
    except (OSError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0]
        if not Path(name).is_dir():
            cause = "no connection" if "couldn't connect" in first_line else first_line
            raise TrainingError(hub_fault(name, cause)) from error
        raise TrainingError(f"cannot read the checkpoint {name!r}: {first_line}") from error
    if not config:
        raise TrainingError(f"cannot read the checkpoint {name!r}: there is no config.json in it")
    return str(config.get("model_type", "model without a type"))


def _quantisation(bits: Literal[4, 8], dtype: torch.dtype) -> dict[str, Any]:
    require_extra("bits", "train")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=bits == 4,
        load_in_8bit=bits == 8,
        bnb_4bit_quant_type="nf4",  # as in QLoRA, arXiv 2305.14314
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config}


def with_adapters(model: Any, *, rank: int, computes_in_bf16: bool) -> Any:  # noqa: ANN401  peft's own type
    """Return the model with adapters on the linear layers of its LLM; they alone train, in float32.

    Args:
        model: a GeoLLaVA.
        rank: of the adapters.
        computes_in_bf16: whether autocast makes their passes bf16. peft would first copy every input to float32.
    """
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import LoraLayer

    adapted = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=_LORA_TARGETS))
    for module in adapted.modules():
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = not computes_in_bf16
    return adapted


def merge_adapters(model: Any, folder: Path) -> Any:  # noqa: ANN401  the model's own type
    """Return a model with the adapters in `folder`, which were trained beside its weights, added to them."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
