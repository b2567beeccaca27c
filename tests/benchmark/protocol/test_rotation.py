"""Rotated options, and the letters that are then right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.lettering import option_texts
from rsvqa.benchmark.protocol.rotation import Rotated, rotate

OPTIONS = ("(A) Blue", "(B) Red", "(C) White", "(D) Black")


def test_options_move_down_and_the_last_comes_first() -> None:
    assert rotate(OPTIONS, "B", 1) == Rotated(("(A) Black", "(B) Blue", "(C) Red", "(D) White"), "C")
    # by 3: A → D, C → B (2 + 3 = 5, 5 mod 4 = 1)
    assert rotate(OPTIONS, "AC", 3) == Rotated(("(A) Red", "(B) White", "(C) Black", "(D) Blue"), "BD")


def test_no_rotation_keeps_every_byte() -> None:
    options = ("(A)  two spaces ", "(B) x")
    assert rotate(options, "B", 0) == Rotated(options, "B")


@given(st.lists(st.text(max_size=5), min_size=1, max_size=6), st.data())
def test_every_text_stands_once_at_every_letter_and_the_right_ones_stay_right(
    texts: list[str], data: st.DataObject
) -> None:
    letters = "ABCDEF"[: len(texts)]
    options = [f"({letter}) {text}" for letter, text in zip(letters, texts, strict=True)]
    answer = "".join(sorted(data.draw(st.sets(st.sampled_from(letters), min_size=1))))
    wanted = sorted(texts[letters.index(letter)].strip() for letter in answer)
    at_first = []
    for rotation in range(len(texts)):
        rotated = rotate(options, answer, rotation)
        shown = option_texts(rotated.options)
        assert sorted(shown[letters.index(letter)] for letter in rotated.answer) == wanted
        at_first.append(shown[0])
    assert sorted(at_first) == sorted(text.strip() for text in texts)


@pytest.mark.parametrize(
    ("options", "answer", "message"),
    [
        (("(A) Blue", "Red"), "A", r"'Red' does not begin with \(B\)"),
        (("(B) Blue",), "A", r"does not begin with \(A\)"),
        (OPTIONS, "E", "beyond the options A, B, C, D"),
        (tuple("x" * 27), "A", "27 options are more than there are letters"),
    ],
)
def test_options_that_cannot_be_lettered_are_refused(options: tuple[str, ...], answer: str, message: str) -> None:
    with pytest.raises(RsvqaError, match=message):
        rotate(options, answer, 1)
