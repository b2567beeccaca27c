"""The small model: its tokenizer gives every text back, and the seed decides the weights."""

from __future__ import annotations

import hypothesis.strategies as st
import torch
from hypothesis import given, settings

from rsvqa.model.tiny import make_tiny, train_tokenizer
from rsvqa.model.training_settings import TinySettings
from tests.model.make_dataset import TINY

TEXTS = ["Select the best answer.\nThe answer is:", "(A) water\n(B) forest", "(A) forest\n(B) water"] * 4
TOKENIZER = train_tokenizer(TEXTS, 400)


@given(st.text(max_size=40))
@settings(max_examples=60)
def test_every_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"]) == text


def test_phrases_are_tokens_and_letters_of_choices_stand_alone() -> None:
    tokens = [TOKENIZER.decode([number]) for number in TOKENIZER("(B) water\nSelect the best answer.A C")["input_ids"]]
    assert tokens == ["(B) ", "water", "\n", "Select the best answer.", "A", " ", "C"]


def test_seed_decides_the_weights_and_leaves_the_global_generator_alone() -> None:
    state = torch.random.get_rng_state()
    first, second, third = (make_tiny(TEXTS, TinySettings(**TINY), seed=seed).model for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    name = "model.multi_modal_projector.linear_1.weight"
    assert torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], third.state_dict()[name])
