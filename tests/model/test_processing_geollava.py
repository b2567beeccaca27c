"""Prompts and images become inputs that agree, and boxes follow the image onto its canvas."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateError
from transformers import AutoProcessor, PreTrainedTokenizerFast

import rsvqa.model.registration  # noqa: F401  the Auto classes learn of GeoLLaVA
from rsvqa.model import processing_geollava as processing
from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor, place
from rsvqa.model.processing_geollava import CHAT_TEMPLATE, GeoLlavaProcessor, rescale_boxes
from tests.model.make_models import tiny_processor, tiny_tokenizer

# 100 × 60 pixels on a canvas of 84 × 56: y · 0.84 + 0, x · 0.85 + 2; see test_image_processing_geollava.
PLACEMENT = place(100, 60, (3, 2), 28)[0]
IMAGE = np.zeros((28, 28, 3), np.uint8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # 10 · 0.85 + 2 = 10.5 → 10 (even); 20 · 0.84 = 16.8 → 17; 30 · 0.85 + 2 = 27.5 → 28; 40 · 0.84 = 33.6 → 34
        ("Bounding box: [10, 20, 30, 40].", "Bounding box: [10, 17, 28, 34]."),
        ("Image resolution: 60 x 100. Box: [10,20,30,40]", "Image resolution: 56 x 84. Box: [10, 17, 28, 34]"),
        # stated at half the size: the box is twice as large in pixels of the image
        ("Image resolution: 30 x 50 Box [5, 10, 15, 20]", "Image resolution: 56 x 84 Box [10, 17, 28, 34]"),
        ("Box [0.1, 0.2, 0.3, 0.4] and [0, 0, 1, 1]", "Box [0.1, 0.2, 0.3, 0.4] and [0, 0, 1, 1]"),
        ("There are [3, 4] ships and [1, 2, 3] roads", "There are [3, 4] ships and [1, 2, 3] roads"),
    ],
)
def test_boxes_follow_the_image_onto_its_canvas(text: str, expected: str) -> None:
    assert rescale_boxes(text, PLACEMENT) == expected


@given(st.integers(2, 5000), st.integers(2, 5000))
def test_the_whole_image_as_a_box_stays_on_the_canvas(height: int, width: int) -> None:
    grid, placement = GeoLlavaImageProcessor(cell_size=28, max_grid=4).place(height, width)
    text = rescale_boxes(f"[0, 0, {width}, {height}]", placement)
    x_min, y_min, x_max, y_max = map(int, text.strip("[]").split(","))
    assert 0 <= x_min < x_max <= grid[1] * 28
    assert 0 <= y_min < y_max <= grid[0] * 28


def test_each_prompt_is_rewritten_for_its_own_first_image() -> None:
    processor = tiny_processor()
    seen: list[str] = []

    class Listening(PreTrainedTokenizerFast):
        def __call__(self, text: Any, **kwargs: Any) -> Any:
            seen.extend(text)
            return super().__call__(text, **kwargs)

    processor.tokenizer.__class__ = Listening
    images = [np.zeros(shape, np.uint8) for shape in ((28, 28, 3), (56, 56, 3), (20, 20, 3))]
    prompts = ["w1 [2, 2, 4, 4]", "<image> <image> [2, 2, 14, 14]", "<image> [10, 10, 20, 20]"]
    processor(text=prompts, images=images, rescale_boxes=True, padding=True)
    # 28 → 28 unchanged; 20 → 28: · 1.4
    assert seen == ["w1 [2, 2, 4, 4]", "<image> <image> [2, 2, 14, 14]", "<image> [14, 14, 28, 28]"]


def test_text_alone_and_images_alone_are_processed() -> None:
    processor = tiny_processor()
    assert set(processor(text="w1 w2")) == {"input_ids", "attention_mask"} | (
        {"token_type_ids"} & set(processor(text="w1 w2"))
    )
    assert set(processor(images=IMAGE)) == {"pixel_values", "image_grid_thw"}
    assert processor(text="w1 w2", return_tensors="pt")["input_ids"].tolist() == [[10, 11]]


def test_placements_are_given_on_demand_alone() -> None:
    processor = tiny_processor()
    assert "image_placements" not in processor(text="<image>", images=IMAGE)
    placements = processor(text="<image>", images=IMAGE, return_placements=True)["image_placements"]
    assert [(p.scale_x, p.offset_x) for p in placements] == [(1.0, 0)]


@pytest.mark.parametrize(
    ("text", "images", "message"),
    [
        ("w1", [IMAGE], r"hold \[0\] <image> placeholders, 0 together, and 1 images"),
        (["<image>", "<image> <image>"], [IMAGE], r"hold \[1, 2\] <image> placeholders, 3 together, and 1 images"),
        ("<image>", None, "1 together, and 0 images"),
        (None, None, "expected text, images or both"),
        ([], None, "expected at least one prompt"),
        ([], [IMAGE], "expected at least one prompt"),
        (["<image>", "<image>"], [[IMAGE, IMAGE], []], r"hold \[1, 1\] <image> placeholders and their lists \[2, 0\]"),
        (["<image> <image>", "<image>"], [[IMAGE], [IMAGE] * 2], r"hold \[2, 1\] .* and their lists \[1, 2\] images"),
    ],
)
def test_placeholders_and_images_must_agree(text: Any, images: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_processor()(text=text, images=images)


def test_lists_of_images_belong_to_the_prompts_with_placeholders() -> None:
    prompts = ["<image> w1", "w2", "<image> <image>"]
    one, two, three = (np.full((28, 28, 3), value, np.uint8) for value in (1, 2, 3))
    processor = tiny_processor(do_normalize=False)
    for images in ([[one], [], [two, three]], [[one], [two, three]], [one, two, three]):
        cells = processor(images, prompts, padding=True)["pixel_values"]
        assert cells[:, 0, 0, 0].tolist() == [1, 2, 3]


def test_a_placeholder_that_is_cut_off_is_named() -> None:
    with pytest.raises(ValueError, match=r"the rows hold \[0\] placeholder tokens .* and the prompts \[1\]"):
        tiny_processor()(text="w1 w2 <image>", images=IMAGE, truncation=True, max_length=2)


def test_an_image_that_would_be_spread_over_rows_is_named() -> None:
    processor = tiny_processor(num_cell_tokens=5)
    with pytest.raises(ValueError, match=r"the rows hold \[2, 3, 0\] placeholder tokens .* and the prompts \[5\]"):
        processor(IMAGE, "w1 <image> w2", max_length=3, truncation=True, return_overflowing_tokens=True)


def test_settings_may_be_said_to_be_of_both() -> None:
    processor = tiny_processor(num_cell_tokens=5)
    outputs = processor(IMAGE, "w1 <image>", common_kwargs={"return_tensors": "pt"}, text_kwargs={"padding": True})
    assert torch.equal(outputs["input_ids"], torch.tensor([[10, 1, 1, 1, 1, 1]]))


def test_a_tokenizer_without_the_placeholder_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.encode = lambda *_args, **_kwargs: [4, 4]
    with pytest.raises(ValueError, match="makes 2 tokens of '<image>'; expected one"):
        GeoLlavaProcessor(GeoLlavaImageProcessor(), tokenizer)


def test_the_chat_form_is_that_of_qwen() -> None:
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "w1 w2"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
    ]
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    user = "<|im_start|>user\n<image>\n<image>\nw1 w2<|im_end|>\n"
    processor = tiny_processor()
    expected = system + user + "<|im_start|>assistant\nA<|im_end|>\n"
    assert processor.apply_chat_template(messages) == expected
    prompt = processor.apply_chat_template(messages[:1], add_generation_prompt=True)
    assert prompt == system + user + "<|im_start|>assistant\n"
    plain = [{"role": "system", "content": "w3"}, {"role": "user", "content": "w1"}]
    assert processor.apply_chat_template(plain) == "<|im_start|>system\nw3<|im_end|>\n<|im_start|>user\nw1<|im_end|>\n"


def test_an_image_may_come_as_openai_has_it() -> None:
    buffer = io.BytesIO()
    Image.fromarray(IMAGE).save(buffer, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    part = {"type": "image_url", "image_url": {"url": url}}
    messages = [{"role": "user", "content": [part, {"type": "text", "text": "w1"}]}]
    processor = tiny_processor()
    assert "user\n<image>\nw1<|im_end|>" in processor.apply_chat_template(messages)
    # a tokenizer alone sees the parts as they are
    assert "user\n<image>\nw1<|im_end|>" in processor.tokenizer.apply_chat_template(
        messages, chat_template=CHAT_TEMPLATE, tokenize=False
    )
    outputs = processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt")
    assert torch.equal(outputs["pixel_values"], processor(images=IMAGE)["pixel_values"])


def test_a_question_that_speaks_of_the_placeholder_is_named() -> None:
    question = {"type": "text", "text": "What is <image>?"}
    prompt = tiny_processor().apply_chat_template([{"role": "user", "content": [{"type": "image"}, question]}])
    with pytest.raises(ValueError, match="no <image> in what is asked"):
        tiny_processor()(text=prompt, images=IMAGE)


def test_the_chat_template_can_be_tokenised_with_its_images_and_marks_the_reply() -> None:
    question = [{"type": "image", "image": Image.fromarray(IMAGE)}, {"type": "text", "text": "w1"}]
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
    ]
    outputs = tiny_processor().apply_chat_template(
        messages, tokenize=True, return_dict=True, return_tensors="pt", return_assistant_tokens_mask=True
    )
    ids = outputs["input_ids"][0]
    assert torch.equal(outputs["image_grid_thw"], torch.tensor([[1, 1, 1]]))
    assert ids[outputs["assistant_masks"][0] == 1].tolist() == [5, 3]  # A and the end of the turn


def test_as_many_placeholders_are_written_as_there_will_be_tokens(tmp_path: Path) -> None:
    processor = tiny_processor(num_cell_tokens=3)
    images = [np.zeros((28, 28, 3), np.uint8), np.zeros((28, 56, 3), np.uint8)]
    text = ["w1 <image> w2", "<image> w3"]
    outputs = processor(
        text=text,
        images=images,
        padding=True,
        return_tensors="pt",
        return_mm_token_type_ids=True,
        return_text_replacement_offsets=True,
    )
    assert outputs["input_ids"].tolist() == [[10, 1, 1, 1, 11, 0, 0], [1, 1, 1, 1, 1, 1, 12]]
    assert outputs["mm_token_type_ids"].tolist() == [[0, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1, 0]]
    (first,), (second,) = outputs["text_replacement_offsets"]
    assert (first["span"], first["new_span"], first["type"]) == ((3, 10), (3, 24), "image")
    assert second["replacement"] == "<image>" * 6
    assert text == ["w1 <image> w2", "<image> w3"]  # the caller's own
    known = processor._get_num_multimodal_tokens(image_sizes=[(28, 28), (28, 56)])
    assert (known["num_image_tokens"], known["num_image_patches"]) == ([3, 6], [1, 2])
    processor.save_pretrained(tmp_path)
    assert AutoProcessor.from_pretrained(tmp_path).num_cell_tokens == 3


def test_a_server_cannot_know_the_number_of_tokens_when_places_are_dropped() -> None:
    with pytest.raises(ValueError, match="load the model with fill = 'next'"):
        tiny_processor()._get_num_multimodal_tokens(image_sizes=[(28, 28)])


def test_settings_of_a_call_stand_beside_the_others_or_in_groups_and_servers_count_alike() -> None:
    processor = tiny_processor(num_cell_tokens=5)
    image = np.zeros((100, 100, 3), np.uint8)  # 4 x 4 cells of 28 px, or 2 x 2 where four are the most
    settings: Any
    for settings in ({"max_cells": 4}, {"images_kwargs": {"max_cells": 4, "return_tensors": "pt"}}):
        outputs = processor(text="w1 <image>", images=image, **settings)
        assert outputs["image_grid_thw"].tolist() == [[1, 2, 2]]
        assert outputs["input_ids"][0].count(1) == 4 * 5
        assert processor._get_num_multimodal_tokens([(100, 100)], **settings)["num_image_tokens"] == [4 * 5]
    prompts = ["w1", "w2 w3"]
    for settings in (
        {"padding": True, "padding_side": "left"},
        {"text_kwargs": {"padding": True, "padding_side": "left"}},
    ):
        assert processor(text=prompts, return_tensors="pt", **settings)["input_ids"].tolist() == [[0, 10], [11, 12]]
    with pytest.raises(ValueError, match=r"unknown image settings \['max_cell'\]"):
        processor(text="<image>", images=image, images_kwargs={"max_cell": 4})


def test_settings_that_neither_knows_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(processing.logger, "warning_once", told.append)
    tiny_processor()(text="w1", max_cell=4, videos=None, padding=True, is_split_into_words=False)
    assert told == ["not used by GeoLlavaProcessor: max_cell"]


def test_prompts_that_are_no_text_are_named() -> None:
    prompts: Any = [["w1", "w2"]]
    with pytest.raises(ValueError, match="a prompt is of type list; expected text, or a list of texts"):
        tiny_processor()(text=prompts)


@pytest.mark.parametrize("part", [{"type": "video", "video": "a.mp4"}, {"type": "input_image", "image_url": "data:,"}])
def test_parts_of_a_message_that_would_not_be_seen_are_refused(part: dict[str, str]) -> None:
    messages = [{"role": "user", "content": [part, {"type": "text", "text": "w1"}]}]
    with pytest.raises(
        TemplateError, match=f"part of type {part['type']}, which would not be seen; expected image, im"
    ):
        tiny_processor().apply_chat_template(messages)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"content": [{"type": "image"}]}, "of the assistant has a part of type image, .* not be seen; expected text$"),
        ({"content": None, "tool_calls": []}, "a message of the assistant has no content; expected text, or a list"),
        ({}, "a message of the assistant has no content"),
    ],
)
def test_what_an_assistant_would_not_be_heard_to_say_is_refused(reply: dict[str, Any], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        tiny_processor().apply_chat_template([{"role": "user", "content": "w1"}, {"role": "assistant", **reply}])


def test_tools_are_refused() -> None:
    tools = [{"type": "function", "function": {"name": "w2", "parameters": {"type": "object", "properties": {}}}}]
    messages = [{"role": "user", "content": "w1"}]
    with pytest.raises(TemplateError, match="tools would not be seen"):
        tiny_processor().apply_chat_template(messages, tools=tools)
    plain = tiny_processor().apply_chat_template(messages)
    assert tiny_processor().apply_chat_template(messages, tools=[]) == plain
