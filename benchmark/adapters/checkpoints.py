"""A checkpoint of transformers, loaded with one clear line for whatever is wrong, and what names it in a result."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsvqa.annotation.extras import require_extra
from rsvqa.benchmark.adapters.processors import load_processor
from rsvqa.benchmark.errors import ModelError
from rsvqa.rsvqa_builder.checkpoint_names import (
    NAMES_OF_REMOTE_CODE,
    cache_alone_where_the_hub_is_gone,
    hub_fault,
    in_one_line,
    one_line,
)
from rsvqa.rsvqa_builder.files import hash_folder
from rsvqa.rsvqa_builder.progress import without_bars

SPREAD = "spread"
"""The device of a model whose layers are spread over all GPUs, and what does not fit over the memory of the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingSettings:
    """How weights are loaded.

    Attributes:
        dtype: "auto" (as the weights are stored) or the name of a type of torch.
        device: of torch; "auto" is a GPU where there is one, `SPREAD` all of them.
        weight_bits: "8" or "4" of the weights of linear layers; None for those of `dtype`.
        attention: transformers' name of an implementation; None for its own choice.
        trust_remote_code: run code that comes with the checkpoint.
    """

    dtype: str = "auto"
    device: str = "auto"
    weight_bits: str | None = None
    attention: str | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A model in evaluation mode and its processor.

    Attributes:
        model, processor: transformers' own.
        model_type: of the configuration.
        revision: of a hub id the commit, of a folder a hash of its files.
    """

    model: Any
    processor: Any
    model_type: str
    revision: str


@dataclass(frozen=True, slots=True)
class CheckpointFront:
    """What of a checkpoint is needed to make prompts for it.

    Attributes:
        config, processor: transformers' own.
        revision: as `LoadedCheckpoint` has it.
    """

    config: Any
    processor: Any
    revision: str

    @property
    def stored_dtype(self) -> str:
        """The type in which its weights are stored, as torch calls it; "auto" where the configuration is silent."""
        stored = getattr(self.config, "dtype", None) or getattr(self.config.get_text_config(), "dtype", None)
        return "auto" if stored is None else str(stored).removeprefix("torch.")


def load_front(name: str, *, trust_remote_code: bool) -> CheckpointFront:
    """Return a checkpoint's configuration and processor, for an engine that loads its weights.

    Raises:
        ModelError: it cannot be read.
        MissingExtraError: torch or transformers is not installed.
    """
    require_extra("model", "bench")
    with cache_alone_where_the_hub_is_gone(name):
        config = _load_config(name, trust_remote_code=trust_remote_code)
        processor = _load_processor(name, config, trust_remote_code=trust_remote_code)
    return CheckpointFront(config, processor, _revision(name, config))


def _load_processor(name: str, config: Any, *, trust_remote_code: bool) -> Any:  # noqa: ANN401
    with one_line(f"the processor of {name!r} cannot be loaded", ModelError):
        processor = load_processor(name, config.model_type, trust_remote_code=trust_remote_code)
    _check_processor(name, processor)
    return processor


def load_checkpoint(name: str, settings: LoadingSettings) -> LoadedCheckpoint:
    """Return what a folder or a hub id holds.

    Args:
        name: folder or hub id.
        settings: how it is loaded.

    Raises:
        ModelError: it cannot be loaded; the message says which file, class or setting is missing.
        MissingExtraError: torch or transformers is not installed.
    """
    require_extra("model", "bench")
    with cache_alone_where_the_hub_is_gone(name):
        config = _load_config(name, trust_remote_code=settings.trust_remote_code)
        loader = _loader_of(name, config)
        processor = _load_processor(name, config, trust_remote_code=settings.trust_remote_code)
        model = _load_model(name, loader, settings)
    if not _is_placed_by_loading(settings):
        what = f"the model {name!r} cannot be put on device {settings.device!r}"
        with one_line(f"{what}; `device` takes cpu, cuda, cuda:1, {SPREAD}", ModelError):
            model = model.to(_device(settings.device))
    return LoadedCheckpoint(model.eval(), processor, config.model_type, _revision(name, config))


def _load_config(name: str, *, trust_remote_code: bool) -> Any:  # noqa: ANN401
    from transformers import AutoConfig

    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").exists():
        raise ModelError(f"the folder {name} has no config.json; expected a checkpoint as save_pretrained writes it")
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    except OSError as error:
        if folder.is_dir():
            raise ModelError(f"the model {name!r} cannot be read: {in_one_line(error)}") from error
        cause = "no connection" if "couldn't connect" in str(error) else in_one_line(error)
        raise ModelError(hub_fault(name, cause)) from error
    except (ValueError, KeyError) as error:
        raise ModelError(_configuration_problem(name, error)) from error


def _configuration_problem(name: str, error: Exception) -> str:
    message = str(error)
    if any(word in message for word in NAMES_OF_REMOTE_CODE):
        return f"the model {name!r} brings its own code; read it, then allow it with `trust_remote_code`"
    if model_type := _stored_model_type(name):
        version = importlib.metadata.version("transformers")
        hint = "; `rsvqa convert` makes it loadable" if model_type.startswith("llava_qwen") else ""
        return f"the model {name!r} is of type {model_type!r}, which transformers {version} does not know{hint}"
    return f"the configuration of {name!r} cannot be read: {in_one_line(error)}"


def _stored_model_type(name: str) -> str:
    from transformers.configuration_utils import PreTrainedConfig

    config, _ = PreTrainedConfig.get_config_dict(name)
    return str(config.get("model_type", ""))


def _loader_of(name: str, config: Any) -> Any:  # noqa: ANN401
    """Return the Auto class that loads such a model: many that bring their own code name the one for texts alone."""
    from transformers import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
    )

    own = getattr(config, "auto_map", None) or {}
    if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or "AutoModelForImageTextToText" in own:
        return AutoModelForImageTextToText
    if "AutoModelForCausalLM" in own:
        return AutoModelForCausalLM
    raise ModelError(
        f"the model {name!r} is of type {config.model_type!r}, for which transformers has no class that reads "
        "images and writes text (AutoModelForImageTextToText); name a vision-language checkpoint"
    )


def _is_placed_by_loading(settings: LoadingSettings) -> bool:
    """Return whether weights are put on their devices while they are read, and must not be moved after that."""
    return settings.device == SPREAD or settings.weight_bits is not None


def _load_model(name: str, loader: Any, settings: LoadingSettings) -> Any:  # noqa: ANN401
    options: dict[str, Any] = {"dtype": settings.dtype, "trust_remote_code": settings.trust_remote_code}
    if settings.attention is not None:
        options["attn_implementation"] = settings.attention
    if _is_placed_by_loading(settings):
        options["device_map"] = "auto" if settings.device == SPREAD else {"": _device(settings.device)}
    if settings.weight_bits is not None:
        options["quantization_config"] = _quantisation(settings)
    with without_bars(), one_line(f"the weights of {name!r} cannot be loaded", ModelError):
        model, info = loader.from_pretrained(name, output_loading_info=True, **options)
    if missing := sorted(info["missing_keys"]):  # of another size they are refused above
        raise ModelError(
            f"the model {name!r} lacks {len(missing)} weights of its own configuration, the first is {missing[0]}; "
            "random ones would take their place"
        )
    return model


def _quantisation(settings: LoadingSettings) -> Any:  # noqa: ANN401
    """Return what bitsandbytes makes of linear layers; of 4 bits NF4, as QLoRA has it."""
    import torch
    from transformers import BitsAndBytesConfig

    require_extra("bits", "bench")
    if settings.weight_bits == "8":
        return BitsAndBytesConfig(load_in_8bit=True)
    computed_in = torch.bfloat16 if settings.dtype == "auto" else getattr(torch, settings.dtype)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=computed_in)


def _check_processor(name: str, processor: Any) -> None:  # noqa: ANN401
    for part in ("image_processor", "tokenizer"):
        if getattr(processor, part, None) is None:
            raise ModelError(
                f"the model {name!r} has no {part.replace('_', ' ')}; expected preprocessor_config.json and a "
                "tokenizer's files beside config.json"
            )
    if not processor.chat_template:
        raise ModelError(f"the model {name!r} has no chat template; expected chat_template.jinja beside config.json")


def input_device(model: Any) -> Any:  # noqa: ANN401
    """Return the device that a model's inputs are put on; its weights may lie elsewhere until they are needed."""
    hook = getattr(model, "_hf_hook", None)  # accelerate's, of a model that is spread
    return getattr(hook, "execution_device", None) or model.device


def _device(name: str) -> str:
    import torch

    if name != "auto":
        return name
    if not torch.cuda.is_available():
        return "cpu"
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))  # torchrun's: each process of a machine its own GPU
    return f"cuda:{local_rank % torch.cuda.device_count()}"


def _revision(name: str, config: Any) -> str:  # noqa: ANN401
    folder = Path(name)
    if not folder.is_dir():
        return str(getattr(config, "_commit_hash", None) or "unknown")
    return hash_folder(folder)
