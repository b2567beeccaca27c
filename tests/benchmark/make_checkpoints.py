"""Tiny random checkpoints of several families, as folders that the Auto classes load.

Weights are drawn wider than transformers draws them: else a reply hardly depends on image and question, and a test
that compares replies could not fail.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rsvqa.benchmark.adapters.processors import images_only

SPECIAL = ("<unk>", "<pad>", "<|im_start|>", "<|im_end|>")
LETTERS = ("\n", *(chr(code) for code in range(32, 127)))
WIDTH, LAYERS, HEADS = 32, 2, 4
IMAGE_SIDE, PATCH = 28, 7  # pixels; 4 × 4 patches

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer(*special: str, **names: str) -> Any:
    """Return a tokenizer with one token a character; `names` are special tokens with an attribute of their own."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = dict.fromkeys((*SPECIAL, *special, *names.values(), *LETTERS))
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([*SPECIAL, *special, *names.values()])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<|im_end|>",
        extra_special_tokens=names,
        model_max_length=1_000_000,
    )


def template(image: str) -> str:
    """Return a chat template that writes `image` for each image."""
    return _TEMPLATE.replace("IMAGE", image)


def text_sizes(vocabulary: int, **more: Any) -> dict[str, Any]:
    """Return what a tiny language model's configuration needs."""
    return {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "bos_token_id": None,
        "pad_token_id": 1,
        "eos_token_id": 3,
        **more,
    }


def clip_sizes(**more: Any) -> dict[str, Any]:
    """Return what a tiny CLIP-like tower's configuration needs."""
    return {
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": HEADS,
        "image_size": IMAGE_SIDE,
        "patch_size": PATCH,
        **more,
    }


def save(folder: Path, config: Any, processor: Any, *, seed: int = 0) -> Path:
    """Write a model with random weights, its processor and its generation settings; return the folder."""
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.25)
    model.generation_config.eos_token_id = 3
    model.generation_config.pad_token_id = 1
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make_llava(folder: Path, *, side: int = IMAGE_SIDE, patch: int = PATCH) -> Path:
    """Write a tiny LLaVA: one square of `side` pixels, in patches of `patch`."""
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaProcessor

    tokenizer = make_tokenizer("<image>")
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **clip_sizes(image_size=side, patch_size=patch)},
        text_config={"model_type": "llama", **text_sizes(len(tokenizer))},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    square = {"height": side, "width": side}
    images = CLIPImageProcessor(size={"shortest_edge": side}, crop_size=square)
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template("<image>\n"),
    )
    return save(folder, config, processor)


def make_llava_next(folder: Path) -> Path:
    """Write a tiny LLaVA-NeXT: squares on a grid that the image chooses."""
    from transformers import LlavaNextConfig, LlavaNextImageProcessor, LlavaNextProcessor

    tokenizer = make_tokenizer("<image>")
    grids = [[28, 56], [56, 28], [56, 56], [84, 28]]
    config = LlavaNextConfig(
        vision_config={"model_type": "clip_vision_model", **clip_sizes()},
        text_config={"model_type": "mistral", **text_sizes(len(tokenizer)), "sliding_window": None},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grids,
    )
    square = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    images = LlavaNextImageProcessor(size={"shortest_edge": IMAGE_SIDE}, crop_size=square, image_grid_pinpoints=grids)
    processor = LlavaNextProcessor(
        images,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template("<image>\n"),
    )
    return save(folder, config, processor)


def make_llava_onevision(folder: Path) -> Path:
    """Write a tiny LLaVA-OneVision."""
    from transformers import LlavaOnevisionConfig, LlavaOnevisionImageProcessor, LlavaOnevisionProcessor

    tokenizer = make_tokenizer("<image>", "<video>")
    grids = [[28, 28], [28, 56], [56, 28], [56, 56]]
    config = LlavaOnevisionConfig(
        vision_config={"model_type": "siglip_vision_model", **clip_sizes()},
        text_config={"model_type": "qwen2", **text_sizes(len(tokenizer))},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grids,
    )
    square = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    images = LlavaOnevisionImageProcessor(size=square, image_grid_pinpoints=grids)
    processor = images_only(LlavaOnevisionProcessor)(
        images,
        tokenizer,
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=template("<image>\n"),
    )
    return save(folder, config, processor)


