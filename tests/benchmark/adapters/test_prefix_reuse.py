"""Replies with the shared prefix equal those of a plain loop over whole prompts, for every family that reuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rsvqa.benchmark.adapters.families import FAMILIES
from rsvqa.benchmark.adapters.generation import Generator
from rsvqa.benchmark.adapters.processors import load_processor
from rsvqa.benchmark.adapters.transformers_model import TransformersModel, open_transformers_model
from rsvqa.benchmark.models import PromptGroup, Reply
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.conftest import CheckpointMaker
from tests.benchmark.make_checkpoints import MAKERS
from tests.benchmark.make_prompts import make_group, make_image

GROUPS = (
    make_group([make_image(1)], name="one"),
    make_group([make_image(2, width=64, height=110)], name="tall"),
    make_group([make_image(3), make_image(4, width=120, height=70)], name="two"),
)


def open_tiny(folder: Path, **settings: Any) -> TransformersModel:
    return open_transformers_model(BenchSettings(model=str(folder), device="cpu", rewrite_boxes=False, **settings))


def replies_of(model: TransformersModel, groups: tuple[PromptGroup, ...] = GROUPS) -> dict[str, str]:
    found = {}
    for reply in model.reply(groups):
        assert isinstance(reply, Reply), reply
        found[reply.key] = reply.text
    return found


def plain_replies(folder: Path, kind: str) -> dict[str, str]:
    """Ask as the model cards do: processor, `generate`, one whole prompt at a time."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = load_processor(str(folder), kind, trust_remote_code=False)
    found = {}
    for group in GROUPS:
        images = [Image.fromarray(image.rgb) for image in group.images]
        for prompt in group.prompts:
            content = [*({"type": "image"} for _ in images), {"type": "text", "text": prompt.text}]
            chat = processor.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
            inputs = processor(text=[chat], images=images, return_tensors="pt")
            with torch.inference_mode():
                ids = model.generate(**inputs, do_sample=False, max_new_tokens=prompt.max_new_tokens)
            new = ids[0, inputs["input_ids"].shape[1] :]
            found[prompt.key] = processor.tokenizer.decode(new, skip_special_tokens=True)
    return found


def test_every_family_with_reuse_has_a_tiny_checkpoint() -> None:
    assert {kind for kind, family in FAMILIES.items() if family.reuses_prefix} == set(MAKERS)


@pytest.mark.parametrize("kind", MAKERS)
def test_replies_equal_those_of_a_plain_loop(kind: str, checkpoint: CheckpointMaker) -> None:
    folder = checkpoint(kind)
    plain = plain_replies(folder, kind)
    assert len(set(plain.values())) >= 8  # of 12: replies depend on image and question
    assert replies_of(open_tiny(folder, batch_size=3)) == plain
    assert replies_of(open_tiny(folder, batch_size=1)) == plain
    assert replies_of(open_tiny(folder, batch_size=4, reuse=False)) == plain


@pytest.mark.parametrize("kind", ["llava", "qwen2_5_vl", "idefics3", "geollava"])
def test_an_image_is_processed_and_encoded_once(
    kind: str, checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_tiny(checkpoint(kind), batch_size=2)
    network = model._checkpoint.model.model
    tower = next(
        getattr(network, name) for name in ("vision_tower", "visual", "vision_model") if hasattr(network, name)
    )
    encoded = []
    tower.register_forward_hook(lambda *_: encoded.append(1))
    processed = [0]
    process = type(model._checkpoint.processor).__call__

    def count_calls(self: Any, *args: Any, **kwargs: Any) -> Any:
        processed[0] += 1
        return process(self, *args, **kwargs)

    monkeypatch.setattr(type(model._checkpoint.processor), "__call__", count_calls)
    replies_of(model)
    assert (processed[0], len(encoded)) == (3, 3)  # once a group of four questions


def test_a_single_question_goes_the_same_way(checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Generator, "reply_to_whole")
    replies_of(open_tiny(checkpoint("llava")), (make_group([make_image(1)], ["What is it?"]),))


def test_no_reuse_and_untested_families_never_fill_a_prefix(
    checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Generator, prompt: object) -> None:
        raise AssertionError("a prefix was filled")

    monkeypatch.setattr(Generator, "fill_prefix", refuse)
    replies_of(open_tiny(checkpoint("llava"), reuse=False), GROUPS[:1])
    monkeypatch.setattr("rsvqa.benchmark.adapters.families.FAMILIES", {})
    model = open_tiny(checkpoint("llava"))
    assert model.describe()["family"] == "default"
    replies_of(model, GROUPS[:1])
