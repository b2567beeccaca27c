"""Letters are spread evenly, follow from the seed alone, and go with the right options."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.annotation.dealing import Dealt, LetterDealer, deal_options
from rsvqa.annotation.questions import Option

ONE_OF_FOUR = (Option("3", True), Option("2", False), Option("4", False), Option("9", False))
YES_NO = (Option("Yes", True), Option("No", False))


def several(num_right: int) -> tuple[Option, ...]:
    return tuple(Option(text, place < num_right) for place, text in enumerate(("forest", "water", "farmland", "bare")))


def right_texts(dealt: Dealt) -> set[str]:
    """Read the answer back as a person would: by the letters in front of the options."""
    texts = {option[1]: option[4:] for option in dealt.options}
    return {texts[letter] for letter in dealt.answer}


def test_options_carry_their_letters_in_order() -> None:
    dealt = LetterDealer(0).deal("overall_counting", "q1", ONE_OF_FOUR)
    assert [option[:4] for option in dealt.options] == ["(A) ", "(B) ", "(C) ", "(D) "]
    assert sorted(option[4:] for option in dealt.options) == ["2", "3", "4", "9"]
    assert right_texts(dealt) == {"3"}


def test_each_block_of_four_questions_uses_each_letter_once() -> None:
    dealer = LetterDealer(5)
    letters = "".join(dealer.deal("overall_counting", f"q{i}", ONE_OF_FOUR).answer for i in range(40))
    blocks = [letters[start : start + 4] for start in range(0, 40, 4)]
    assert all(sorted(block) == ["A", "B", "C", "D"] for block in blocks)
    # A fixed order would be a pattern to learn.
    assert len(set(blocks)) > 3


def test_tasks_and_numbers_of_options_are_dealt_apart() -> None:
    alone = LetterDealer(5)
    expected = [alone.deal("object_presence", f"p{i}", YES_NO) for i in range(9)]
    mixed = LetterDealer(5)
    found = []
    for i in range(9):
        mixed.deal("anomaly_detection", f"a{i}", ONE_OF_FOUR)
        mixed.deal("anomaly_detection", f"b{i}", YES_NO)
        found.append(mixed.deal("object_presence", f"p{i}", YES_NO))
    assert found == expected


def test_yes_and_no_change_places() -> None:
    dealer = LetterDealer(1)
    orders = Counter(dealer.deal("object_presence", f"q{i}", YES_NO).options for i in range(20))
    # Yes is right in all twenty, and each letter is right ten times.
    assert orders == {("(A) Yes", "(B) No"): 10, ("(A) No", "(B) Yes"): 10}


def test_wrong_options_stand_everywhere() -> None:
    dealer = LetterDealer(2)
    dealt = [dealer.deal("overall_counting", f"q{i}", ONE_OF_FOUR) for i in range(200)]
    for wrong in ("2", "4", "9"):
        places = Counter(option[1] for each in dealt for option in each.options if option[4:] == wrong)
        # 50 expected at each letter; the standard deviation is 6.
        assert all(25 < places[letter] < 75 for letter in "ABCD")


def test_same_seed_deals_the_same_and_another_differs() -> None:
    def deal_all(seed: int) -> list[Dealt]:
        dealer = LetterDealer(seed)
        return [dealer.deal("overall_land_use", f"q{i}", several(2)) for i in range(20)]

    assert deal_all(3) == deal_all(3)
    assert deal_all(3) != deal_all(4)


def test_questions_without_options_get_no_letters() -> None:
    assert LetterDealer(0).deal("detailed_captioning", "q1", ()) == Dealt((), "")


@given(
    seed=st.integers(0, 1000),
    nums_right=st.lists(st.integers(1, 3), min_size=1, max_size=40),
)
@settings(max_examples=50)
def test_letters_of_a_task_never_differ_by_more_than_one(seed: int, nums_right: list[int]) -> None:
    dealer = LetterDealer(seed)
    uses = Counter(dict.fromkeys("ABCD", 0))
    for index, num_right in enumerate(nums_right):
        options = several(num_right)
        dealt = dealer.deal("overall_land_use", f"q{index}", options)
        assert right_texts(dealt) == {option.text for option in options if option.is_right}
        assert list(dealt.answer) == sorted(dealt.answer)
        uses.update(dealt.answer)
        assert max(uses.values()) - min(uses.values()) <= 1


@given(position=st.integers(0, 3), seed=st.integers())
def test_right_option_stands_where_it_is_dealt(position: int, seed: int) -> None:
    dealt = deal_options(ONE_OF_FOUR, [position], random.Random(seed))
    assert dealt[position] == Option("3", True)
    assert sorted(option.text for option in dealt) == ["2", "3", "4", "9"]


def test_positions_must_be_as_many_as_right_options() -> None:
    with pytest.raises(ValueError, match=r"2 right options cannot stand at positions \[1\]"):
        deal_options(several(2), [1], random.Random(0))
