"""The strict parser against a table that was thought through by hand, and against hostile replies."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.annotation.lettering import LetteringError
from rsvqa.benchmark.protocol.strict_answers import Refusal, StrictAnswer, read_answer

TABLE = Path(__file__).parents[1] / "data" / "strict_answers.toml"
COLOURS = ("(A) Blue", "(B) Red", "(C) White", "(D) Black")
LETTERS = "ABCD"
MILLION = 1_000_000


def golden_rows() -> list[Any]:
    rows = []
    for name, group in tomllib.loads(TABLE.read_text(encoding="utf-8")).items():
        for reply, expected, *_ in group["replies"]:
            rows.append(pytest.param(reply, expected, group, id=f"{name}: {reply[:40]!r}"))
    return rows


def as_answer(expected: str) -> StrictAnswer:
    return StrictAnswer(expected) if expected.isupper() else StrictAnswer("", Refusal(expected))


@pytest.mark.parametrize(("reply", "expected", "group"), golden_rows())
def test_replies_are_read_as_in_the_table(reply: str, expected: str, group: dict[str, Any]) -> None:
    assert read_answer(reply, group["options"], several=group.get("several", False)) == as_answer(expected)


def test_the_table_is_as_long_as_it_should_be() -> None:
    assert len(golden_rows()) >= 150


# --- replies that were judged before the parser saw them ---

JUDGED = Path(__file__).parents[1] / "data" / "strict_replies.toml"
NOT_READ = {
    "Between A and B, B is more likely.",
    "So B is not right, so C.",
    "12 in the north and 2 in the south, 12 + 2 = 14",
    "Las respuestas son A y D.",
    "No wake is seen",
    "```python\nprint('B')\n```",
    "There are fourteen.",
    "1 200",
    "12.000",
    "10 to 12",
    "Q: Which?\nA: C",
    "Forest and water",
    '<answer type="B">C</answer>',
}
"""Readable, but not read: to refuse them costs a point, to read them wrongly would make one."""

READ_ALL_THE_SAME = {
    "<option>A</option> is wrong, so B": "B",
    "The car is not blue, so A.": "A",
    "It is blue. So not blue.": "A",
    "The right part shows site A, so the left is B.": "B",
    '{"answers": ["A", ["B"]]}': "AB",
    '{"answers": ["A", "not B"]}': "A",
    "Water, so C; perhaps a road.": "C",
    "It is not A but B, and D.": "BD",
    "The car is bluish green.": "D",
    "14 m": "B",
    "north-east": "B",
    "No, wait, yes": "A",
    "Farmland and no water": "A",
    "14 pairs": "B",
    "$14": "B",
    '{"answer": 14, "confidence": 0.1, "alternatives": [15]}': "B",
    '{"analysis": {"answer": "B"}, "answer": "C"} ': "C",
    '{"answer": "B?"}': "B",
    "<answer>B</answer> is wrong": "B",
    "Could be B": "B",
    "B. Sc.": "B",
    "C#": "C",
    "a blue sky above a car": "B",
    "It looks like an airplane hangar": "D",
    "Bare": "D",
    "No longer visible, so yes": "A",
    '{"option": "B", "probability": 0.1}': "B",
    '{"final": "unknown", "option": "B"}': "B",
    "B, if I had to exclude one": "B",
    "red herring": "A",
    "Red Cross sign": "A",
    "White House": "C",
    "Blue, no doubt? Well, no.": "B",
}
"""Traps that the judge would have refused, and that are read: with a doubt that only the picture or the words' sense
gives, or by a second look rightly. None of them is among the first 242."""


def judged_rows() -> list[Any]:
    groups = tomllib.loads(JUDGED.read_text(encoding="utf-8"))
    return [
        pytest.param(reply, letters, group, found, id=f"{name}: {reply[:40]!r}")
        for name, group in groups.items()
        for reply, letters, *found in group["replies"]
    ]


@pytest.mark.parametrize(("reply", "letters", "group", "instead"), judged_rows())
def test_replies_are_read_as_they_were_judged_or_not_at_all(
    reply: str, letters: str, group: dict[str, Any], instead: list[str]
) -> None:
    found = read_answer(reply, group["options"], several=group.get("several", False))
    expected = instead[0] if instead else READ_ALL_THE_SAME.get(reply, "" if reply in NOT_READ else letters)
    assert found.letters == expected
    assert (found.refusal is None) == bool(found.letters)


def test_no_judged_reply_is_read_as_letters_that_the_judge_did_not_read() -> None:
    """A third entry of a row may say that it is refused, or read where the judge was not sure, but nothing else."""
    rows = [row.values for row in judged_rows()]
    assert all(letters == "" or instead == [""] for _, letters, _, instead in rows if instead)
    assert sum(instead != [] and instead != [""] for *_, instead in rows) == 20


def test_odd_json_is_no_error() -> None:
    for reply in (
        "{" * 5000,
        '{"answer": ' * 900,
        "{'answer': '\\d'}",
        '{"answer": ' + "[" * 3000 + "}",
        "{((((}",
        "{1: 2}",
    ):
        assert read_answer(reply, COLOURS, several=False).letters == ""


# --- what is rendered is read back ---

ONE_LETTER = ["{L}", "({L})", "{L}.", "{l}", "Answer: {L}", "The answer is ({L}).", "\\boxed{{{L}}}", "**{L}**"]
WITH_TEXT = [
    "{L}. {T}",
    "({L}) {T}",
    "{L}: {T}",
    "{T}",
    "{t}",
    "The answer is {T}.",
    "It is {t}.",
    "{L}) {t}\n\nIt is.",
]
SEVERAL = [" ", ", ", "", " and ", "\n"]


@pytest.mark.parametrize("template", ONE_LETTER + WITH_TEXT)
@pytest.mark.parametrize("option", COLOURS)
def test_a_rendered_answer_is_read_back(template: str, option: str) -> None:
    letter, text = option[1], option[4:]
    reply = template.format(L=letter, l=letter.lower(), T=text, t=text.lower())
    assert read_answer(reply, COLOURS, several=False) == StrictAnswer(letter)
    assert read_answer(f"<think>A, B, C or D?</think>{reply}", COLOURS, several=True) == StrictAnswer(letter)


@pytest.mark.parametrize("separator", SEVERAL)
def test_several_rendered_letters_are_read_back(separator: str) -> None:
    for num in range(1, 5):
        for letters in itertools.combinations(LETTERS, num):
            reply = separator.join(letters)
            assert read_answer(reply, COLOURS, several=True) == StrictAnswer("".join(letters)), reply


# --- anything at all ---

WORDS = ["A", "B", "(C)", "d", "E", "I", "a", "red", "Blue", "not", "no,", "wait", "or", "and", "answer", "is", ":"]
WORDS += [
    "the",
    "\\boxed{",
    "}",
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "\n",
    ".",
    "答案是",
    "选",
    "不",
    "\0",
    "١",
]


@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)), st.booleans())
@settings(max_examples=300)
def test_any_reply_gives_letters_of_the_options_or_a_reason(reply: str, several: bool) -> None:
    answer = read_answer(reply, COLOURS, several=several)
    assert (answer.letters == "") == (answer.refusal is not None)
    assert set(answer.letters) <= set(LETTERS)
    assert list(answer.letters) == sorted(set(answer.letters))
    assert several or len(answer.letters) <= 1


def test_options_without_letters_are_refused() -> None:
    with pytest.raises(LetteringError, match=r"'Red' does not begin with \(B\)"):
        read_answer("B", ["(A) Blue", "Red"], several=False)


# --- long replies ---

FILLER = "The image shows a street with many houses and cars. "


def test_an_answer_after_ten_thousand_words_is_read() -> None:
    assert read_answer(FILLER * 1000 + "\nThe answer is B.", COLOURS, several=False) == StrictAnswer("B")
    assert read_answer("<think>" + FILLER * 1000 + "</think>B", COLOURS, several=False) == StrictAnswer("B")


def test_ten_thousand_words_without_an_answer_have_none() -> None:
    assert read_answer(FILLER * 1000 + "It is red.", COLOURS, several=False) == StrictAnswer("", Refusal.NO_ANSWER)


HOSTILE = [
    "B",
    "A ",
    "A, ",
    "B\n",
    "((A",
    "\\boxed{",
    "the answer is ",
    "answer: red, ",
    "wait ",
    "not A ",
    "(A) Blue, ",
]
HOSTILE += [
    "选B ",
    "answer is B. ",
    "<think>",
    "<think></think>",
    "</think>",
    "<answer>",
    "选",
    " ",
    "\n",
    "1 2 3 4 ",
    "A B C D or ",
    "ﷺ",
]


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.timeout(60)  # a second; what is quadratic takes minutes
def test_a_million_characters_take_linear_time(unit: str) -> None:
    reply = (unit * (MILLION // len(unit) + 1))[:MILLION]
    read_answer(reply, COLOURS, several=True)
