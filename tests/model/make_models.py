"""Tiny models, tokenizers and processors with random weights, made in memory."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import CLIPVisionConfig, PreTrainedTokenizerFast, Qwen2Config

from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.processing_geollava import IMAGE_TOKEN, GeoLlavaProcessor

CELL_SIZE = 28  # pixels
PATCH_SIZE = 7  # 4 × 4 tokens per cell
WORDS = ["<pad>", IMAGE_TOKEN, "<|im_start|>", "<|im_end|>", "<unk>", "A", "B", "C", "D", *(f"w{i}" for i in range(55))]


def tiny_config(**settings: Any) -> GeoLlavaConfig:
    """Return a configuration of two layers, width 32, 16 tokens per cell; `settings` override."""
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=CELL_SIZE,
        patch_size=PATCH_SIZE,
    )
    text = Qwen2Config(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        pad_token_id=0,
        eos_token_id=3,
    )
    chosen: dict[str, Any] = {"image_token_id": 1, "tokens_per_cell": 5, "max_grid": 4} | settings
    return GeoLlavaConfig(vision_config=vision.to_dict(), text_config=text.to_dict(), **chosen)


def tiny_model(seed: int = 0, **settings: Any) -> GeoLlavaForConditionalGeneration:
    """Return a model in evaluation mode whose weights follow from the seed.

    Weights are drawn wider than transformers draws them: else features hardly depend on the image.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GeoLlavaForConditionalGeneration(tiny_config(**settings))
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of whole words; unknown ones are `<unk>`."""
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<|im_end|>",
        additional_special_tokens=[IMAGE_TOKEN, "<|im_start|>"],
    )


def tiny_processor(*, num_cell_tokens: int | None = None, **settings: Any) -> GeoLlavaProcessor:
    """Return a processor that fits `tiny_model`; `settings` are the image processor's."""
    chosen: dict[str, Any] = {"cell_size": CELL_SIZE, "max_grid": 4} | settings
    return GeoLlavaProcessor(GeoLlavaImageProcessor(**chosen), tiny_tokenizer(), num_cell_tokens=num_cell_tokens)


def tiny_inputs(*, cells: tuple[int, int], seed: int = 0) -> dict[str, torch.Tensor]:
    """Return a prompt of `tiny_model` with one image of random pixels, (rows, columns) of cells."""
    rows, columns = cells
    pixels = torch.randn((rows * columns, 3, CELL_SIZE, CELL_SIZE), generator=torch.Generator().manual_seed(seed))
    prompt = torch.tensor([[10, 1, 11, 12]])
    return {"input_ids": prompt, "pixel_values": pixels, "image_grid_thw": torch.tensor([[1, rows, columns]])}
