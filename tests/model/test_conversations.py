"""Prompts, replies and labels of chats."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model.conversations import (
    ConversationError,
    chat_messages,
    deal_letters_again,
    is_letter_task,
    label_reply,
    render_chat,
)
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.scenes.tiling import Window


def make(task: str = "object_colour", **changes: Any) -> Record:
    tile = TileRecord(image_id="a:0_0", split="train", scene="a", window=Window(0, 0, 8, 8))
    values: dict[str, Any] = {
        "question_id": "a/1",
        "tile": tile,
        "task": task,
        "language": "en",
        "question": "Which colour?",
        "images": (),
        "options": ("(A) red", "(B) blue", "(C) green", "(D) grey"),
        "answer": "B",
    }
    return Record(**values | changes)


def texts(record: Record) -> tuple[str, str]:
    user, assistant = chat_messages(record)
    return user["content"][-1]["text"], assistant["content"][0]["text"]


class Template:
    """Renders messages as `<user>…<assistant>…<end>` and a line break."""

    def __init__(self, *, keeps_prompt: bool = True) -> None:
        self.keeps_prompt = keeps_prompt

    def apply_chat_template(
        self,
        conversation: list[Any],
        *,
        tokenize: bool = False,  # noqa: ARG002
        add_generation_prompt: bool = False,
    ) -> str:
        parts = []
        for number, message in enumerate(conversation):
            content = "".join(part.get("text", "<image>") for part in message["content"])
            prefix = "" if number or self.keeps_prompt or len(conversation) == 1 else "<system>"
            parts.append(
                f"{prefix}<{message['role']}>{content}" + ("<end>\n" if message["role"] == "assistant" else "")
            )
        return "".join(parts) + ("<assistant>" if add_generation_prompt else "")


def test_choices_stand_in_the_published_prompt() -> None:
    prompt, reply = texts(make())
    assert prompt == (
        "Which colour?The choices are listed below:\n(A) red\n(B) blue\n(C) green\n(D) grey\n\n"
        "Select the best answer for the multiple-choice question based on the image. Only respond with the letter "
        "corresponding to the correct answer (A, B, C, D).\nThe answer is:"
    )
    assert reply == "B"


def test_several_letters_are_separated_by_spaces() -> None:
    prompt, reply = texts(make("overall_land_use", answer="ACD"))
    assert prompt.endswith("with multiple choices separated by spaces.The answer(s) is(are):")
    assert reply == "A C D"


def test_a_box_is_asked_for_as_shares_of_the_sides() -> None:
    record = make("fine_grained_grounding", options=(), answer="[0.1, 0.2, 0.3, 0.4]")
    prompt, reply = texts(record)
    assert prompt == (
        "Which colour?\nAnswer with [x_min, y_min, x_max, y_max], shares of the image's width and height from 0 to 1."
    )
    assert reply == "[0.1, 0.2, 0.3, 0.4]"


def test_a_caption_is_the_question_and_the_text() -> None:
    record = make("detailed_captioning", options=(), answer="Overall, water.")
    assert texts(record) == ("Which colour?", "Overall, water.")


def test_each_image_has_its_place_before_the_text() -> None:
    user, _ = chat_messages(make("land_use_change"))
    assert [part["type"] for part in user["content"]] == ["image", "image", "text"]
    assert "<image>" not in user["content"][-1]["text"]


def test_rendered_reply_ends_with_the_turn() -> None:
    chat = render_chat(chat_messages(make(question="Q ")), Template())
    assert chat.prompt.startswith("<user><image>Q The choices")
    assert chat.prompt.endswith("<assistant>")
    assert chat.reply == "B<end>"  # without the line break that nobody generates


def test_a_template_that_rewrites_the_prompt_is_refused() -> None:
    with pytest.raises(ConversationError, match="does not keep the prompt"):
        render_chat(chat_messages(make()), Template(keeps_prompt=False))


def test_only_the_reply_has_labels() -> None:
    assert label_reply([5, 6, 7, 8, 9], [8, 9]) == [-100, -100, -100, 8, 9]


@pytest.mark.parametrize("reply", [[7, 9], [], [4, 5, 6, 7, 8, 9]])
def test_ids_that_do_not_end_with_the_reply_are_refused(reply: list[int]) -> None:
    with pytest.raises(ConversationError, match=r"last tokens are .* expected those of its reply"):
        label_reply([5, 6, 7, 8, 9], reply)


@pytest.mark.parametrize(("answer", "right"), [("B", {"blue"}), ("ACD", {"red", "green", "grey"})])
def test_letters_dealt_again_name_the_same_choices(answer: str, right: set[str]) -> None:
    seen = set()
    for seed in range(20):
        record = deal_letters_again(make("overall_land_use", answer=answer), random.Random(seed))
        options = record.options
        assert [option[:4] for option in options] == ["(A) ", "(B) ", "(C) ", "(D) "]
        assert {option[4:] for option in options if option[1] in record.answer} == right
        assert list(record.answer) == sorted(record.answer)
        seen.add(options)
    assert len(seen) > 10  # of 24 orders


def test_dealing_again_leaves_the_record_and_free_text_alone() -> None:
    record = make()
    deal_letters_again(record, random.Random(1))
    assert record == make()
    caption = make("detailed_captioning", options=(), answer="A lake.")
    assert deal_letters_again(caption, random.Random(1)) == caption


def test_letter_tasks_are_those_without_text_and_boxes() -> None:
    others = {name for name in TASKS if not is_letter_task(name)}
    assert others == {
        "detailed_captioning",
        "regional_captioning",
        "fine_grained_grounding",
        "condition_based_grounding",
    }
