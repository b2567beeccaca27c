"""Rows of tokens made from the first prompt's are those that the processor makes itself."""

from __future__ import annotations

from typing import Any

import pytest

from rsvqa.benchmark.adapters.prompt_rows import PromptEncoder, begin_alike
from rsvqa.benchmark.adapters.transformers_model import TransformersModel, open_transformers_model
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.conftest import CheckpointMaker
from tests.benchmark.make_checkpoints import MAKERS
from tests.benchmark.make_prompts import QUESTIONS, make_group, make_image


def open_tiny(folder: Any, **settings: Any) -> TransformersModel:
    return open_transformers_model(BenchSettings(model=str(folder), device="cpu", **settings))


def make_encoder(model: TransformersModel, num_images: int = 1) -> PromptEncoder:
    from PIL import Image

    pictures = [Image.fromarray(make_image(seed).rgb) for seed in range(num_images)]
    return PromptEncoder(model._checkpoint.processor, pictures, model._checkpoint.model.config.image_token_id)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("num_images", [1, 2])
def test_rows_equal_those_of_the_processor(kind: str, num_images: int, checkpoint: CheckpointMaker) -> None:
    model = open_tiny(checkpoint(kind))
    shared = make_encoder(model, num_images)
    for text in (*QUESTIONS, QUESTIONS[0], "What is", " What is it, 船？"):
        encoded, whole = shared.encode(text), make_encoder(model, num_images).encode(text)
        assert encoded.row.keys() == whole.row.keys()
        assert {name: value.tolist() for name, value in encoded.row.items()} == {
            name: value.tolist() for name, value in whole.row.items()
        }
        assert encoded.prefix_length == whole.prefix_length > 0
        assert begin_alike(encoded, whole)


def test_rows_are_right_where_tokens_are_long_phrases(one_thread: None) -> None:
    from PIL import Image

    from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor
    from rsvqa.model.processing_geollava import GeoLlavaProcessor
    from rsvqa.model.tiny import train_tokenizer

    processor = GeoLlavaProcessor(GeoLlavaImageProcessor(cell_size=28), train_tokenizer([*QUESTIONS] * 5, 500))
    pictures = [Image.fromarray(make_image(1).rgb)]
    shared = PromptEncoder(processor, pictures, processor.image_token_id)
    for text in ("", *QUESTIONS, "What is", "What is it? What is it?"):
        whole = PromptEncoder(processor, pictures, processor.image_token_id).encode(text)
        assert shared.encode(text).row["input_ids"].tolist() == whole.row["input_ids"].tolist()
        assert processor.tokenizer.decode(whole.row["input_ids"]).count(text or "<image>") >= 1
    assert len(processor.tokenizer(QUESTIONS[3])["input_ids"]) < len(QUESTIONS[3]) / 2  # phrases, not characters


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    process = PromptEncoder._process

    def count(self: PromptEncoder, rendered: str) -> Any:
        calls.append(1)
        return process(self, rendered)

    monkeypatch.setattr(PromptEncoder, "_process", count)
    return calls


def test_the_processor_is_asked_again_where_its_tokens_end_in_another_way(
    checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch)
    model = open_tiny(checkpoint("llava"))
    encoder = make_encoder(model)
    encoder.encode("What is it?")
    encoder.encode("Why?")
    assert len(calls) == 1
    # a tokenizer that writes text on its own in another way than behind an image
    tokenize = PromptEncoder._tokenize
    monkeypatch.setattr(PromptEncoder, "_tokenize", lambda self, text: [*tokenize(self, text), 0])
    other = make_encoder(model)
    other.encode("What is it?")
    other.encode("Why?")
    assert len(calls) == 3


def test_replies_are_the_same_when_every_prompt_is_processed(
    checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_group([make_image(5)])
    model = open_tiny(checkpoint("qwen2_5_vl"))
    expected = {reply.key: getattr(reply, "text", None) for reply in model.reply([group])}
    calls = count_calls(monkeypatch)
    monkeypatch.setattr(PromptEncoder, "_with_other_tail", lambda *_: None)
    assert {reply.key: getattr(reply, "text", None) for reply in model.reply([group])} == expected
    assert len(calls) == 5  # the first one to learn the view


def test_a_prompt_that_begins_otherwise_does_not_share_the_cache(
    checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = PromptEncoder._render

    def render_otherwise(self: PromptEncoder, text: str) -> str:
        rendered = render(self, text)
        return f"<|im_start|>system\nA town!<|im_end|>\n{rendered}" if text == "Why?" else rendered

    monkeypatch.setattr(PromptEncoder, "_render", render_otherwise)
    images = [make_image(5)]
    replies = {
        reuse: {
            reply.key: getattr(reply, "text", None)
            for reply in open_tiny(checkpoint("llava"), reuse=reuse).reply([make_group(images, ["Who?", "Why?"])])
        }
        for reuse in (True, False)
    }
    assert replies[True] == replies[False]
    monkeypatch.setattr(PromptEncoder, "_render", render)
    plain = list(open_tiny(checkpoint("llava")).reply([make_group(images, ["Who?", "Why?"])]))
    assert getattr(plain[1], "text", None) != replies[True]["g-1"]  # the beginning matters
