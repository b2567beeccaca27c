"""Clues by which answers could be guessed are counted as in an audit."""

from __future__ import annotations

import pytest

from rsvqa.annotation.review.content import EditableContent, ReviewQuestion
from rsvqa.rsvqa_builder.reviewing.asked_before import AskedBefore, Guesses
from tests.annotation.review.make_questions import GROUNDING, make_question


def asked(right: str, place: int = 0, *, number: int = 0, review: str = "none") -> ReviewQuestion:
    """Return a yes/no question whose right option says `right` and stands at a place."""
    texts = [right, "No" if right == "Yes" else "Yes"][:: -1 if place else 1]
    content = EditableContent(
        question=f"Is there a ship at pier {number}?",
        options=tuple(f"({letter}) {text}" for letter, text in zip("AB", texts, strict=True)),
        answer="AB"[place],
    )
    return make_question(f"a:0_0/OP{number}", task="object_presence", content=content, review=review)


@pytest.mark.parametrize(
    ("num_yes", "num_no", "is_told"),
    [
        (8, 1, True),  # 9 of 10: Wilson's lower end with t of 9 degrees, 2.262, is 0.554, 5.4 points over chance
        (7, 2, False),  # 8 of 10: the lower end is 0.455
        (3, 0, False),  # 4 of 4: too few
        (0, 0, False),
    ],
)
def test_what_is_surely_right_more_often_than_chance_is_told(num_yes: int, num_no: int, *, is_told: bool) -> None:
    others = [asked("Yes", n % 2, number=n) for n in range(num_yes)] + [asked("No", n % 2) for n in range(num_no)]
    warnings = Guesses().warnings(asked("Yes", 1), others)
    assert [("'yes' is right" in warning) for warning in warnings] == [True] * is_told


def test_a_letter_that_is_always_right_is_told() -> None:
    others = [asked(("Yes", "No")[n % 2], 0, number=n) for n in range(11)]
    (warning,) = Guesses().warnings(asked("No", 0), others)
    assert warning == (
        "this can be guessed: (A) is right in 12 of 12 questions of the task; put the right option elsewhere"
    )
    assert Guesses().warnings(asked("No", 1), others) == ()


def test_the_data_sets_own_questions_count_but_those_held_back() -> None:
    others = [asked("Yes", n % 2, number=n) for n in range(9)]
    assert AskedBefore.of(others).guesses.warnings(asked("Yes", 1), ())
    held = [asked("Yes", n % 2, number=n, review="needed") for n in range(9)]
    assert AskedBefore.of(held).guesses.warnings(asked("Yes", 1), ()) == ()


def test_boxes_and_another_makers_options_tell_nothing() -> None:
    odd = make_question(content=EditableContent(question="How many?", options=("3", "4"), answer="A"))
    box = make_question(task="fine_grained_grounding", content=GROUNDING)
    assert AskedBefore.of([odd] * 9).guesses.warnings(odd, [odd]) == ()
    assert AskedBefore.of([box] * 9).guesses.warnings(box, [box]) == ()
