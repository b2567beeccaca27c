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
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage


def make_row(task: str = "object_colour", **changes: Any) -> dict[str, Any]:
    row = {
        "question_id": "a/1",
        "task": task,
        "question": "Which colour?",
        "multi-choice options": ["(A) red", "(B) blue", "(C) green", "(D) grey"],
        "answer": "B",
        "image": [EncodedImage("a.jpg", b"")],
    }
    return row | changes


def texts(row: dict[str, Any]) -> tuple[str, str]:
    user, assistant = chat_messages(row)
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
    prompt, reply = texts(make_row())
    assert prompt == (
        "Which colour?The choices are listed below:\n(A) red\n(B) blue\n(C) green\n(D) grey\n\n"
        "Select the best answer for the multiple-choice question based on the image. Only respond with the letter "
        "corresponding to the correct answer (A, B, C, D).\nThe answer is:"
    )
    assert reply == "B"


def test_several_letters_are_separated_by_spaces() -> None:
    prompt, reply = texts(make_row("overall_land_use", answer="ACD"))
    assert prompt.endswith("with multiple choices separated by spaces.The answer(s) is(are):")
    assert reply == "A C D"


def test_a_box_is_asked_for_as_shares_of_the_sides() -> None:
    row = make_row("fine_grained_grounding", **{"multi-choice options": [], "answer": "[0.1, 0.2, 0.3, 0.4]"})
    prompt, reply = texts(row)
    assert prompt == (
        "Which colour?\nAnswer with [x_min, y_min, x_max, y_max], shares of the image's width and height from 0 to 1."
    )
    assert reply == "[0.1, 0.2, 0.3, 0.4]"


def test_a_caption_is_the_question_and_the_text() -> None:
    row = make_row("detailed_captioning", **{"multi-choice options": [], "answer": "Overall, water."})
    assert texts(row) == ("Which colour?", "Overall, water.")


def test_each_image_has_its_place_before_the_text() -> None:
    two = [EncodedImage("a.jpg", b""), EncodedImage("b.jpg", b"")]
    user, _ = chat_messages(make_row("land_use_change", image=two))
    assert [part["type"] for part in user["content"]] == ["image", "image", "text"]
    assert "<image>" not in user["content"][-1]["text"]


def test_rendered_reply_ends_with_the_turn() -> None:
    chat = render_chat(chat_messages(make_row(question="Q ")), Template())
    assert chat.prompt.startswith("<user><image>Q The choices")
    assert chat.prompt.endswith("<assistant>")
    assert chat.reply == "B<end>"  # without the line break that nobody generates


def test_a_template_that_rewrites_the_prompt_is_refused() -> None:
    with pytest.raises(ConversationError, match="does not keep the prompt"):
        render_chat(chat_messages(make_row()), Template(keeps_prompt=False))


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
        row = deal_letters_again(make_row("overall_land_use", answer=answer), random.Random(seed))
        options = row["multi-choice options"]
        assert [option[:4] for option in options] == ["(A) ", "(B) ", "(C) ", "(D) "]
        assert {option[4:] for option in options if option[1] in row["answer"]} == right
        assert list(row["answer"]) == sorted(row["answer"])
        seen.add(tuple(options))
    assert len(seen) > 10  # of 24 orders


def test_dealing_again_leaves_the_row_and_free_text_alone() -> None:
    row = make_row()
    deal_letters_again(row, random.Random(1))
    assert row == make_row()
    caption = make_row("detailed_captioning", **{"multi-choice options": [], "answer": "A lake."})
    assert deal_letters_again(caption, random.Random(1)) == caption


def test_letter_tasks_are_those_without_text_and_boxes() -> None:
    others = {name for name in TASKS if not is_letter_task(name)}
    assert others == {
        "detailed_captioning",
        "regional_captioning",
        "fine_grained_grounding",
        "condition_based_grounding",
    }
