"""A small model from scratch, and a tokenizer trained on the data's own text: `init` = tiny.

It is there to see the whole way from scenes to a model that has learnt something, offline and on a CPU. What surprises:
the tokenizer's tokens are phrases. The questions of a data set are made from few templates, so a whole instruction
becomes one token; a chat is then four times shorter than with tokens of words, and so is the time of a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import CLIPVisionConfig, PreTrainedTokenizerFast, Qwen2Config

from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.processing_geollava import IMAGE_TOKEN, GeoLlavaProcessor
from rsvqa.model.training_settings import TinySettings

PAD, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_FRAME = ("system", "You are a helpful assistant.", "user", "assistant")
"""What `processing_geollava.CHAT_TEMPLATE` puts around messages; a tokenizer reads it once a chat."""

_PIECES = r"\([A-Z]\) |\n|[A-Z](?![a-z])|\d"
"""What no token is joined across: the mark of a choice, a line's end, a letter that stands alone, a digit."""

MLP_RATIO = 3
ROPE_THETA = 100.0
"""Base of the rotary positions; chats are short, and a smaller base tells neighbours apart in more dimensions."""

_MAX_POSITIONS = 8192


class TinyModel(NamedTuple):
    """A model and the processor that it goes with."""

    model: GeoLlavaForConditionalGeneration
    processor: GeoLlavaProcessor


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer of at most `vocabulary` tokens; any text comes back as it was."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, TURN_START, TURN_END, IMAGE_TOKEN],
        # sorted: the library's own alphabet comes in another order each time
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=TURN_END,
        additional_special_tokens=[TURN_START, IMAGE_TOKEN],
    )


def make_tiny(texts: Iterable[str], settings: TinySettings, *, seed: int) -> TinyModel:
    """Return a model with random weights whose tokenizer has read `texts`."""
    tokenizer = train_tokenizer(texts, settings.vocabulary)
    processor = GeoLlavaProcessor(
        GeoLlavaImageProcessor(cell_size=settings.cell_size, max_grid=settings.max_grid, do_normalize=False), tokenizer
    )
    config = GeoLlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=settings.width,
            intermediate_size=MLP_RATIO * settings.width,
            num_hidden_layers=settings.tower_layers + 1,  # the last one is not used
            num_attention_heads=settings.heads,
            image_size=settings.cell_size,
            patch_size=settings.patch_size,
        ),
        text_config=Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=settings.width,
            intermediate_size=MLP_RATIO * settings.width,
            num_hidden_layers=settings.llm_layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.heads,
            max_position_embeddings=_MAX_POSITIONS,
            rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
            initializer_range=settings.width**-0.5,  # transformers' 0.02 is for widths of thousands
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ),
        image_token_id=processor.image_token_id,
        max_grid=settings.max_grid,
        tie_word_embeddings=True,
    )
    processor.num_cell_tokens = config.num_cell_tokens
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GeoLlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return TinyModel(model, processor)
