"""Prompts, byte for byte where they are published."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.models import BoxConvention
from rsvqa.benchmark.protocol.prompts import (
    OWN_CAPTION_PROMPT_NAME,
    box_prompt,
    prompt_names,
    prompt_text,
    read_caption_prompt,
    replied_convention,
)
from tests.benchmark import lmms_eval
from tests.benchmark.make_samples import make_sample

OPTIONS = ("(A) Blue", "(B) Red", "(C) White", "(D) Black")


def test_the_published_prompt_byte_for_byte() -> None:
    sample = make_sample(question="What is the colour?", options=OPTIONS)
    assert prompt_text(sample, box_convention="0-1") == (
        "What is the colour?The choices are listed below:\n"
        "(A) Blue\n(B) Red\n(C) White\n(D) Black\n"
        "\n"
        "Select the best answer for the multiple-choice question based on the image. Only respond with the letter "
        "corresponding to the correct answer (A, B, C, D).\n"
        "The answer is:"
    )


def test_the_published_prompt_of_overall_land_use_byte_for_byte() -> None:
    sample = make_sample("overall_land_use", question="Which land uses?", options=("(A) Farmland", "(B) Forest"))
    assert prompt_text(sample, box_convention="0-1") == (
        "Which land uses?The choices are listed below:\n"
        "(A) Farmland\n(B) Forest\n"
        "\n"
        "Select the best answer(s) for the multiple-choice question based on the image. There may be more than one "
        "correct option. Only respond with the letter(s) corresponding to the correct answer(s) (A, B, C, D), with "
        "multiple choices separated by spaces.The answer(s) is(are):"
    )


def test_prompts_are_those_of_lmms_eval(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = lmms_eval.load("tasks/xlrs/mcq_utils.py", monkeypatch)
    ours = [task for task in TASKS.values() if task.category in theirs.TASK_PAIRs and not task.is_own]
    assert sorted(task.category for task in ours) == sorted(theirs.TASK_PAIRs)
    rng = random.Random(0)
    texts = ["What?", "Is it moving? ", "Image resolution: 9 x 9.\nBox: [1, 2, 3, 4]", "{question}", "", "红色? é\t"]
    compared = 0
    for task in ours:
        for _ in range(4):
            options = [f"({letter}) {rng.choice(texts)}" for letter in "ABCDE"[: rng.randint(2, 5)]]
            question = rng.choice(texts)
            row = {"question": question, "multi-choice options": options, "category": task.category}
            sample = make_sample(task.name, question=question, options=tuple(options))
            assert prompt_text(sample, box_convention="0-1") == theirs.xlrs_doc_to_text(row)
            compared += 1
    assert compared == 13 * 4


def test_options_are_those_after_rotation() -> None:
    sample = make_sample(options=("(A) Yes", "(B) No"))
    assert "\n(A) No\n(B) Yes\n\n" in prompt_text(sample, box_convention="0-1", options=("(A) No", "(B) Yes"))


# --- boxes ---


@pytest.mark.parametrize(
    ("convention", "units"),
    [
        ("pixels", "in pixels of the image"),
        ("view_pixels", "in pixels of the image"),
        ("0-1", "as shares of the image's width and height, from 0 to 1"),
        ("0-100", "as percentages of the image's width and height, from 0 to 100"),
        ("0-1000", "in thousandths of the image's width and height, from 0 to 1000"),
    ],
)
def test_a_box_is_asked_for_in_the_units_of_the_model(convention: BoxConvention, units: str) -> None:
    sample = make_sample("fine_grained_grounding", question="Where is the red car?")
    assert prompt_text(sample, box_convention=convention) == (
        f"Where is the red car?\nReply with one box only: [x_min, y_min, x_max, y_max], {units}."
    )


def test_a_box_is_asked_for_in_chinese() -> None:
    assert box_prompt("红色汽车在哪里？", "zh", "0-1000") == (
        "红色汽车在哪里？\n"
        "只回答一个边界框：[x_min, y_min, x_max, y_max]，取值为占图像宽度和高度的千分比，范围 0 到 1000。"
    )


@pytest.mark.parametrize(
    "question", ["Give its box (0-1).", "Give its box from 0 to 1,000.", "Give its box in pixels."]
)
def test_units_that_a_question_states_stand(question: str) -> None:
    assert box_prompt(question, "en", "0-100") == question


@pytest.mark.parametrize(
    ("question", "declared", "read"),
    [
        ("Where is it?", "0-1000", "0-1000"),
        ("Where is it, from 0 to 1?", "0-1000", "0-1"),
        ("Where is it, from 0 to 1,000?", "pixels", "0-1000"),
        ("Where is it, in pixels?", "0-1", "pixels"),
        ("Where is it, in pixels?", "view_pixels", "view_pixels"),  # the only pixels that the model knows
    ],
)
def test_a_reply_is_read_in_the_units_that_were_asked_for(
    question: str, declared: BoxConvention, read: BoxConvention
) -> None:
    assert replied_convention(question, declared) == read


# --- captions ---


@pytest.mark.parametrize(("language", "words"), [("en", "nine equal parts"), ("zh", "九个区域")])
def test_a_caption_is_asked_for_in_three_parts(language: str, words: str) -> None:
    text = prompt_text(make_sample("detailed_captioning", language=language, question="Q?"), box_convention="0-1")
    assert text.startswith("Q?\n")
    assert words in text
    assert len(text.splitlines()) == 5  # question, form, and the three parts


def test_a_caption_of_a_region_has_no_nine_parts() -> None:
    sample = make_sample("regional_captioning", question="Describe what is inside red circle 1.")
    assert prompt_text(sample, box_convention="0-1") == sample.question


def test_a_caption_prompt_from_a_file_is_used_and_named(tmp_path: Path) -> None:
    path = tmp_path / "published.txt"
    path.write_text("Write it down.\n{question}\n", encoding="utf-8")
    prompt = read_caption_prompt(path)
    sample = make_sample("detailed_captioning", question="What is {this}?")
    assert prompt_text(sample, box_convention="0-1", caption_prompt=prompt) == "Write it down.\nWhat is {this}?"
    # printf 'Write it down.\n{question}\n' | sha256sum
    assert prompt_names(prompt)["captions"] == "published.txt, sha256 28c17aef7d19ffa2"
    assert prompt_names()["captions"] == OWN_CAPTION_PROMPT_NAME


def test_a_caption_prompt_without_a_slot_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "published.txt"
    path.write_text("Write it down.", encoding="utf-8")
    sample = make_sample("detailed_captioning")
    prompt = read_caption_prompt(path)
    assert prompt_text(sample, box_convention="0-1", caption_prompt=prompt) == "Write it down."


@pytest.mark.parametrize(("data", "message"), [(b" \n", "is empty"), (b"\xff\xfe\x00", "cannot be read as UTF-8")])
def test_an_unusable_caption_prompt_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(data)
    with pytest.raises(BenchmarkDataError, match=message):
        read_caption_prompt(path)


def test_a_missing_caption_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkDataError, match="cannot be read"):
        read_caption_prompt(tmp_path / "none.txt")


def test_every_form_of_every_task_has_a_prompt() -> None:
    for task in TASKS.values():
        for form in task.forms:
            options = () if form in (AnswerForm.TEXT, AnswerForm.BOX) else OPTIONS
            sample = make_sample(task.name, form=form, options=options)
            assert prompt_text(sample, box_convention="0-1").startswith(sample.question)