def make_qwen(folder: Path, kind: str) -> Path:
    """Write a tiny Qwen2-VL, Qwen2.5-VL or Qwen3-VL: any size in patches of 4 pixels, 2 × 2 merged."""
    import transformers
    from transformers import AutoConfig, Qwen2VLImageProcessor

    tokenizer = make_tokenizer("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    ids = tokenizer.get_vocab()
    vision: dict[str, Any] = {"depth": 2, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2}
    text = text_sizes(len(tokenizer), rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2]})
    if kind == "qwen2_vl":
        vision |= {"embed_dim": WIDTH, "hidden_size": WIDTH, "mlp_ratio": 2}
    elif kind == "qwen2_5_vl":
        vision |= {"hidden_size": WIDTH, "out_hidden_size": WIDTH, "intermediate_size": 48}
        vision |= {"window_size": 16, "fullatt_block_indexes": [1]}
    else:
        vision |= {"hidden_size": WIDTH, "out_hidden_size": WIDTH, "intermediate_size": 48}
        vision |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
        text |= {"head_dim": WIDTH // HEADS}
    config = AutoConfig.for_model(
        kind,
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    images = Qwen2VLImageProcessor(patch_size=4, merge_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 48 * 48})
    names = {"qwen2_vl": "Qwen2VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor", "qwen3_vl": "Qwen3VLProcessor"}
    image = "<|vision_start|><|image_pad|><|vision_end|>"
    processor = images_only(getattr(transformers, names[kind]))(images, tokenizer, chat_template=template(image))
    return save(folder, config, processor)


def make_idefics3(folder: Path) -> Path:
    """Write a tiny Idefics3: squares of 28 pixels and the whole."""
    from transformers import Idefics3Config, Idefics3ImageProcessor, Idefics3Processor

    rows_and_columns = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer = make_tokenizer(
        "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *rows_and_columns
    )
    config = Idefics3Config(
        vision_config=clip_sizes(num_hidden_layers=2),
        text_config={"model_type": "llama", **text_sizes(len(tokenizer))},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=1,
    )
    images = Idefics3ImageProcessor(size={"longest_edge": 56}, max_image_size={"longest_edge": IMAGE_SIDE})
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=template("<image>"))
    return save(folder, config, processor)


def make_idefics2(folder: Path) -> Path:
    """Write a tiny Idefics2, whose processor takes no arrays."""
    from transformers import Idefics2Config, Idefics2Processor
    from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil

    tokenizer = make_tokenizer("<image>", "<fake_token_around_image>", "<end_of_utterance>")
    config = Idefics2Config(
        vision_config=clip_sizes(num_hidden_layers=2, image_size=56),
        perceiver_config={
            "hidden_size": WIDTH,
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 8,
            "num_key_value_heads": 1,
        },
        text_config={"model_type": "mistral", **text_sizes(len(tokenizer))},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    images = Idefics2ImageProcessorPil(size={"shortest_edge": 28, "longest_edge": 56}, do_image_splitting=False)
    processor = Idefics2Processor(images, tokenizer, image_seq_len=4, chat_template=template("<image>"))
    return save(folder, config, processor)


_REMOTE_CODE = """
from transformers import LlavaConfig, LlavaForConditionalGeneration

class FarConfig(LlavaConfig):
    model_type = "far"

class FarForCausalLM(LlavaForConditionalGeneration):
    config_class = FarConfig
"""


def make_far(folder: Path) -> Path:
    """Write a tiny LLaVA under a name of its own, whose code comes with it and names `AutoModelForCausalLM` alone."""
    from safetensors.torch import save_file
    from transformers import LlavaForConditionalGeneration

    model = LlavaForConditionalGeneration.from_pretrained(make_llava(folder))
    # under the names that its modules have: transformers renames those of its own types alone
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "modeling_far.py").write_text(_REMOTE_CODE)
    classes = {"AutoConfig": "modeling_far.FarConfig", "AutoModelForCausalLM": "modeling_far.FarForCausalLM"}
    set_in(folder / "config.json", model_type="far", architectures=["FarForCausalLM"], auto_map=classes)
    return folder


