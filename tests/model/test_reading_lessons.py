"""Lessons without images: what is right in them, and that a small model learns to read choices by them."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from rsvqa.annotation.lettering import lettered
from rsvqa.model.conversations import IGNORED_LABEL, chat_messages
from rsvqa.model.reading_lessons import Lessons, teach_reading
from rsvqa.model.tiny import CHAT_FRAME, TinyModel, make_tiny
from rsvqa.model.training_settings import TinySettings
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.scenes.tiling import Window

WORDS = ("water", "forest", "grassland", "farmland", "road surface", "bare ground")


def make(task: str, *words: str) -> Record:
    tile = TileRecord(image_id="a:0_0", split="train", scene="a", window=Window(0, 0, 8, 8))
    return Record(
        question_id="q",
        tile=tile,
        task=task,
        language="en",
        question="Which one?",
        images=(),
        options=lettered(words),
        answer="A",
    )


RECORDS = [
    make("regional_land_use", *WORDS[:4]),
    make("overall_land_use", *WORDS[2:]),
    make("detailed_captioning"),
]


def make_model(**changes: Any) -> TinyModel:
    settings = TinySettings(cell_size=32, patch_size=16, max_grid=1, tower_layers=2, **changes)
    texts = [chat_messages(record)[0]["content"][-1]["text"] for record in RECORDS]
    return make_tiny([*CHAT_FRAME, *texts, *WORDS] * 4, settings, seed=0)


@pytest.fixture(scope="module")
def tiny() -> TinyModel:
    return make_model(width=16, heads=2, llm_layers=1)


def read(tiny: TinyModel, ids: list[int]) -> str:
    return str(tiny.processor.tokenizer.decode([number for number in ids if number != IGNORED_LABEL]))


def choices_in(text: str) -> dict[str, str]:
    return {line[1]: line[4:] for line in text.splitlines() if line.startswith("(")}


@pytest.mark.parametrize("is_short", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_right_are_the_choices_whose_words_stand_before_them(tiny: TinyModel, seed: int, is_short: bool) -> None:
    lessons = Lessons(RECORDS, tiny.processor, tiny.processor.tokenizer)
    lesson = lessons.draw(random.Random(seed), is_short=is_short)
    text, reply = read(tiny, lesson.input_ids), read(tiny, lesson.labels)
    words = text.partition("(A) ")[0].splitlines()
    expected = [letter for letter, word in choices_in(text).items() if word in words]
    assert reply == " ".join(expected) + "<|im_end|>"
    assert text.endswith(reply)
    assert ("Which one?" in text) is not is_short


def test_records_without_choices_are_not_used(tiny: TinyModel) -> None:
    assert len(Lessons(RECORDS, tiny.processor, tiny.processor.tokenizer)) == 2


def test_one_choice_is_right_unless_the_task_has_several(tiny: TinyModel) -> None:
    lessons = Lessons(RECORDS[:1], tiny.processor, tiny.processor.tokenizer)
    replies = [read(tiny, lessons.draw(random.Random(seed), is_short=True).labels) for seed in range(30)]
    assert {reply[0] for reply in replies} == set("ABCD")
    assert all(reply[1:] == "<|im_end|>" for reply in replies)


def test_tower_and_projector_stay_and_the_seed_decides_the_rest() -> None:
    before = make_model(width=16, heads=2, llm_layers=1).model.state_dict()
    states = []
    for seed in (0, 0, 1):
        tiny = make_model(width=16, heads=2, llm_layers=1)
        lessons = Lessons(RECORDS, tiny.processor, tiny.processor.tokenizer)
        teach_reading(tiny.model, lessons, num_steps=2, seed=seed)
        states.append(tiny.model.state_dict())
    changed = {name for name in before if not torch.equal(before[name], states[0][name])}
    assert changed
    assert not [name for name in changed if "vision_tower" in name or "projector" in name]
    assert all(torch.equal(states[0][name], states[1][name]) for name in before)
    assert not torch.equal(states[0]["lm_head.weight"], states[2]["lm_head.weight"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_small_model_learns_to_read_choices() -> None:
    tiny = make_model()
    lessons = Lessons(RECORDS, tiny.processor, tiny.processor.tokenizer)
    teach_reading(tiny.model, lessons, num_steps=1000, seed=0)
    tiny.model.eval()
    right = 0
    for seed in range(100):
        lesson = lessons.draw(random.Random(f"exam {seed}"), is_short=False)
        num_prompt = lesson.labels.count(IGNORED_LABEL)
        with torch.inference_mode():
            logits = tiny.model(input_ids=torch.tensor([lesson.input_ids])).logits[0]
        right += logits[num_prompt - 1 : -1].argmax(-1).tolist() == lesson.labels[num_prompt:]
    # by chance one of four, and fewer where several are right
    assert right >= 90
