"""The scorer as a reward: what trainers by reinforcement get for a completion."""

from __future__ import annotations

import pytest

from rsvqa.benchmark.scores.reward import reward, rewards

OPTIONS = "(A) a ship\n(B) a car\n(C) a tank\n(D) a crane"
KEY = '[{"bbox_2d": [0, 0, 100, 100], "label": "ship"}]'


@pytest.mark.parametrize(
    ("reply", "solution", "kind", "expected"),
    [
        ("B", "B", "letter", 1.0),
        ("The answer is (B).", "B", "letter", 1.0),
        ("<think>A or B?</think>B", "B", "letter", 1.0),
        ("A", "B", "letter", 0.0),
        ("", "B", "letter", 0.0),
        ("A C D", "A C D", "letters", 1.0),
        ("A, C and D", "A C D", "letters", 1.0),
        ("A C", "A C D", "letters", 0.0),
        (KEY, KEY, "box", 1.0),
        # 100 x 100 and its left half: 5,000 of 10,000
        ("[0, 0, 50, 100]", KEY, "box", 0.5),
        ("<box>[[0, 0, 100, 50]]</box>", "<ref>ship</ref><box>[[0, 0, 100, 100]]</box>", "box", 0.5),
        ("<|box_start|>(0,0),(100,100)<|box_end|>", KEY, "box", 1.0),
        ("[100, 100, 0, 0]", KEY, "box", 0.0),
        ("[0, 0, 100, 100] or [0, 0, 50, 50]", KEY, "box", 0.0),
        ("nowhere", KEY, "box", 0.0),
        ("A harbour.", "A harbour.", "text", None),
    ],
)
def test_what_a_reply_is_worth(reply: str, solution: str, kind: str, expected: float | None) -> None:
    assert reward(reply, solution=solution, answer_type=kind, choices=OPTIONS) == expected


def test_trainers_call_it_with_columns() -> None:
    columns = {"solution": ["B", KEY], "answer_type": ["letter", "box"], "choices": [OPTIONS, ""], "task": ["x", "y"]}
    assert rewards(["B", "[0, 0, 50, 100]"], **columns) == [1.0, 0.5]
    chats = [[{"role": "assistant", "content": "C"}], [{"role": "assistant", "content": KEY}]]
    assert rewards(chats, **columns) == [0.0, 1.0]
    assert rewards([], solution=[], answer_type=[], choices=[]) == []


def test_a_completion_without_words_is_no_answer() -> None:
    nothing = "(A) none\n(B) None\n(C) many"
    columns = {"solution": ["B"], "answer_type": ["letter"], "choices": [nothing]}
    part = {"type": "text", "text": "B"}
    for completion, worth in (
        ([{"role": "assistant", "content": None}], 0.0),
        ([{"role": "assistant", "content": [part]}], 1.0),
        ([{"role": "assistant", "content": []}], 0.0),
        ([], 0.0),
        (None, 0.0),
        # what a tool said is not the model's answer
        ([{"role": "assistant", "content": "A"}, {"role": "tool", "content": "B"}], 0.0),
    ):
        assert rewards([completion], prompts=["?"], completion_ids=[[1]], **columns) == [worth], completion


def test_rows_of_other_data_sets_have_no_worth() -> None:
    assert rewards(["B", "B"], solution=[None, "B"], answer_type=[None, "letter"], choices=[None, OPTIONS]) == [
        None,
        1.0,
    ]


def test_a_key_that_no_export_has_is_refused() -> None:
    with pytest.raises(ValueError, match="answer type 'number': expected letter, letters, box or text"):
        reward("3", solution="3", answer_type="number")
    for key in ("", "C", "no"):
        with pytest.raises(ValueError, match=f"the key '{key}' names none of 2 options"):
            reward("", solution=key, answer_type="letter", choices="(A) red\n(B) blue")
    with pytest.raises(ValueError, match="the key of a box holds 0 boxes: 'there'"):
        reward("3", solution="there", answer_type="box")