def make_smolvlm(folder: Path) -> Path:
    """Write a tiny SmolVLM: Idefics3 with its names, as its own processor needs packages for videos to be made."""
    make_idefics3(folder)
    vision = json.loads((folder / "config.json").read_text())["vision_config"] | {"model_type": "smolvlm_vision"}
    architectures = ["SmolVLMForConditionalGeneration"]
    set_in(folder / "config.json", model_type="smolvlm", architectures=architectures, vision_config=vision)
    images = json.loads((folder / "processor_config.json").read_text())["image_processor"]
    images["image_processor_type"] = "SmolVLMImageProcessor"
    set_in(folder / "processor_config.json", processor_class="SmolVLMProcessor", image_processor=images)
    set_in(folder / "tokenizer_config.json", processor_class="SmolVLMProcessor")
    return folder


def make_internvl(folder: Path) -> Path:
    """Write a tiny InternVL: up to six squares of 28 pixels and the whole."""
    from transformers import InternVLConfig, InternVLProcessor
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    tokenizer = make_tokenizer(
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    vision = clip_sizes(num_hidden_layers=2, image_size=[IMAGE_SIDE, IMAGE_SIDE], patch_size=[PATCH, PATCH])
    config = InternVLConfig(
        vision_config=vision,
        text_config={"model_type": "qwen2", **text_sizes(len(tokenizer))},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    square = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    images = GotOcr2ImageProcessorPil(size=square, crop_to_patches=True, min_patches=1, max_patches=6)
    processor = images_only(InternVLProcessor)(
        images, tokenizer, image_seq_length=4, chat_template=template("<IMG_CONTEXT>\n")
    )
    return save(folder, config, processor)


def make_geollava(folder: Path, *, width: int | None = None) -> Path:
    """Write a tiny GeoLLaVA; `width` is that of its layers."""
    from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor
    from rsvqa.model.processing_geollava import GeoLlavaProcessor
    from rsvqa.model.registration import register
    from tests.model.make_models import tiny_config

    register()
    tokenizer = make_tokenizer("<image>")
    config = tiny_config(image_token_id=tokenizer.convert_tokens_to_ids("<image>"))
    config.text_config.vocab_size = len(tokenizer)
    config.text_config.max_position_embeddings = 4096
    for part in (config.vision_config, config.text_config):
        part.hidden_size = width or part.hidden_size
        part.intermediate_size = width or part.intermediate_size
    processor = GeoLlavaProcessor(
        GeoLlavaImageProcessor(cell_size=IMAGE_SIDE, max_grid=4), tokenizer, num_cell_tokens=config.num_cell_tokens
    )
    return save(folder, config, processor)


MAKERS: Mapping[str, Callable[[Path], Path]] = {
    "llava": make_llava,
    "llava_next": make_llava_next,
    "llava_onevision": make_llava_onevision,
    "qwen2_vl": functools.partial(make_qwen, kind="qwen2_vl"),
    "qwen2_5_vl": functools.partial(make_qwen, kind="qwen2_5_vl"),
    "qwen3_vl": functools.partial(make_qwen, kind="qwen3_vl"),
    "idefics3": make_idefics3,
    "smolvlm": make_smolvlm,
    "internvl": make_internvl,
    "geollava": make_geollava,
}
"""By `model_type`, of the families that are listed."""
UNLISTED: Mapping[str, Callable[[Path], Path]] = {"idefics2": make_idefics2, "far": make_far}
"""Likewise, of others."""


def set_in(file: Path, **values: Any) -> None:
    """Change some values of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
